"""How good the scores of a split are: in NumPy, float64, on the host.

Every function takes the scores of n clips for C actions, (n, C), higher meaning likelier, and what
the clips show as multi-hot rows of 0 and 1: `targets` or `actions` (n, C), `animals` (n, A).
`relation_counts` (A, C) holds how many training clips show an animal performing an action.
Nothing that is given is modified. All metrics are fractions between 0 and 1.

Where scores tie, a ranking puts the class with the lower index first, as `argmax` does; average
precision does not depend on the order of ties.

Every function raises a `ValueError` that names what was found and expected where shapes disagree,
scores are not finite numbers, or multi-hot rows hold anything but 0 and 1.

    >>> scores = np.array([[0.7, 0.2, 0.1], [0.1, 0.5, 0.4]])
    >>> targets = np.array([[1, 0, 0], [0, 0, 1]])
    >>> top_k_accuracy(scores, targets, k=1)
    0.5
    >>> mean_average_precision(scores, targets)
    1.0
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from animal_clip_jax.evaluation.checks import (
    checked_multi_hot,
    checked_relation,
    checked_scores,
    checked_scores_and_targets,
    checked_segments,
    require_labels,
    require_shape,
)
from data_pipeline.long_tail import SEGMENTS, segments

SEEN_PAIR = "seen_pair"
UNSEEN_PAIR = "unseen_pair"
UNSEEN_ANIMAL = "unseen_animal"
NO_ANIMAL = "no_animal"

# How many of the predictions are looked at for F1, precision and recall, and for inconsistency.
F1_AT = (3, 5)
INCONSISTENCY_AT = 5


class PrecisionRecallF1(NamedTuple):
    """Precision, recall and their harmonic mean."""

    precision: float
    recall: float
    f1: float


def top_k(scores: ArrayLike, k: int) -> np.ndarray:
    """The k classes with the highest scores, best first.

    Args:
        scores: (n, C).
        k: from 1 to C.

    Returns:
        int64 (n, k).
    """
    scores = checked_scores(scores)
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(f"k is {k}, expected 1 to {scores.shape[1]}, the number of classes")
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def top_k_hits(scores: ArrayLike, targets: ArrayLike, k: int) -> np.ndarray:
    """Whether a label of the clip is among its k highest scores.

    Args:
        scores: (n, C).
        targets: multi-hot (n, C); every clip has a label.
        k: from 1 to C.

    Returns:
        bool (n,).
    """
    scores, targets = checked_scores_and_targets(scores, targets)
    require_labels(targets)
    return (targets & _predicted(scores, k)).any(axis=1)


def top_k_accuracy(scores: ArrayLike, targets: ArrayLike, k: int) -> float:
    """The share of clips that have a label among their k highest scores; see `top_k_hits`."""
    return float(top_k_hits(scores, targets, k).mean())


def class_accuracies(scores: ArrayLike, targets: ArrayLike) -> np.ndarray:
    """For each class, the share of its clips whose highest score is that class's.

    Args:
        scores: (n, C).
        targets: multi-hot (n, C).

    Returns:
        float64 (C,), nan for a class without a clip.
    """
    scores, targets = checked_scores_and_targets(scores, targets)
    clips = targets.sum(axis=0)
    hits = (targets & _predicted(scores, 1)).sum(axis=0)
    return _divide(hits, clips, otherwise=np.nan)


def average_precisions(scores: ArrayLike, targets: ArrayLike) -> np.ndarray:
    """Average precision of each class: the sum over thresholds of precision × gain in recall.

    The same as `sklearn.metrics.average_precision_score` class by class: clips with equal scores
    pass the threshold together.

    Args:
        scores: (n, C).
        targets: multi-hot (n, C).

    Returns:
        float64 (C,), nan for a class without a positive clip.
    """
    scores, targets = checked_scores_and_targets(scores, targets)
    clips = len(scores)
    order = np.argsort(-scores, axis=0)
    scores = np.take_along_axis(scores, order, axis=0)
    targets = np.take_along_axis(targets, order, axis=0)

    # A clip counts with the precision at the last clip that has the same score.
    ranks = np.arange(clips)[:, None]
    ends_a_tie = np.ones_like(targets)
    ends_a_tie[:-1] = scores[:-1] != scores[1:]
    last = np.minimum.accumulate(np.where(ends_a_tie, ranks, clips)[::-1], axis=0)[::-1]
    precision = np.take_along_axis(targets.cumsum(axis=0), last, axis=0) / (last + 1)
    return _divide((precision * targets).sum(axis=0), targets.sum(axis=0), otherwise=np.nan)


def mean_average_precision(scores: ArrayLike, targets: ArrayLike) -> float:
    """mAP: the mean of `average_precisions` over the classes that have a positive clip."""
    precisions = average_precisions(scores, targets)
    positive = ~np.isnan(precisions)
    if not positive.any():
        raise ValueError("none of the classes has a positive clip, expected at least one")
    return float(precisions[positive].mean())


def precision_recall_f1_at_k(
    scores: ArrayLike, targets: ArrayLike, k: int, *, per_class: bool = False
) -> PrecisionRecallF1:
    """Precision, recall and F1 when the k highest scores of every clip are its predictions.

    With TP the predictions that are labels, P all predictions and L all labels:
    precision = TP / P, recall = TP / L, F1 = 2 TP / (P + L).

    Overall (micro), TP, P and L are counted over all clips and classes, so P = n k. Per class
    (macro), they are counted for each class, and the three figures are averaged over the classes
    that have a positive clip, the same classes as in mAP; a class that is never predicted has
    precision 0. The F1 per class is the mean of the classes' F1, not the F1 of the two means.

    Args:
        scores: (n, C).
        targets: multi-hot (n, C) with at least one positive.
        k: from 1 to C.
        per_class: average over classes instead of counting over all of them.
    """
    scores, targets = checked_scores_and_targets(scores, targets)
    predicted = _predicted(scores, k)
    correct = (predicted & targets).sum(axis=0)
    predictions = predicted.sum(axis=0)
    labels = targets.sum(axis=0)
    if not labels.any():
        raise ValueError("none of the classes has a positive clip, expected at least one")
    if per_class:
        positive = labels > 0
        correct, predictions, labels = correct[positive], predictions[positive], labels[positive]
    else:
        correct, predictions, labels = (
            count.sum(keepdims=True) for count in (correct, predictions, labels)
        )
    return PrecisionRecallF1(
        precision=float(_divide(correct, predictions, otherwise=0.0).mean()),
        recall=float((correct / labels).mean()),
        f1=float((2 * correct / (predictions + labels)).mean()),
    )


def segment_metrics(
    scores: ArrayLike, targets: ArrayLike, class_segments: ArrayLike, *, multi_label: bool
) -> dict[str, float]:
    """The headline metric of each segment that has a positive clip.

    Args:
        scores: (n, C).
        targets: multi-hot (n, C).
        class_segments: "head", "middle" or "tail" for each class, (C,); from `segments`, or a
            dataset's own.
        multi_label: whether it is the mAP over the segment's classes, or else the top-1 accuracy
            over the clips of the segment's classes, among all classes.

    Returns:
        Segment -> metric, without the segments that have no positive clip.
    """
    scores, targets = checked_scores_and_targets(scores, targets)
    class_segments = checked_segments(class_segments, targets.shape[1])
    metrics = {}
    for segment in SEGMENTS:
        inside = class_segments == segment
        clips = targets[:, inside].any(axis=1)
        if not clips.any():
            continue
        if multi_label:
            metrics[segment] = mean_average_precision(scores[:, inside], targets[:, inside])
        else:
            metrics[segment] = top_k_accuracy(scores[clips], targets[clips], k=1)
    return metrics


def inconsistency(
    scores: ArrayLike, animals: ArrayLike, relation: ArrayLike, k: int = INCONSISTENCY_AT
) -> float | None:
    """Of the k best predictions for clips of a single animal, the share denied to that animal.

    Clips of several animals or none are left out, and so are those of an animal without any
    action in the relation graph: of it the graph says nothing.

    Args:
        scores: (n, C).
        animals: multi-hot (n, A).
        relation: (A, C), above 0 where the relation graph joins the animal to the action.
        k: from 1 to C.

    Returns:
        The share, or None if no clip is left.
    """
    scores = checked_scores(scores)
    animals = checked_multi_hot("animals", animals, len(scores))
    joined = checked_relation(relation, animals.shape[1], scores.shape[1]) > 0
    best = top_k(scores, k)
    single = (animals.sum(axis=1) == 1) & (animals @ joined.any(axis=1))
    if not single.any():
        return None
    animal = animals[single].argmax(axis=1)
    return float((~joined[animal[:, None], best[single]]).mean())


def accuracy_per_animal(scores: ArrayLike, targets: ArrayLike, animals: ArrayLike) -> float | None:
    """Top-1 accuracy over the clips of each animal, averaged over the animals (macro).

    A clip of several animals counts for each of them.

    Args:
        scores: (n, C).
        targets: multi-hot (n, C); every clip has a label.
        animals: multi-hot (n, A).

    Returns:
        The mean over the animals that have a clip, or None if none has.
    """
    hits = top_k_hits(scores, targets, k=1)
    animals = checked_multi_hot("animals", animals, len(hits))
    clips = animals.sum(axis=0)
    present = clips > 0
    if not present.any():
        return None
    return float(((hits @ animals.astype(np.float64))[present] / clips[present]).mean())


def novelty_groups(
    actions: ArrayLike,
    animals: ArrayLike,
    relation_counts: ArrayLike,
    seen_animals: ArrayLike | None = None,
) -> np.ndarray:
    """How much of what a test clip shows has occurred in training.

    - "unseen_animal": the clip shows an animal that performs nothing in training.
    - "seen_pair": the clip can be explained by (animal, action) pairs that occur in training: each
      of its actions is performed there by one of its animals, and each of its animals performs
      one of its actions there.
    - "unseen_pair": it cannot, so some animal certainly does something that it does not do in
      training, although the animal occurs there.
    - "no_animal": no animal is annotated.

    With one animal or one action, "seen_pair" means that every pair occurs in training. With
    several of both, multi-hot rows do not say which animal does what: where a cheetah hunts and a
    gazelle flees, the hunting gazelle is not expected to occur in training.

    Args:
        actions: multi-hot (n, C).
        animals: multi-hot (n, A).
        relation_counts: (A, C).
        seen_animals: (A,), true where the animal occurs in training; None where it performs one of
            the C actions there. With other actions than training's, the two differ.

    Returns:
        str (n,).
    """
    actions = checked_multi_hot("actions", actions)
    require_labels(actions)
    animals = checked_multi_hot("animals", animals, len(actions))
    seen = checked_relation(relation_counts, animals.shape[1], actions.shape[1]) > 0
    seen_animal = np.asarray(seen.any(axis=1) if seen_animals is None else seen_animals) > 0
    require_shape("seen_animals", seen_animal, (animals.shape[1],), "one an animal")
    # Sums of 0 and 1 in float64: exact, and a fast matrix product, which integers do not have.
    pairs = seen.astype(np.float64)
    by_its_animals = animals.astype(np.float64) @ pairs > 0
    of_its_actions = actions.astype(np.float64) @ pairs.T > 0
    explained = (by_its_animals | ~actions).all(axis=1) & (of_its_actions | ~animals).all(axis=1)
    return np.select(
        [~animals.any(axis=1), (animals & ~seen_animal).any(axis=1), explained],
        [NO_ANIMAL, UNSEEN_ANIMAL, SEEN_PAIR],
        default=UNSEEN_PAIR,
    )


def summarise(
    scores: ArrayLike,
    actions: ArrayLike,
    animals: ArrayLike,
    relation_counts: ArrayLike,
    train_counts: ArrayLike,
    multi_label: bool,
    seen_animals: ArrayLike | None = None,
    class_segments: ArrayLike | None = None,
) -> dict[str, float]:
    """Every metric that the clips of a split allow, under names that stay the same.

    - `clips`: number of clips (int, like all names that begin with it).
    - `top1`, `top5`: a label is the best, or among the five best.
    - `mAP`: mean average precision over the classes with a positive clip.
    - `chance`, `chance_mAP`: `top1` of a uniform guess and `mAP` of scores that are all equal.
    - `precision_at_3`, `recall_at_3`, `f1_at_3`, the same `_at_5`; with `_per_class` at the end
      averaged over classes: see `precision_recall_f1_at_k`.
    - `mAP_head`, `mAP_middle`, `mAP_tail` (multi-label) or `top1_head`, ... (single label).
    - `top1_per_animal`: see `accuracy_per_animal`.
    - `top1_seen_pairs`, `top1_unseen_pairs`, `top1_unseen_animals`, and `clips_seen_pairs`, ...,
      the clips of each: see `novelty_groups`.
    - `inconsistency`: of the five best predictions: see `inconsistency`.

    What cannot be computed is left out: figures at k where there are fewer than k classes, and
    those of a segment or group without a clip.

    Args:
        scores: (n, C), n at least 1.
        actions: multi-hot (n, C); at least one action a clip, exactly one for a single label.
        animals: multi-hot (n, A).
        relation_counts: (A, C), from training.
        train_counts: training clips of each action, (C,).
        multi_label: whether a clip may show several actions.
        seen_animals: see `novelty_groups`.
        class_segments: "head", "middle" or "tail" of each action, (C,); None goes by
            `train_counts`.
    """
    scores, actions = checked_scores_and_targets(scores, actions)
    require_labels(actions, exactly_one=not multi_label)
    clips, classes = actions.shape
    train_counts = np.asarray(train_counts)
    require_shape("train_counts", train_counts, (classes,), "one a class")
    best = top_k_hits(scores, actions, k=1)
    summary: dict[str, float | None] = {"clips": clips, "top1": float(best.mean())}
    if classes >= 5:
        summary["top5"] = top_k_accuracy(scores, actions, k=5)
    summary["mAP"] = mean_average_precision(scores, actions)

    if class_segments is None:
        class_segments = segments(train_counts)
    by_segment = segment_metrics(scores, actions, class_segments, multi_label=multi_label)
    for segment, value in by_segment.items():
        summary[f"{'mAP' if multi_label else 'top1'}_{segment}"] = value

    for k in F1_AT:
        if classes < k:
            continue
        for per_class, suffix in ((False, ""), (True, "_per_class")):
            figures = precision_recall_f1_at_k(scores, actions, k, per_class=per_class)
            for name, value in figures._asdict().items():
                summary[f"{name}_at_{k}{suffix}"] = value

    summary["top1_per_animal"] = accuracy_per_animal(scores, actions, animals)
    groups = novelty_groups(actions, animals, relation_counts, seen_animals)
    for group in (SEEN_PAIR, UNSEEN_PAIR, UNSEEN_ANIMAL):
        inside = groups == group
        if inside.any():
            summary[f"top1_{group}s"] = float(best[inside].mean())
            summary[f"clips_{group}s"] = int(inside.sum())
    if classes >= INCONSISTENCY_AT:
        summary["inconsistency"] = inconsistency(scores, animals, relation_counts)

    shares = actions.mean(axis=0)
    summary["chance"] = float(shares.mean())
    summary["chance_mAP"] = float(shares[shares > 0].mean())
    return {name: value for name, value in summary.items() if value is not None}


def _predicted(scores: np.ndarray, k: int) -> np.ndarray:
    """bool (n, C): the k highest scores of every clip."""
    predicted = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(predicted, top_k(scores, k), True, axis=1)
    return predicted


def _divide(numerator: np.ndarray, denominator: np.ndarray, otherwise: float) -> np.ndarray:
    """numerator / denominator in float64, and `otherwise` where the denominator is 0."""
    result = np.full(np.shape(numerator), otherwise, dtype=np.float64)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result
