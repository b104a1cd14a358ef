"""How far a figure may be off because it was measured on few clips."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from animal_clip_jax.evaluation.checks import checked_scores_and_targets, checked_segments
from data_pipeline.long_tail import SEGMENTS

_Z = 1.959963984540054  # 95 % of a normal distribution lie within so many deviations
_RESAMPLES = 200
_SEED = 0


def wilson(share: float, clips: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share that was found in so many clips, within 0 and 1.

    >>> [round(bound, 3) for bound in wilson(0.5, 100)]
    [0.404, 0.596]
    """
    centre = share + _Z**2 / (2 * clips)
    reach = _Z * math.sqrt(share * (1 - share) / clips + _Z**2 / (4 * clips**2))
    scale = 1 + _Z**2 / clips
    return max((centre - reach) / scale, 0.0), min((centre + reach) / scale, 1.0)


def around(value: float, error: float) -> tuple[float, float]:
    """The 95 % interval of a figure with a standard error, within 0 and 1."""
    return max(value - _Z * error, 0.0), min(value + _Z * error, 1.0)


def mean_of_shares(shares: Sequence[float], clips: Sequence[int]) -> tuple[float, float]:
    """The 95 % interval of the unweighted mean of shares that were found in different clips.

    The distances of Wilson's bounds from the shares are added as variances (MOVER), so that the
    interval of one share is Wilson's, and shares of 0 or 1 do not count as certain.

    Args:
        shares: at least one.
        clips: of each share.
    """
    bounds = [wilson(share, number) for share, number in zip(shares, clips, strict=True)]
    mean = sum(shares) / len(shares)
    below, above = (
        math.hypot(*(bound[side] - share for bound, share in zip(bounds, shares, strict=True)))
        for side in (0, 1)
    )
    return max(mean - below / len(shares), 0.0), min(mean + above / len(shares), 1.0)


def mean_ap_errors(
    scores: ArrayLike, targets: ArrayLike, class_segments: ArrayLike
) -> dict[str, float]:
    """Standard errors of mAP, over all classes and over those of each segment.

    By a bootstrap over clips: the same number of clips is drawn with replacement, with a fixed
    seed, and every mAP is that of the classes with a positive clip among those drawn.

    Args:
        scores: (n, C).
        targets: multi-hot (n, C).
        class_segments: "head", "middle" or "tail" for each class, (C,).

    Returns:
        `mAP_error`, `mAP_head_error`, ..., and `clips_head`, ..., the clips that show an action of
        the segment. Segments without a positive clip are left out.

    Raises:
        ValueError: shapes that disagree, or scores that are not finite numbers.
    """
    scores, targets = checked_scores_and_targets(scores, targets)
    class_segments = checked_segments(class_segments, targets.shape[1])
    groups = {"mAP": np.ones(targets.shape[1], bool)}
    found: dict[str, float] = {}
    for segment in SEGMENTS:
        clips = int(targets[:, class_segments == segment].any(axis=1).sum())
        if clips:
            groups[f"mAP_{segment}"] = class_segments == segment
            found[f"clips_{segment}"] = clips
    means: dict[str, list[float]] = {name: [] for name in groups}
    for precisions in _resampled(scores, targets):
        for name, inside in groups.items():
            drawn = precisions[inside & ~np.isnan(precisions)]
            if len(drawn):
                means[name].append(float(drawn.mean()))
    errors = {f"{name}_error": float(np.std(values)) for name, values in means.items() if values}
    return errors | found


def mean_ap_error(scores: ArrayLike, targets: ArrayLike) -> float:
    """The standard error of mAP over all classes; see `mean_ap_errors`.

    Args:
        scores: (n, C).
        targets: multi-hot (n, C), at least one positive a clip.

    Raises:
        ValueError: shapes that disagree, or scores that are not finite numbers.
    """
    scores, targets = checked_scores_and_targets(scores, targets)
    return float(np.std([np.nanmean(values) for values in _resampled(scores, targets)]))


def _resampled(scores: np.ndarray, targets: np.ndarray) -> Iterator[np.ndarray]:
    """(C,) the average precision of each class in every resample; nan without a positive clip.

    The clips are sorted once; a resample says how often each of them was drawn.
    """
    clips = len(scores)
    order = np.argsort(-scores, axis=0)
    sorted_scores = np.take_along_axis(scores, order, axis=0)
    positive = np.take_along_axis(targets, order, axis=0).astype(np.float64)
    # As in `metrics.average_precisions`: clips with equal scores pass the threshold together.
    ends_a_tie = np.ones(scores.shape, bool)
    ends_a_tie[:-1] = sorted_scores[:-1] != sorted_scores[1:]
    ranks = np.where(ends_a_tie, np.arange(clips)[:, None], clips)
    last = np.minimum.accumulate(ranks[::-1], axis=0)[::-1]
    random = np.random.default_rng(_SEED)
    for _ in range(_RESAMPLES):
        times = np.bincount(random.integers(0, clips, clips), minlength=clips)[order]
        hits = positive * times
        above = np.take_along_axis(times.cumsum(axis=0), last, axis=0)
        true = np.take_along_axis(hits.cumsum(axis=0), last, axis=0)
        precision = np.divide(true, above, out=np.zeros_like(true), where=above > 0)
        number = hits.sum(axis=0)
        total = (precision * hits).sum(axis=0)
        yield np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)
