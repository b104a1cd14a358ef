"""Which clips of a split are held out of training, to choose a model by."""

import hashlib
from collections import Counter

import numpy as np

from animal_clip_jax.errors import UserError
from data_pipeline.clip_index import ClipIndex
from data_pipeline.held_out import held_out


def validation_rows(index: ClipIndex, share: float, *, multi_label: bool) -> np.ndarray:
    """Clips that are held out of training for validation, chosen by a hash of their names.

    All clips of a recording are held out, or none. The order of the clips does not matter.

    Where every clip is a recording of its own, a larger share holds out the clips of a smaller one
    and others; and where each has one action, the n clips of every action give
    floor(share n + 1/2) of theirs, but at most n - 1: those with the smallest SHA-256 of the clip
    id. An action of few clips may so give none (of 4 clips, a share of 0.1). Where a clip may have
    several actions, all clips of the split are counted together in the same way. With several
    clips a recording the numbers are as near to that as whole recordings can be, see `held_out`.

    Args:
        index: the N clips of a split.
        share: of the clips that are held out, in [0, 1); 0 holds out none.
        multi_label: whether a clip may have several actions.

    Returns:
        bool (N), True for the clips that are held out.

    Raises:
        UserError: there is no such share.
    """
    if not 0 <= share < 1:
        raise UserError(f"the share of clips for validation is {share}; it is from 0 to below 1")
    labels: dict[str, Counter] = {}
    digests: dict[str, bytes] = {}
    for clip_id, video, actions in zip(index.clip_ids, index.videos, index.actions, strict=True):
        labels.setdefault(video, Counter())[() if multi_label else actions] += 1
        digest = hashlib.sha256(clip_id.encode()).digest()
        digests[video] = min(digest, digests.get(video, digest))
    videos = list(labels)
    chosen = held_out(list(labels.values()), list(digests.values()), share)
    names = {videos[number] for number in chosen}
    return np.array([video in names for video in index.videos], bool)
