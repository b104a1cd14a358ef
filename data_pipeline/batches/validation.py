"""Which clips of a split are held out of training, to choose a model by."""

import hashlib
import math
from collections import defaultdict

import numpy as np

from animal_clip_jax.errors import UserError
from data_pipeline.dataset import ClipIndex


def validation_rows(index: ClipIndex, share: float, *, multi_label: bool) -> np.ndarray:
    """Clips that are held out of training for validation, chosen by a hash of their names.

    The order of the clips does not matter, and a larger share holds out the clips of a smaller one
    and others. Where each clip has one action, the n clips of every action give
    floor(share n + 1/2) of theirs, but at most n - 1: those with the smallest SHA-256 of the clip
    id. An action of few clips may so give none (of 4 clips, a share of 0.1). Where a clip may have
    several actions, all clips of the split are counted together in the same way.

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
    digests = [hashlib.sha256(clip_id.encode()).digest() for clip_id in index.clip_ids]
    groups = defaultdict(list)
    for row, actions in enumerate(index.actions):
        groups[() if multi_label else actions].append(row)
    held_out = np.zeros(len(index), bool)
    for rows in groups.values():
        number = min(math.floor(share * len(rows) + 0.5), len(rows) - 1)
        held_out[sorted(rows, key=digests.__getitem__)[:number]] = True
    return held_out
