"""What there is to say of all videos of a prediction together: counts, and a row for each."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from animal_clip_jax.inference.formats.timeline import length_of
from animal_clip_jax.inference.results import Header, Results, VideoResult, top

# From here on, a label is one of those that a video shows.
_SHOWN_FROM = 0.5


@dataclasses.dataclass(frozen=True)
class Row:
    """A video in the list of all.

    Attributes:
        number: its place in the results, from 1.
        name, path, problem: see `VideoResult`.
        confidence: from 0 to 1; None of a video without an answer. See `confidence_of`.
        actions, animals: what it shows, the most first; nothing if it is blank.
        seconds: its length; 0 where nothing says it.
        blank: see `VideoResult`.
    """

    number: int
    name: str
    path: str
    problem: str
    confidence: float | None
    actions: tuple[str, ...]
    animals: tuple[str, ...]
    seconds: float
    blank: bool


@dataclasses.dataclass(frozen=True)
class Overview:
    """All videos of a prediction.

    Attributes:
        rows: the least certain first, those without an answer last.
        places: action -> its place among those that are shown, the one in most videos first; for
            its colour, which is the same on all pages.
    """

    rows: tuple[Row, ...]
    places: dict[str, int]

    @property
    def num_unanswered(self) -> int:
        return sum(row.confidence is None for row in self.rows)

    @property
    def num_blank(self) -> int:
        return sum(row.blank for row in self.rows)

    @property
    def seconds(self) -> float:
        """The length of all videos."""
        return sum(row.seconds for row in self.rows)


def overview_of(results: Results) -> Overview:
    """Reads results once, and keeps a row of each video."""
    rows = [_row(number, result, results.header) for number, result in enumerate(results, start=1)]
    rows.sort(key=lambda row: (row.confidence is None, row.confidence or 0.0, row.number))
    counts = Counter(action for row in rows for action in row.actions)
    known = results.header.actions
    ordered = sorted(known, key=lambda action: (-counts[action], known.index(action)))
    return Overview(tuple(rows), {action: place for place, action in enumerate(ordered)})


def confidence_of(result: VideoResult) -> float | None:
    """How sure the model is of what it says of a video, from 0 to 1.

    Where there are bouts, the mean of their scores, each as often as it is long; else the
    probability of the likeliest action. None of a video that the model says nothing of.
    """
    if not result.is_answered:
        return None
    lengths = [max(bout.stop - bout.start, 0.0) for bout in result.bouts]
    if sum(lengths) > 0:
        return float(np.average([bout.score for bout in result.bouts], weights=lengths))
    return float(result.actions.max())


def _row(number: int, result: VideoResult, header: Header) -> Row:
    return Row(
        number=number,
        name=result.name,
        path=result.path,
        problem=result.problem,
        confidence=confidence_of(result),
        actions=() if result.blank else _shown_actions(result, header),
        animals=() if result.blank else _shown_animals(result, header),
        seconds=length_of(result),
        blank=result.blank,
    )


def _shown_actions(result: VideoResult, header: Header) -> tuple[str, ...]:
    if result.windows is None:
        return _likely(header.actions, result.actions)
    return _longest([(bout.action, bout.stop - bout.start) for bout in result.bouts])


def _shown_animals(result: VideoResult, header: Header) -> tuple[str, ...]:
    if result.windows is None:
        return _likely(header.animals, result.animals)
    return _longest([(b.animal, b.stop - b.start) for b in result.bouts if b.animal])


def _likely(labels: Sequence[str], probabilities: np.ndarray) -> tuple[str, ...]:
    """The likeliest label, and all others that are likely."""
    ranked = top(labels, probabilities, len(probabilities))
    return tuple(
        label
        for place, (label, probability) in enumerate(ranked)
        if probability >= _SHOWN_FROM or (place == 0 and probability > 0)
    )


def _longest(times: Sequence[tuple[str, float]]) -> tuple[str, ...]:
    """Labels by their time, the longest first."""
    total: dict[str, float] = defaultdict(float)
    for label, seconds in times:
        total[label] += seconds
    return tuple(sorted(total, key=lambda label: -total[label]))
