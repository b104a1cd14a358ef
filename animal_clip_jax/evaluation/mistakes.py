"""What is taken for what: confusions, and the clips with the worst mistakes. In NumPy, on the host.

A clip of k annotated actions is taken to have k predicted ones, those with the highest scores; of
equal scores, that of the first action. So every clip of single-label data has one, and no threshold
is needed where a clip has several.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from animal_clip_jax.evaluation.checks import checked_scores_and_targets


class Mistake(NamedTuple):
    """An action that was predicted for a clip that is not annotated with it.

    Attributes:
        clip: its position among the clips.
        action: the wrong action.
        score: of the wrong action.
    """

    clip: int
    action: int
    score: float


def predicted_actions(scores: ArrayLike, targets: ArrayLike) -> np.ndarray:
    """The actions that clips are taken to show: as many as they are annotated with.

    Args:
        scores: (n, C), finite.
        targets: multi-hot (n, C).

    Returns:
        bool (n, C).
    """
    scores, targets = checked_scores_and_targets(scores, targets)
    order = np.argsort(-scores, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(scores.shape[1])[None], axis=1)
    return ranks < targets.sum(axis=1, keepdims=True)


def confusion_counts(scores: ArrayLike, targets: ArrayLike) -> np.ndarray:
    """How many clips are annotated with an action (row) and predicted to show another (column).

    With one action a clip it is the confusion matrix; with several, their co-occurrence: a clip
    counts once for each pair of an annotated and a predicted action.

    Returns:
        int64 (C, C). Arguments as `predicted_actions`.
    """
    predicted = predicted_actions(scores, targets)
    return np.asarray(targets).astype(np.int64).T @ predicted.astype(np.int64)


def worst_mistakes(scores: ArrayLike, targets: ArrayLike, number: int) -> list[Mistake]:
    """The clips with the highest scores for a wrong action, the worst first.

    Only wrong actions that are predicted count; each clip is there once, with its worst one.

    Args:
        scores, targets: as `predicted_actions`.
        number: at most so many.
    """
    is_wrong = predicted_actions(scores, targets) & ~np.asarray(targets).astype(bool)
    of_wrong = np.where(is_wrong, np.asarray(scores, np.float64), -np.inf)
    actions = of_wrong.argmax(axis=1)
    worst = of_wrong[np.arange(len(actions)), actions]
    order = np.argsort(-worst, kind="stable")[:number]
    return [
        Mistake(int(clip), int(actions[clip]), float(worst[clip]))
        for clip in order
        if np.isfinite(worst[clip])
    ]
