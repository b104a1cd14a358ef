"""From probabilities along a video to bouts.

Windows overlap and their probabilities jump about. So a video is cut into steps, each step has the
mean probability of the windows over it, and bouts come of a hidden Markov model, decoded by
Viterbi: an action goes on from one step to the next unless the probabilities speak against it for
long enough.

Where one action is shown at a time, the states are the actions, and each bout has one. Where there
may be several, each action is a model of its own with the states "shown" and "not shown", and bouts
of different actions may overlap. This is a hysteresis already: to begin and to end, an action has
to be above its threshold or below it for longer, or by more, than a change of states costs.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from animal_clip_jax.errors import UserError
from animal_clip_jax.inference.results import Bout, Windows

# How long a bout is expected to last unless that is given, in windows: the F1 of bouts was the best
# from there on, on videos with known cuts (benchmarks/timelines.py).
EXPECTED_WINDOWS = 4
_LEAST = 1e-6  # a probability of 0 or 1 would never be overruled


@dataclasses.dataclass(frozen=True)
class Smoothing:
    """How bouts are made.

    Attributes:
        step: seconds; bouts begin and end at its multiples.
        expected_seconds: how long a bout lasts on average; longer ones make smoother bouts.
        least_seconds: shorter bouts are left out: where one action is shown at a time, their time
            goes to the neighbour that is likelier there.
        threshold: of the probability of an action, or of each, (C): where several may be shown, one
            counts as shown from there on; where one is, bouts with a lower mean are left out. 0
            takes 0.5 where several may be shown, or the thresholds of a calibrated model.
    """

    step: float
    expected_seconds: float
    least_seconds: float = 0.0
    threshold: float | tuple[float, ...] = 0.0

    def __post_init__(self) -> None:
        if not (self.step > 0 and self.expected_seconds > 0 and self.least_seconds >= 0):
            raise UserError(
                f"bouts need a step and an expected length above 0 s, and a least length from 0 s; "
                f"found {self.step:g}, {self.expected_seconds:g} and {self.least_seconds:g}"
            )
        for threshold in np.atleast_1d(self.threshold):
            if not 0 <= threshold < 1:
                raise UserError(f"a threshold is from 0 to below 1, found {threshold:g}")

    def threshold_of(self, action: int) -> float:
        """The threshold of an action, by its number."""
        return self.threshold[action] if isinstance(self.threshold, tuple) else self.threshold


def bouts_of(
    windows: Windows,
    actions: Sequence[str],
    animals: Sequence[str],
    smoothing: Smoothing,
    *,
    multi_label: bool,
    present: np.ndarray | None = None,
) -> tuple[Bout, ...]:
    """The bouts of a video, by their start.

    Args:
        windows: of the video.
        actions: labels, (C).
        animals: labels, (A).
        smoothing: how bouts are made.
        multi_label: whether several actions may be shown at a time.
        present: bool (W), the windows in which there is an animal; None takes all. Bouts are cut to
            the steps that one of these is over.
    """
    if not len(windows.starts):
        return ()
    edges, probabilities = steps_of(windows, windows.actions, smoothing.step)
    of_animals = steps_of(windows, windows.animals, smoothing.step)[1]
    if multi_label:
        runs = [
            (first, last, action)
            for action in range(len(actions))
            for first, last, state in _runs(
                _shown(probabilities[:, action], smoothing, smoothing.threshold_of(action))
            )
            if state == 1 and edges[last] - edges[first] >= smoothing.least_seconds
        ]
    else:
        path = _viterbi(np.log(np.clip(probabilities, _LEAST, 1)), _staying(smoothing))
        path = _without_short(path, probabilities, edges, smoothing.least_seconds)
        runs = list(_runs(path))
    if present is not None:
        of_steps = steps_of(windows, present[:, None].astype(float), smoothing.step)[1]
        runs = [
            (first, last, action)
            for first, last, action in _cut_to(runs, of_steps[:, 0] > 0)
            if edges[last] - edges[first] >= smoothing.least_seconds
        ]
    bouts = []
    for first, last, action in sorted(runs):
        score = float(probabilities[first:last, action].mean())
        if not multi_label and score < smoothing.threshold_of(action):
            continue
        animal = ""
        if of_animals.shape[1]:
            mean = of_animals[first:last].mean(axis=0)
            animal = animals[int(mean.argmax())] if mean.max() > 0 else ""
        start, stop = float(edges[first]), float(edges[last])
        bouts.append(Bout(start, stop, actions[action], animal, score))
    return tuple(bouts)


def _cut_to(
    runs: Sequence[tuple[int, int, int]], present: np.ndarray
) -> Iterator[tuple[int, int, int]]:
    """The parts of runs in which all steps are present."""
    for first, last, action in runs:
        for start, stop, is_present in _runs(present[first:last].astype(np.int64)):
            if is_present:
                yield first + start, first + stop, action


def steps_of(windows: Windows, values: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the windows over each step of a video.

    Args:
        windows: in order, without a gap between them.
        values: (W, K), one row a window.
        step: seconds; the last step ends with the video.

    Returns:
        the edges of the N steps, float64 (N + 1), and their values, float64 (N, K).
    """
    end = float(windows.stops.max())
    number = max(int(np.ceil(end / step - 1e-9)), 1)
    edges = np.append(np.arange(number) * step, end)
    middles = (edges[:-1] + edges[1:]) / 2
    # Those before the first that ends after it, and from the first that begins after it, are not
    # over a step.
    first = np.searchsorted(windows.stops, middles, side="right")
    last = np.searchsorted(windows.starts, middles, side="right")
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=float)])
    counts = np.maximum(last - first, 1)
    nearest = np.clip(first, 0, len(values) - 1)
    means = np.where((last > first)[:, None], (sums[last] - sums[first]) / counts[:, None],
                     values[nearest])  # fmt: skip
    return edges, means


