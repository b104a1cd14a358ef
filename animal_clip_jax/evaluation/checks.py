"""What the metrics demand of the arrays they are given: checked once, at the start.

Each function raises a `ValueError` that names what was found and what was expected.
"""

import numpy as np
from numpy.typing import ArrayLike

from data_pipeline.long_tail import SEGMENTS


def require_shape(name: str, array: np.ndarray, expected: tuple[int, ...], meaning: str) -> None:
    if array.shape != expected:
        raise ValueError(f"{name} has shape {array.shape}, expected {expected}: {meaning}")


def checked_scores(scores: ArrayLike) -> np.ndarray:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or 0 in scores.shape:
        raise ValueError(
            f"scores have shape {scores.shape}, expected (clips, classes), at least one of each"
        )
    broken = ~np.isfinite(scores)
    if broken.any():
        clip, label = np.argwhere(broken)[0]
        raise ValueError(
            f"{broken.sum()} of {scores.size} scores are not finite, the first at clip {clip}, "
            f"class {label}: {scores[clip, label]}; expected finite numbers"
        )
    return scores


def checked_multi_hot(name: str, values: ArrayLike, clips: int | None = None) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 2 or (clips is not None and len(values) != clips):
        raise ValueError(f"{name} have shape {values.shape}, expected ({clips or 'clips'}, labels)")
    if values.dtype == bool:
        return values
    odd = (values != 0) & (values != 1)
    if odd.any():
        clip, label = np.argwhere(odd)[0]
        raise ValueError(
            f"{name} hold {values[clip, label]} at clip {clip}, label {label}; expected 0 or 1"
        )
    return values.astype(bool)


def checked_scores_and_targets(
    scores: ArrayLike, targets: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    scores = checked_scores(scores)
    targets = np.asarray(targets)
    require_shape("the array of targets", targets, scores.shape, "that of the scores")
    return scores, checked_multi_hot("targets", targets)


def require_labels(targets: np.ndarray, exactly_one: bool = False) -> None:
    labels = targets.sum(axis=1)
    wrong = labels != 1 if exactly_one else labels == 0
    if wrong.any():
        clip = int(np.argmax(wrong))
        raise ValueError(
            f"clip {clip} has {labels[clip]} labels, expected "
            f"{'exactly one' if exactly_one else 'at least one'} "
            f"({wrong.sum()} of {len(labels)} clips are like that)"
        )


def require_counts(name: str, counts: np.ndarray) -> None:
    # Written so that NaN is refused too.
    wrong = ~(counts >= 0)
    if wrong.any():
        where = tuple(int(index) for index in np.argwhere(wrong)[0])
        raise ValueError(f"{name} holds {counts[where]} at {where}, expected counts from 0 on")


def checked_relation(relation: ArrayLike, animals: int, classes: int) -> np.ndarray:
    relation = np.asarray(relation)
    require_shape("the relation graph", relation, (animals, classes), "animals, actions")
    require_counts("the relation graph", relation)
    return relation


def checked_segments(class_segments: ArrayLike, classes: int) -> np.ndarray:
    class_segments = np.asarray(class_segments)
    require_shape("class_segments", class_segments, (classes,), "one a class")
    unknown = sorted(set(class_segments.tolist()) - set(SEGMENTS))
    if unknown:
        raise ValueError(f"class_segments holds {unknown[0]!r}, expected one of {SEGMENTS}")
    return class_segments
