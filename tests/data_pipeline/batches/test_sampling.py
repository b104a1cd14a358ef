"""Which frames are looked at, against the formulas in exact arithmetic."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.batches.sampling import evaluation_positions, training_positions, uniform_indices

FRAMES = st.integers(1, 5000)
SAMPLES = st.integers(1, 32)


@given(FRAMES, SAMPLES)
def test_one_view_takes_the_middle_of_each_segment(n, samples):
    found = evaluation_positions(np.array([n]), samples, 1)[0, 0]
    assert found.tolist() == [
        floor(Fraction(i * n, samples) + Fraction(n, 2 * samples)) for i in range(samples)
    ]


@given(FRAMES, SAMPLES, st.integers(1, 5))
def test_views_share_the_frames_of_one_longer_view(n, samples, views):
    found = evaluation_positions(np.array([n]), samples, views)[0]
    together = evaluation_positions(np.array([n]), samples * views, 1)[0, 0]
    assert found.shape == (views, samples)
    assert found.T.ravel().tolist() == together.tolist()


@given(SAMPLES, st.integers(0, 5000), st.integers(0, 2**32))
def test_training_draws_one_frame_from_each_segment(samples, more, seed):
    n = samples + more
    uniforms = np.random.default_rng(seed).random((1, samples))
    found = training_positions(np.array([n]), uniforms)[0]
    segment = n // samples
    starts = np.arange(samples) * segment
    assert (starts <= found).all()
    assert (found < starts + segment).all()


@given(st.integers(2, 32), st.integers(0, 2**32), st.data())
def test_training_on_a_clip_of_fewer_frames_than_are_drawn(samples, seed, data):
    """round(i n/T) in exact arithmetic, halves to the even number."""
    n = data.draw(st.integers(1, samples - 1), label="frames")
    uniforms = np.random.default_rng(seed).random((1, samples))
    found = training_positions(np.array([n]), uniforms)[0]
    expected = [min(round(Fraction(i * n, samples)), n - 1) for i in range(samples)]
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (1, [0, 0, 0, 0, 0, 0, 0, 0]),
        (2, [0, 0, 0, 1, 1, 1, 1, 1]),  # 0, 0.25, 0.5, 0.75, 1, ...
        (3, [0, 0, 1, 1, 2, 2, 2, 2]),  # 0, 0.375, 0.75, 1.125, 1.5, 1.875, 2.25, 2.625
        (5, [0, 1, 1, 2, 2, 3, 4, 4]),  # 0, 0.625, 1.25, 1.875, 2.5, 3.125, 3.75, 4.375
        (7, [0, 1, 2, 3, 4, 4, 5, 6]),  # 0, 0.875, 1.75, 2.625, 3.5, 4.375, 5.25, 6.125
    ],
)
def test_training_on_short_clips(n, expected):
    """round(i n/8), by hand; no frame lies beyond the last."""
    for value in (0.0, 0.999):
        assert training_positions(np.array([n]), np.full((1, 8), value))[0].tolist() == expected


def test_training_draws_every_frame_of_a_segment_alike():
    uniforms = np.random.default_rng(0).random((20_000, 4))
    found = training_positions(np.full(20_000, 22), uniforms)
    for segment in range(4):
        counts = np.bincount(found[:, segment] - 5 * segment, minlength=5)
        assert counts.shape == (5,)
        # Five standard deviations of a binomial count around 4000.
        assert abs(counts - 4000).max() < 5 * np.sqrt(20_000 * 0.2 * 0.8)


def test_the_edges_of_the_unit_interval_stay_inside():
    n = np.array([1, 3, 8, 9, 64, 5000])
    for value in (0.0, np.nextafter(1.0, 0.0)):
        found = training_positions(n, np.full((len(n), 8), value))
        assert (found >= 0).all()
        assert (found < n[:, None]).all()


@given(FRAMES, st.integers(0, 100))
def test_stored_frames_are_distinct_and_as_many_as_allowed(n, most):
    found = uniform_indices(n, most)
    assert len(found) == (n if most == 0 else min(n, most))
    assert (np.diff(found) > 0).all()
    assert found[0] >= 0
    assert found[-1] < n
    if 1 < most < n:
        # No gap is more than one frame larger than another.
        assert np.ptp(np.diff(found)) <= 1


@pytest.mark.parametrize(("n", "expected"), [(1, [0, 0, 0, 0]), (3, [0, 1, 1, 2])])
def test_short_clips_repeat_frames_in_order(n, expected):
    assert evaluation_positions(np.array([n]), 4, 1)[0, 0].tolist() == expected
