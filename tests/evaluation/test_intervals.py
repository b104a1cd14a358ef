"""Intervals, against those of others and against resamples that are really drawn."""

import numpy as np
import pytest
from scipy import stats

from animal_clip_jax.evaluation import intervals
from animal_clip_jax.evaluation.metrics import average_precisions
from data_pipeline.long_tail import SEGMENTS


@pytest.mark.parametrize(
    ("hits", "clips"), [(0, 1), (1, 1), (0, 20), (3, 20), (20, 20), (297, 320), (5000, 6096)]
)
def test_wilson_is_scipys(hits, clips):
    expected = stats.binomtest(hits, clips).proportion_ci(0.95, method="wilson")
    assert intervals.wilson(hits / clips, clips) == pytest.approx(tuple(expected), abs=1e-9)


def test_around_stays_a_share():
    low, high = intervals.around(0.5, 0.1)
    assert (low, high) == pytest.approx(stats.norm.interval(0.95, 0.5, 0.1))
    assert intervals.around(0.01, 0.1)[0] == 0 and intervals.around(0.99, 0.1)[1] == 1


def test_the_interval_of_a_mean_of_one_share_is_wilsons():
    assert intervals.mean_of_shares([0.3], [40]) == pytest.approx(intervals.wilson(0.3, 40))


def test_the_interval_of_a_mean_holds_it_as_often_as_it_says():
    """In samples that are really drawn of groups whose shares are known."""
    shares, clips = np.array([0.2, 0.5, 0.95]), np.array([60, 25, 40])
    drawn = np.random.default_rng(0).binomial(clips, shares, (4000, 3)) / clips
    bounds = np.array([intervals.mean_of_shares(list(found), list(clips)) for found in drawn])
    holds = (bounds[:, 0] <= shares.mean()) & (shares.mean() <= bounds[:, 1])
    assert 0.94 < holds.mean() < 0.97
    low, high = intervals.mean_of_shares([1.0, 1.0], [20, 20])
    assert 0.8 < low < 1 and high == 1


@pytest.fixture
def scored() -> tuple[np.ndarray, np.ndarray]:
    """Forty clips of six actions; scores tie often, and one action has no clip."""
    random = np.random.default_rng(0)
    targets = random.random((40, 6)) < [0.5, 0.4, 0.3, 0.2, 0.1, 0.0]
    scores = np.round(targets * 0.4 + random.random((40, 6)), 1)
    return scores, targets


def test_a_resample_is_that_of_the_clips_drawn(scored):
    scores, targets = scored
    random = np.random.default_rng(0)
    for found, _ in zip(intervals._resampled(scores, targets), range(20), strict=False):
        drawn = random.integers(0, len(scores), len(scores))
        expected = average_precisions(scores[drawn], targets[drawn])
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_error_is_the_deviation_of_the_means(scored):
    scores, targets = scored
    segments = np.array(["head", "head", "middle", "middle", "tail", "tail"])
    found = intervals.mean_ap_errors(scores, targets, segments)
    random = np.random.default_rng(7)
    means: dict[str, list[float]] = {"mAP_error": [], "mAP_head_error": []}
    for _ in range(2000):
        drawn = random.integers(0, len(scores), len(scores))
        precisions = average_precisions(scores[drawn], targets[drawn])
        means["mAP_error"].append(np.nanmean(precisions))
        means["mAP_head_error"].append(np.nanmean(precisions[:2]))
    for name, values in means.items():
        # Two hundred resamples leave the deviation itself uncertain by a twentieth.
        assert found[name] == pytest.approx(np.std(values), rel=0.2), name
    assert found["clips_head"] == targets[:, :2].any(axis=1).sum()
    assert found == intervals.mean_ap_errors(scores, targets, segments)


def test_a_segment_without_a_clip_is_left_out(scored):
    scores, targets = scored
    segments = np.array(["head"] * 5 + ["tail"])
    found = intervals.mean_ap_errors(scores, targets, segments)
    assert found.keys() == {"mAP_error", "mAP_head_error", "clips_head"}
    assert set(SEGMENTS) == {"head", "middle", "tail"}


def test_more_clips_make_it_smaller(scored):
    scores, targets = scored
    segments = np.array(["head"] * 6)
    few = intervals.mean_ap_errors(scores, targets, segments)["mAP_error"]
    many = intervals.mean_ap_errors(np.tile(scores, (16, 1)), np.tile(targets, (16, 1)), segments)[
        "mAP_error"
    ]
    assert many < 0.5 * few