def _staying(smoothing: Smoothing) -> float:
    """The probability that a bout goes on for another step."""
    return max(1 - smoothing.step / smoothing.expected_seconds, 0.5)


def _shown(probabilities: np.ndarray, smoothing: Smoothing, threshold: float) -> np.ndarray:
    """Whether an action is shown at each step, 0 or 1."""
    threshold = np.clip(threshold or 0.5, _LEAST, 1 - _LEAST)
    likely = np.clip(probabilities, _LEAST, 1 - _LEAST)
    # The odds against those at the threshold.
    shown = np.log(likely / threshold)
    not_shown = np.log((1 - likely) / (1 - threshold))
    return _viterbi(np.stack([not_shown, shown], axis=1), _staying(smoothing))


def _viterbi(log_likelihoods: np.ndarray, staying: float) -> np.ndarray:
    """The likeliest states of N steps, int64 (N), where a state stays with one probability and goes
    to each of the others with the same.

    Args:
        log_likelihoods: (N, S), of what is observed at each step in each state.
        staying: from 0.5 to below 1.
    """
    steps, states = log_likelihoods.shape
    if states == 1:
        return np.zeros(steps, np.int64)
    stay, go = np.log(staying), np.log((1 - staying) / (states - 1))
    stay = max(stay, go)
    best = log_likelihoods[0].astype(float)
    came_from = np.zeros((steps, states), np.int64)
    for step in range(1, steps):
        first = int(best.argmax())
        from_others = best[first] + go
        stays = best + stay >= from_others
        came_from[step] = np.where(stays, np.arange(states), first)
        best = np.where(stays, best + stay, from_others) + log_likelihoods[step]
    path = np.empty(steps, np.int64)
    path[-1] = best.argmax()
    for step in range(steps - 1, 0, -1):
        path[step - 1] = came_from[step, path[step]]
    return path


def _runs(path: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """(first, last + 1, state) of each stretch of equal states."""
    borders = np.flatnonzero(np.diff(path)) + 1
    for first, last in zip([0, *borders], [*borders, len(path)], strict=True):
        yield int(first), int(last), int(path[first])


def _without_short(
    path: np.ndarray, probabilities: np.ndarray, edges: np.ndarray, least: float
) -> np.ndarray:
    """The path with runs that are too short given to a neighbour, the shortest first."""
    path = path.copy()
    while True:
        runs = list(_runs(path))
        lengths = [edges[last] - edges[first] for first, last, _ in runs]
        shortest = int(np.argmin(lengths))
        if len(runs) == 1 or lengths[shortest] >= least - 1e-9:
            return path
        first, last, _ = runs[shortest]
        around = [runs[k][2] for k in (shortest - 1, shortest + 1) if 0 <= k < len(runs)]
        path[first:last] = max(around, key=lambda state: probabilities[first:last, state].sum())
