"""How far probabilities can be believed, and the temperature that makes them more honest: in
NumPy, float64, on the host.

A model that is calibrated is right in nine of ten answers that it gives with 90 %. `reliability`
compares the two in bins, and `expected_calibration_error` is their mean distance. A temperature
divides the logits of every view before the softmax or the sigmoid; the order of the actions of a
view does not change (Guo et al., "On Calibration of Modern Neural Networks", 2017).

Logits are those of n clips in V views, (n, V, C), and `targets` what the clips show, multi-hot
(n, C). `outputs` says what becomes of logits: "softmax", where the answer of a clip is its
likeliest action, or "sigmoid", where each action of each clip is an answer of its own.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from animal_clip_jax.evaluation.checks import checked_multi_hot

NUM_BINS = 15
LEAST_TEMPERATURE, MOST_TEMPERATURE = 0.02, 50.0
# Fewer clips than that of a class say too little of where its threshold is.
LEAST_POSITIVES = 5
DEFAULT_THRESHOLD = 0.5
_FOLDS = 5
_GOLDEN = (np.sqrt(5) - 1) / 2
_TOLERANCE = 1e-6  # of the logarithm of a temperature


class Reliability(NamedTuple):
    """How often answers are right, by how sure they are; bins without an answer are left out.

    Attributes:
        counts: int64 (B), answers in each bin.
        confidences: float64 (B), their mean probability, ascending.
        accuracies: float64 (B), the share of them that is right.
    """

    counts: np.ndarray
    confidences: np.ndarray
    accuracies: np.ndarray


class Calibrated(NamedTuple):
    """How well calibrated the probabilities of some clips are.

    Attributes:
        nll: the mean negative log-likelihood, in nats: of a clip's labels, or with a sigmoid of
            each action of each clip (the binary cross-entropy).
        ece: the expected calibration error, from 0 to 1.
        reliability: the bins of it.
    """

    nll: float
    ece: float
    reliability: Reliability


def reliability(probabilities: ArrayLike, is_right: ArrayLike, bins: int = NUM_BINS) -> Reliability:
    """The bins of a reliability curve: each has about as many answers as any other.

    Answers are sorted by probability and dealt out, `len / bins` to each bin; those with equal
    probabilities are in the same one.

    Args:
        probabilities: (n), of the answers, from 0 to 1.
        is_right: (n), 0 or 1.
        bins: at most so many.

    Raises:
        ValueError: there is no answer; shapes disagree; a probability is none.
    """
    probabilities = np.asarray(probabilities, np.float64)
    is_right = np.asarray(is_right)
    if probabilities.ndim != 1 or probabilities.shape != is_right.shape or not len(is_right):
        raise ValueError(
            f"probabilities have shape {probabilities.shape} and is_right {is_right.shape}; "
            "expected (n,) of both, at least one"
        )
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("probabilities are numbers from 0 to 1, found others")
    order = np.argsort(probabilities, kind="stable")
    ascending, right = probabilities[order], is_right[order].astype(np.float64)
    first_of_equals = np.searchsorted(ascending, ascending, side="left")
    place = first_of_equals * bins // len(ascending)
    counts = np.bincount(place, minlength=bins)
    used = counts > 0
    sums = (np.bincount(place, weights, bins)[used] for weights in (ascending, right))
    confidences, accuracies = (total / counts[used] for total in sums)
    return Reliability(counts[used], confidences, accuracies)


def expected_calibration_error(curve: Reliability) -> float:
    """The mean distance of confidence and accuracy over the bins, each by its answers."""
    distances = np.abs(curve.confidences - curve.accuracies)
    return float((curve.counts * distances).sum() / curve.counts.sum())


def answers(
    probabilities: ArrayLike, targets: ArrayLike, outputs: str
) -> tuple[np.ndarray, np.ndarray]:
    """What `reliability` compares: the answers of clips and whether they are right.

    Args:
        probabilities: (n, C).
        targets: multi-hot (n, C).
        outputs: "softmax" takes the likeliest action of each clip, "sigmoid" all actions.

    Returns:
        probabilities (m), and bool (m); m is n, or n × C.
    """
    probabilities = np.asarray(probabilities, np.float64)
    shown = checked_multi_hot("targets", targets, len(probabilities))
    if outputs == "sigmoid":
        return probabilities.reshape(-1), shown.reshape(-1)
    best = probabilities.argmax(axis=1)
    rows = np.arange(len(best))
    return probabilities[rows, best], shown[rows, best]


def probabilities_of(logits: np.ndarray, temperature: float, outputs: str) -> np.ndarray:
    """The mean over the views of their probabilities at a temperature, (n, C)."""
    return np.exp(_log_probabilities(logits, temperature, outputs)[0])


def negative_log_likelihood(
    logits: np.ndarray, targets: np.ndarray, temperature: float, outputs: str
) -> float:
    """The mean negative log-likelihood of clips in nats, see `Calibrated.nll`.

    It is finite at any logits. A clip with several labels counts with the mean over them under a
    softmax.
    """
    shown = np.asarray(targets, bool)
    log_probabilities, log_of_others = _log_probabilities(logits, temperature, outputs)
    if outputs == "sigmoid":
        return float(-np.where(shown, log_probabilities, log_of_others).mean())
    total = np.where(shown, log_probabilities, 0).sum(axis=1)
    return float(-(total / shown.sum(axis=1)).mean())


def fit_temperature(logits: np.ndarray, targets: np.ndarray, outputs: str) -> float | None:
    """The temperature with the least negative log-likelihood.

    It is looked for from `LEAST_TEMPERATURE` to `MOST_TEMPERATURE`: on a grid, and then by golden
    section.

    Returns:
        None where there is none: the likelihood still rises at an end of the range, as it does for
        clips that are all answered rightly.
    """
    grid = np.linspace(np.log(LEAST_TEMPERATURE), np.log(MOST_TEMPERATURE), 41)

    def cost(log_temperature: float) -> float:
        return negative_log_likelihood(logits, targets, float(np.exp(log_temperature)), outputs)

    costs = [cost(point) for point in grid]
    best = int(np.argmin(costs))
    if best in (0, len(grid) - 1):
        return None
    return float(np.exp(_least(cost, grid[best - 1], grid[best + 1])))


def calibrated(
    logits: np.ndarray, targets: np.ndarray, temperature: float, outputs: str
) -> Calibrated:
    """How well calibrated clips are at a temperature."""
    nll = negative_log_likelihood(logits, targets, temperature, outputs)
    curve = reliability(*answers(probabilities_of(logits, temperature, outputs), targets, outputs))
    return Calibrated(nll, expected_calibration_error(curve), curve)


def cross_fitted(
    logits: np.ndarray, targets: np.ndarray, groups: Sequence[str], outputs: str
) -> Calibrated | None:
    """How well calibrated clips are at temperatures that were fitted without them.

    They are dealt out to five parts, those of a group to the same one; each part is judged at the
    temperature that the others give, or at 1 where they give none.

    Args:
        groups: of each clip, such as its video.

    Returns:
        None for clips of fewer than five groups.
    """
    parts = _parts(groups)
    if parts is None:
        return None
    shown = np.asarray(targets, bool)
    probabilities = np.zeros(shown.shape)
    nll = 0.0
    for part in range(_FOLDS):
        inside = parts == part
        fitted = fit_temperature(logits[~inside], shown[~inside], outputs) or 1.0
        probabilities[inside] = probabilities_of(logits[inside], fitted, outputs)
        held_out = negative_log_likelihood(logits[inside], shown[inside], fitted, outputs)
        nll += held_out * inside.sum() / len(parts)
    curve = reliability(*answers(probabilities, shown, outputs))
    return Calibrated(nll, expected_calibration_error(curve), curve)


def fit_thresholds(probabilities: ArrayLike, targets: ArrayLike) -> np.ndarray:
    """For each class, the threshold with the highest F1: from there on a clip counts as positive.

    It lies in the middle between the lowest probability that counts and the next lower one; of
    equally good ones it is the highest.

    Args:
        probabilities: (n, C), from 0 to 1.
        targets: multi-hot (n, C).

    Returns:
        float64 (C,), above 0 and below 1; nan for a class with fewer than `LEAST_POSITIVES` clips,
        and for one that is not told apart: calling every clip positive has the highest F1.
    """
    probabilities = np.asarray(probabilities, np.float64)
    shown = checked_multi_hot("targets", targets, len(probabilities))
    found = np.full(shown.shape[1], np.nan)
    for label in np.flatnonzero(shown.sum(axis=0) >= LEAST_POSITIVES):
        order = np.argsort(-probabilities[:, label], kind="stable")
        descending, hits = probabilities[order, label], shown[order, label].cumsum()
        # Equal probabilities pass the threshold together.
        lasts = np.flatnonzero(np.append(descending[:-1] != descending[1:], True))
        f1 = 2 * hits[lasts] / (lasts + 1 + hits[-1])
        best = lasts[int(f1.argmax())]
        if best < len(descending) - 1:
            found[label] = (descending[best] + descending[best + 1]) / 2
    return found


def _log_probabilities(
    logits: np.ndarray, temperature: float, outputs: str
) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of the mean over views of probabilities, and of 1 less them, (n, C) each; the
    latter only for a sigmoid."""
    scaled = np.asarray(logits, np.float64) / temperature
    if outputs == "sigmoid":
        return (
            _log_mean(-np.logaddexp(0, -scaled)),
            _log_mean(-np.logaddexp(0, scaled)),
        )
    of_views = scaled - np.logaddexp.reduce(scaled, axis=2, keepdims=True)
    mean = _log_mean(of_views)
    return mean, np.full(mean.shape, np.nan)


def _log_mean(values: np.ndarray) -> np.ndarray:
    return np.logaddexp.reduce(values, axis=1) - np.log(values.shape[1])


def _least(cost: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one valley between two points is least, by golden section."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = cost(left), cost(right)
    while high - low > _TOLERANCE:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = cost(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = cost(right)
    return (low + high) / 2


def _parts(groups: Sequence[str]) -> np.ndarray | None:
    """Which of `_FOLDS` parts each clip is in, int64 (n); the same for the same clips."""
    names, number = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < _FOLDS:
        return None
    dealt = np.arange(len(names)) % _FOLDS
    return np.random.default_rng(0).permutation(dealt)[number]
