"""What all formats take for the bouts of a video."""

import dataclasses

import made_results as made
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animal_clip_jax.inference.formats.timeline import (
    frame_rate_of,
    length_of,
    readable,
    written_bouts,
)
from animal_clip_jax.inference.results import Bout, Media, VideoResult

times = st.integers(0, 40).map(lambda tenths: tenths / 10)
bouts = st.lists(
    st.builds(
        lambda start, length, action, animal, score: Bout(
            start, start + length, action, animal, score
        ),
        times,
        st.integers(0, 15).map(lambda tenths: tenths / 10),
        st.sampled_from(made.ACTIONS[:2]),
        st.sampled_from(("", "Red Fox")),
        st.floats(0, 1),
    ),
    max_size=8,
)


@given(bouts)
@settings(max_examples=60)
def test_bouts_cover_what_they_covered_and_neither_overlap_nor_touch(given_bouts):
    video = dataclasses.replace(
        made.WITH_BOUTS, media=Media(4.0, 25.0, 100, 2, 2), bouts=tuple(given_bouts)
    )
    found = written_bouts(video, made.HEADER, 0.5)
    for pair in {(bout.action, bout.animal) for bout in given_bouts}:
        # Tenths of a second, counted one by one, up to the end of the video.
        covered = np.zeros((2, 40), bool)
        for row, several in enumerate((given_bouts, found)):
            for bout in several:
                if (bout.action, bout.animal) == pair:
                    covered[row, round(bout.start * 10) : round(bout.stop * 10)] = True
        np.testing.assert_array_equal(*covered)
        own = [bout for bout in found if (bout.action, bout.animal) == pair]
        assert all(first.stop < second.start for first, second in zip(own, own[1:], strict=False))
    assert all(0 <= bout.start < bout.stop <= 4.0 and 0 <= bout.score <= 1 for bout in found)
    assert [bout.start for bout in found] == sorted(bout.start for bout in found)


def test_the_score_of_bouts_that_touch_is_their_mean_by_length():
    eating = written_bouts(made.WITH_BOUTS, made.HEADER, 0.5)[0]
    # 2 s of 0.8, 1 s of 0.5, 1.5 s of 0.6, taken together two by two.
    assert (eating.start, eating.stop) == (1.0, 5.0)
    assert eating.score == pytest.approx((3 * (2 * 0.8 + 0.5) / 3 + 1.5 * 0.6) / 4.5)


def test_a_video_without_windows_is_one_bout_of_its_likeliest_action():
    assert written_bouts(made.WHOLE, made.HEADER, 0.5) == [
        Bout(0.0, 4.0, made.ACTIONS[1], made.ANIMALS[1], pytest.approx(0.7))
    ]


@pytest.mark.parametrize(
    "threshold, expected", [(0.5, ["A", "C"]), (0.2, ["A", "B", "C"]), (1, []), (None, ["A", "C"])]
)
def test_with_several_labels_it_has_a_bout_for_each_above_the_threshold(threshold, expected):
    header = dataclasses.replace(made.HEADER, actions=("A", "B", "C"), multi_label=True)
    video = dataclasses.replace(made.WHOLE, actions=made.probabilities(0.5, 0.3, 0.9))
    assert [bout.action for bout in written_bouts(video, header, threshold)] == expected
    # A calibrated model has thresholds of its own, unless one is asked for.
    calibrated = dataclasses.replace(header, settings={"thresholds": {"A": 0.6, "B": 0.25}})
    found = [bout.action for bout in written_bouts(video, calibrated, threshold)]
    assert found == (["B", "C"] if threshold is None else expected)


@pytest.mark.parametrize(
    "video",
    [
        made.FAILED,
        made.BLANK,
        made.NOTHING_FOUND,
        dataclasses.replace(made.WHOLE, blank=True),
        dataclasses.replace(made.WITH_BOUTS, blank=True),
    ],
)
def test_nothing_is_found_where_nothing_was(video):
    assert written_bouts(video, made.HEADER, 0.5) == []


def test_a_length_and_rate_that_nobody_says_are_zero():
    assert (length_of(made.FAILED), frame_rate_of(made.FAILED)) == (0.0, 0.0)
    assert frame_rate_of(dataclasses.replace(made.WHOLE, media=Media(4.0, 0.0, 10, 2, 2))) == 2.5
    nothing = VideoResult("a", "a", media=Media(0.0, 0.0, 0, 0, 0), actions=made.probabilities(1))
    assert (length_of(nothing), frame_rate_of(nothing)) == (0.0, 0.0)


def test_names_of_any_bytes_can_be_written():
    name = b"caf\xe9\n.mp4".decode("utf-8", "surrogateescape")
    assert readable(name) == "caf\ufffd .mp4"
    assert readable("f\u00fcchse \U0001f98a\ud800") == "f\u00fcchse \U0001f98a\ufffd"
