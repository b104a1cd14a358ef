"""The long tail of a data set: which classes are frequent in training, and which rare."""

import numpy as np
from numpy.typing import ArrayLike

from animal_clip_jax.errors import UserError

SEGMENTS = ("head", "middle", "tail")
# The thresholds of Animal Kingdom, in training clips.
HEAD_CLIPS = 500
TAIL_CLIPS = 100


def segments(train_counts: ArrayLike, head: int = HEAD_CLIPS, tail: int = TAIL_CLIPS) -> np.ndarray:
    """Whether a class is frequent or rare in training.

    Args:
        train_counts: training clips of each class, (C,).
        head: a class with at least so many is "head".
        tail: a class with fewer than that is "tail"; those between are "middle".

    Returns:
        str (C,), one of `SEGMENTS` each.

    Raises:
        UserError: `head` is below `tail`.
        ValueError: the counts have another shape or are no counts.
    """
    counts = np.asarray(train_counts)
    if counts.ndim != 1:
        raise ValueError(f"train_counts has shape {counts.shape}, expected (classes,)")
    wrong = ~(counts >= 0)  # NaN is wrong too
    if wrong.any():
        place = int(np.argmax(wrong))
        raise ValueError(
            f"train_counts holds {counts[place]} at ({place},), expected counts from 0 on"
        )
    if head < tail:
        raise UserError(f"head is {head} and tail {tail}, expected head to be at least tail")
    return np.where(counts >= head, "head", np.where(counts < tail, "tail", "middle"))
