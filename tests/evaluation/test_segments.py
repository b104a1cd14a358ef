"""Figures of segments, against slow independent ones and cases counted by hand."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from animal_clip_jax.evaluation.segments import (
    Segment,
    edit_score,
    mean_average_precision,
    mean_boundary_error,
    overlap,
    segment_f1,
)

LABELS = "ABC"


def timeline(*parts):
    """Segments that follow each other, of (label, seconds)."""
    stops = np.cumsum([seconds for _, seconds in parts])
    return [
        Segment(stop - seconds, stop, label)
        for (label, seconds), stop in zip(parts, stops, strict=True)
    ]


# Whole seconds, so that frames of a second are exact.
timelines = st.lists(
    st.tuples(st.sampled_from(LABELS), st.integers(1, 4)), min_size=1, max_size=6
).map(lambda parts: timeline(*parts))
overlapping = st.lists(
    st.builds(
        lambda start, length, label, score: Segment(start, start + length, label, score),
        st.integers(0, 12),
        st.integers(1, 5),
        st.sampled_from(LABELS),
        st.floats(0, 1),
    ),
    max_size=6,
    unique_by=lambda segment: segment.score,
)


def seconds_of(segment):
    return set(range(int(segment.start), int(segment.stop)))


@given(overlapping.filter(lambda segments: len(segments) > 1))
def test_overlap_is_that_of_the_seconds(segments):
    one, other = segments[:2]
    ours, theirs = seconds_of(one), seconds_of(other)
    assert overlap(one, other) == pytest.approx(len(ours & theirs) / len(ours | theirs))


def right_ones(truth, found):
    """Which of the found ones are right, by frames, taken in their order."""
    taken, right = [], []
    for segment in found:
        shares = [
            len(seconds_of(one) & seconds_of(segment)) / len(seconds_of(one) | seconds_of(segment))
            if one.label == segment.label
            else -1
            for one in truth
        ]
        best = int(np.argmax(shares)) if shares else None
        hit = best is not None and shares[best] >= 0.5 and best not in taken
        if hit:
            taken.append(best)
        right.append(hit)
    return right


@settings(max_examples=50)
@given(st.lists(st.tuples(overlapping, overlapping), min_size=1, max_size=3))
def test_f1_counts_right_wrong_and_missed(videos):
    truth, found = zip(*videos, strict=True)
    right = sum(sum(right_ones(a, sorted(b))) for a, b in videos)
    wrong = sum(map(len, found)) - right
    missed = sum(map(len, truth)) - right
    expected = 2 * right / (2 * right + wrong + missed) if right + wrong + missed else 1
    assert segment_f1(truth, found) == pytest.approx(expected)


@settings(max_examples=50)
@given(st.lists(st.tuples(overlapping, overlapping), min_size=1, max_size=3))
def test_map_is_the_area_under_the_highest_precisions(videos):
    truth, found = zip(*videos, strict=True)
    expected = []
    for label in sorted({one.label for ones in truth for one in ones}):
        ranked = []
        for ones, others in videos:
            of_label = sorted((s for s in others if s.label == label), key=lambda s: -s.score)
            ranked += zip(
                [s.score for s in of_label],
                right_ones([s for s in ones if s.label == label], of_label),
                strict=True,
            )
        ranked.sort(key=lambda pair: -pair[0])
        number = sum(one.label == label for ones in truth for one in ones)
        points = [
            (sum(hit for _, hit in ranked[:k]) / number, sum(h for _, h in ranked[:k]) / k)
            for k in range(1, len(ranked) + 1)
        ]
        area = 0.0
        for recall in range(1, number + 1):
            reached = [precision for r, precision in points if r >= recall / number - 1e-9]
            area += max(reached, default=0) / number
        expected.append(area)
    result = mean_average_precision(truth, found)
    if not expected:
        assert np.isnan(result)
    elif len({s.score for others in found for s in others}) == sum(map(len, found)):
        assert result == pytest.approx(np.mean(expected))


def test_map_where_precision_only_falls_is_sklearns():
    """There, its highest from a recall on is its own."""
    truth = [[Segment(0, 2, "A"), Segment(4, 6, "A"), Segment(8, 10, "A")]]
    found = [
        [
            Segment(0, 2, "A", 0.9),
            Segment(4, 6, "A", 0.8),
            Segment(20, 21, "A", 0.7),
            Segment(8, 10, "A", 0.6),
        ]
    ]
    expected = average_precision_score([1, 1, 0, 1], [0.9, 0.8, 0.7, 0.6])
    assert mean_average_precision(truth, found) == pytest.approx(expected)
    # A label that is nowhere true counts nothing, one that is nowhere found 0.
    more = [[*truth[0], Segment(6, 7, "B")]]
    found[0].append(Segment(6, 7, "C", 0.5))
    assert mean_average_precision(more, found) == pytest.approx(expected / 2)


@settings(max_examples=50)
@given(st.lists(st.tuples(timelines, timelines), min_size=1, max_size=3))
def test_edits_are_the_fewest(videos):
    @functools.cache
    def fewest(ours, theirs):
        if not ours or not theirs:
            return len(ours) + len(theirs)
        change = fewest(ours[1:], theirs[1:]) + (ours[0] != theirs[0])
        return min(change, fewest(ours[1:], theirs) + 1, fewest(ours, theirs[1:]) + 1)

    expected = []
    for truth, found in videos:
        ours, theirs = ("".join(one.label for one in ones) for ones in (truth, found))
        expected.append(1 - fewest(ours, theirs) / max(len(ours), len(theirs)))
    truth, found = zip(*videos, strict=True)
    assert edit_score(truth, found) == pytest.approx(np.mean(expected))


@settings(max_examples=50)
@given(timelines, timelines)
def test_boundary_errors_are_found_by_trying_all(truth, found):
    end = truth[-1].stop
    ours = {one.stop for one in truth} - {end}
    theirs = {time for one in found for time in (one.start, one.stop) if 0 < time < end}
    one_way = [min(abs(a - b) for b in theirs | {0, end}) for a in ours]
    back = [min(abs(a - b) for b in ours | {0, end}) for a in theirs]
    means = [np.mean(distances) for distances in (one_way, back) if distances]
    result = mean_boundary_error([truth], [found])
    assert result == pytest.approx(np.mean(means)) if means else np.isnan(result)
    assert mean_boundary_error([truth], [truth]) == 0 or not ours


@given(st.lists(timelines, min_size=1, max_size=3))
def test_what_is_true_is_perfect(videos):
    assert segment_f1(videos, videos) == edit_score(videos, videos) == 1
    assert mean_average_precision(videos, videos) == 1


def test_a_broken_segment_costs_f1_but_not_frames():
    truth = [timeline(("A", 9), ("B", 3))]
    broken = [timeline(("A", 4), ("B", 1), ("A", 4), ("B", 3))]
    assert segment_f1(truth, broken) == pytest.approx(2 * 1 / (2 + 4))
    assert edit_score(truth, broken) == 0.5
    # Cuts at 9; at 4, 5 and 9.
    assert mean_boundary_error(truth, broken) == pytest.approx((0 + (4 + 4 + 0) / 3) / 2)


def test_several_labels_at_a_time():
    truth = [[Segment(0, 10, "A"), Segment(2, 6, "B")]]
    found = [[Segment(0, 6, "A"), Segment(3, 6, "B"), Segment(8, 10, "B")]]
    assert segment_f1(truth, found) == pytest.approx(2 * 2 / 5)
    assert edit_score(truth, found) == pytest.approx(1 - 1 / 3)
    # True cuts 2 and 6, found ones 3, 6 and 8, where 10 is the end.
    assert mean_boundary_error(truth, found) == pytest.approx(((1 + 0) / 2 + (1 + 0 + 2) / 3) / 2)


@pytest.mark.parametrize("measure", [segment_f1, edit_score, mean_average_precision])
def test_nothing_found(measure):
    assert measure([timeline(("A", 3), ("B", 2))], [[]]) == 0


def test_both_sides_have_the_same_videos():
    for measure in (segment_f1, edit_score, mean_average_precision, mean_boundary_error):
        with pytest.raises(ValueError):
            measure([[]], [[], []])
