"""How well the segments that are found along videos agree with the true ones.

A segment is a stretch of a video with a label: (start, stop, label), found ones with a score. The
segments of a video may follow each other without a gap (one label at a time), leave gaps, or
overlap (several labels at a time). How far two segments agree is their overlap: the length that
they have in common, over the length that they cover together.

Every function takes the segments of several videos: `truth` and `found` have one sequence a video,
in the same order, and what is counted is counted over all videos.

    >>> truth = [[Segment(0, 4, "Eating"), Segment(4, 6, "Running")]]
    >>> found = [[Segment(0, 5, "Eating", 0.9), Segment(5, 6, "Running", 0.6)]]
    >>> segment_f1(truth, found), edit_score(truth, found), mean_boundary_error(truth, found)
    (1.0, 1.0, 1.0)
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np


class Segment(NamedTuple):
    """A stretch of a video.

    Attributes:
        start, stop: in seconds; stop is after start.
        label: of what is shown.
        score: how sure of it whoever found it is.
    """

    start: float
    stop: float
    label: str
    score: float = 1.0


Videos = Sequence[Sequence[Segment]]


def overlap(one: Segment, other: Segment) -> float:
    """The length in common over the length together, from 0 to 1; labels do not matter."""
    common = min(one.stop, other.stop) - max(one.start, other.start)
    if common <= 0:
        return 0.0
    return common / (one.stop - one.start + other.stop - other.start - common)


def segment_f1(truth: Videos, found: Videos, least_overlap: float = 0.5) -> float:
    """The F1 of segments (Lea et al., "Temporal Convolutional Networks for Action Segmentation and
    Detection", 2017).

    A found segment is right if the true one of its label that it overlaps most does so by
    `least_overlap` and no earlier segment has claimed that; so both wrong and broken segments count
    against it.

    Returns:
        2 right / (found + true); 1 where there are neither.
    """
    right = num_true = num_found = 0
    for true_ones, found_ones in zip(truth, found, strict=True):
        right += sum(_claims(true_ones, sorted(found_ones), least_overlap))
        num_true += len(true_ones)
        num_found += len(found_ones)
    return 2 * right / (num_true + num_found) if num_true + num_found else 1.0


def mean_average_precision(truth: Videos, found: Videos, least_overlap: float = 0.5) -> float:
    """The mean over labels of the average precision of their segments (ActivityNet's mAP).

    The found segments of a label are taken by their score, highest first, over all videos; one is
    right as in `segment_f1`. The average precision is the area under the curve of precision over
    recall, where the precision at a recall is the highest from there on.

    Returns:
        over the labels that are true somewhere; nan without any.
    """
    by_label: defaultdict[str, list[tuple[float, bool]]] = defaultdict(list)
    counts: defaultdict[str, int] = defaultdict(int)
    for true_ones, found_ones in zip(truth, found, strict=True):
        for segment in true_ones:
            counts[segment.label] += 1
        ranked = sorted(found_ones, key=lambda segment: -segment.score)
        for segment, is_right in zip(
            ranked, _claims(true_ones, ranked, least_overlap), strict=True
        ):
            by_label[segment.label].append((segment.score, is_right))
    precisions = [
        _average_precision(by_label[label], number) for label, number in sorted(counts.items())
    ]
    return float(np.mean(precisions)) if precisions else float("nan")


def edit_score(truth: Videos, found: Videos) -> float:
    """How alike the orders of the labels are, whatever the times: the mean over videos of
    1 - edits / the longer number of segments, where an edit adds, removes or changes a segment.

    Segments that overlap are in the order of their starts, and then of their labels.
    """
    scores = []
    for true_ones, found_ones in zip(truth, found, strict=True):
        ours, theirs = _order(true_ones), _order(found_ones)
        longest = max(len(ours), len(theirs))
        scores.append(1 - _edits(ours, theirs) / longest if longest else 1.0)
    return float(np.mean(scores)) if scores else float("nan")


def mean_boundary_error(truth: Videos, found: Videos) -> float:
    """How far cuts are from where they should be, in seconds, whatever the labels.

    A cut is a time at which a segment starts or stops. Of every true cut the distance to the
    nearest found one, and of every found one to the nearest true one: the mean of the two means, so
    that cuts that are missing count, and cuts that are too many. The beginning and the end of a
    video, where its first true segment starts and its last one stops, are cuts that both have and
    that are not counted themselves.

    Returns:
        nan where there is no cut to compare.
    """
    to_found: list[float] = []
    to_true: list[float] = []
    for true_ones, found_ones in zip(truth, found, strict=True):
        if not true_ones:
            continue
        ends = (min(one.start for one in true_ones), max(one.stop for one in true_ones))
        ours, theirs = _cuts(true_ones, ends), _cuts(found_ones, ends)
        to_found += _distances(ours, [*theirs, *ends])
        to_true += _distances(theirs, [*ours, *ends])
    means = [np.mean(distances) for distances in (to_found, to_true) if distances]
    return float(np.mean(means)) if means else float("nan")


def _claims(
    truth: Sequence[Segment], found: Sequence[Segment], least_overlap: float
) -> Iterator[bool]:
    """Whether each of the found segments, in their order, is right."""
    claimed: set[int] = set()
    for segment in found:
        alike = [number for number, one in enumerate(truth) if one.label == segment.label]
        if not alike:
            yield False
            continue
        overlaps = [overlap(truth[number], segment) for number in alike]
        nearest = alike[int(np.argmax(overlaps))]
        is_right = nearest not in claimed and max(overlaps) >= least_overlap
        if is_right:
            claimed.add(nearest)
        yield is_right


def _average_precision(found: list[tuple[float, bool]], number: int) -> float:
    found = sorted(found, key=lambda pair: -pair[0])
    right = np.cumsum([is_right for _, is_right in found])
    precision = right / np.arange(1, len(found) + 1)
    highest_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    gains = np.diff(right, prepend=0)
    return float((highest_from_here * gains).sum() / number)


def _order(segments: Sequence[Segment]) -> list[str]:
    return [segment.label for segment in sorted(segments, key=lambda one: (one.start, one.label))]


def _edits(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """The Levenshtein distance."""
    before = list(range(len(theirs) + 1))
    for row, label in enumerate(ours, start=1):
        now = [row]
        for column, other in enumerate(theirs, start=1):
            change = before[column - 1] + (label != other)
            now.append(min(before[column] + 1, now[-1] + 1, change))
        before = now
    return before[-1]


def _cuts(segments: Sequence[Segment], ends: tuple[float, float]) -> list[float]:
    """Where segments start and stop between the ends of the video."""
    times = {time for one in segments for time in (one.start, one.stop)}
    return sorted(time for time in times if ends[0] < time < ends[1])


def _distances(cuts: Sequence[float], others: Sequence[float]) -> list[float]:
    return [min(abs(cut - other) for other in others) for cut in cuts]
