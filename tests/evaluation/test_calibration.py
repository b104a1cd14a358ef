"""Calibration: against scikit-learn, scipy, closed forms and searches through everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit, softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import f1_score, log_loss

from animal_clip_jax.evaluation import calibration
from animal_clip_jax.evaluation.calibration import (
    answers,
    calibrated,
    cross_fitted,
    expected_calibration_error,
    fit_temperature,
    fit_thresholds,
    negative_log_likelihood,
    probabilities_of,
    reliability,
)

OUTPUTS = ("softmax", "sigmoid")


def made(outputs, *, clips=400, views=2, classes=4, temperature=3.0, seed=0):
    """Logits that are `temperature` times too large for what they are the logits of."""
    random = np.random.default_rng(seed)
    honest = random.normal(0, 1.5, (clips, 1, classes)).repeat(views, axis=1)
    if outputs == "softmax":
        shares = softmax(honest[:, 0], axis=1).cumsum(axis=1)
        labels = (shares > random.random((clips, 1))).argmax(axis=1)
        targets = np.eye(classes, dtype=bool)[labels]
    else:
        targets = random.random((clips, classes)) < expit(honest[:, 0])
    return honest * temperature, targets


@pytest.mark.parametrize("bins", [1, 5, 10])
def test_the_curve_is_sklearns(bins):
    random = np.random.default_rng(0)
    probabilities = random.random(200)
    is_right = random.random(200) < probabilities**2
    found = reliability(probabilities, is_right, bins)
    accuracies, confidences = calibration_curve(
        is_right, probabilities, n_bins=bins, strategy="quantile"
    )
    np.testing.assert_allclose(found.confidences, confidences)
    np.testing.assert_allclose(found.accuracies, accuracies)
    assert found.counts.tolist() == [200 // bins] * bins
    expected = sum(abs(a - c) / bins for a, c in zip(accuracies, confidences, strict=True))
    assert expected_calibration_error(found) == pytest.approx(expected)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=40),
    st.integers(1, 8),
    st.randoms(),
)
def test_equal_answers_are_in_one_bin_and_order_does_not_matter(pairs, bins, random):
    def curve(pairs):
        probabilities, is_right = zip(*pairs, strict=True)
        return reliability(np.array(probabilities) / 6, np.array(is_right), bins)

    found = curve(pairs)
    assert found.counts.sum() == len(pairs) and (found.counts > 0).all()
    assert (np.diff(found.confidences) > 0).all()
    assert (found.counts * found.accuracies).sum() == pytest.approx(sum(r for _, r in pairs))
    shuffled = list(pairs)
    random.shuffle(shuffled)
    for ours, theirs in zip(found, curve(shuffled), strict=True):
        np.testing.assert_allclose(ours, theirs)


def test_an_honest_model_has_no_error_and_one_that_boasts_has_all():
    probabilities = np.repeat([0.25, 0.75], 100)
    is_right = np.concatenate([np.arange(100) < 25, np.arange(100) < 75])
    assert expected_calibration_error(reliability(probabilities, is_right)) == pytest.approx(0)
    wrong = reliability(np.ones(10), np.zeros(10))
    assert expected_calibration_error(wrong) == 1 and wrong.counts.tolist() == [10]


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("outputs", OUTPUTS)
def test_the_likelihood_is_sklearns_of_the_mean_of_the_views(outputs, views):
    logits, targets = made(outputs, clips=30, views=views)
    logits = logits + np.random.default_rng(1).normal(size=logits.shape)
    for temperature in (0.5, 2.0):
        each = softmax(logits / temperature, axis=2) if outputs == "softmax" else expit(
            logits / temperature
        )  # fmt: skip
        mean = each.mean(axis=1)
        np.testing.assert_allclose(probabilities_of(logits, temperature, outputs), mean)
        if outputs == "softmax":
            expected = log_loss(targets.argmax(axis=1), mean)
        else:
            expected = log_loss(targets.reshape(-1), mean.reshape(-1))
        assert negative_log_likelihood(logits, targets, temperature, outputs) == pytest.approx(
            expected
        )


def test_the_likelihood_is_finite_where_float32_is_not():
    logits = np.array([[[0.0, 4000.0]]])
    targets = np.array([[1, 0]])
    assert negative_log_likelihood(logits, targets, 1, "softmax") == pytest.approx(4000)
    assert negative_log_likelihood(logits, targets, 1, "sigmoid") == pytest.approx(
        (np.log(2) + 4000) / 2
    )


def test_of_several_labels_under_a_softmax_the_mean_counts():
    logits, targets = np.array([[[1.0, 2.0, 0.0]]]), np.array([[1, 1, 0]])
    shares = softmax([1.0, 2.0, 0.0])
    expected = -(np.log(shares[0]) + np.log(shares[1])) / 2
    assert negative_log_likelihood(logits, targets, 1, "softmax") == pytest.approx(expected)


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("outputs", OUTPUTS)
def test_the_temperature_is_scipys(outputs, views):
    logits, targets = made(outputs, views=views)
    logits = logits + np.random.default_rng(2).normal(size=logits.shape)
    found = fit_temperature(logits, targets, outputs)
    expected = minimize_scalar(
        lambda t: negative_log_likelihood(logits, targets, t, outputs),
        bounds=(0.05, 20),
        method="bounded",
        options={"xatol": 1e-8},
    ).x
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("temperature", [0.4, 5.0])
@pytest.mark.parametrize("outputs", OUTPUTS)
def test_a_known_temperature_is_found_again_and_the_error_goes(outputs, temperature):
    logits, targets = made(outputs, clips=4000, temperature=temperature)
    found = fit_temperature(logits, targets, outputs)
    assert found == pytest.approx(temperature, rel=0.1)
    before = calibrated(logits, targets, 1.0, outputs)
    after = calibrated(logits, targets, found, outputs)
    held_out = cross_fitted(logits, targets, [str(k) for k in range(4000)], outputs)
    assert after.nll < before.nll and after.ece < 0.03 < before.ece
    assert after.nll < held_out.nll < before.nll and held_out.ece < 0.03


def test_two_answers_have_a_temperature_in_closed_form():
    """Of n clips with logits (x, 0), of which a share s is right: 1 / (1 + exp(-x / T)) = s."""
    logits = np.tile([2.0, 0.0], (10, 1, 1))
    targets = np.eye(2, dtype=bool)[[0] * 7 + [1] * 3]
    assert fit_temperature(logits, targets, "softmax") == pytest.approx(
        2 / np.log(0.7 / 0.3), rel=1e-5
    )


def test_clips_that_are_all_right_or_that_say_nothing_give_no_temperature():
    logits = np.tile([2.0, 0.0], (10, 1, 1))
    assert fit_temperature(logits, np.eye(2)[[0] * 10], "softmax") is None
    # Rather wrong than right: the flatter the better.
    assert fit_temperature(logits, np.eye(2)[[0] * 3 + [1] * 7], "softmax") is None


def test_each_clip_is_judged_without_its_group():
    """Clips of one group are copies: fitted with its own copies, a wrong one would be known."""
    logits, targets = made("softmax", clips=60)
    copied, copied_targets = np.repeat(logits, 5, axis=0), np.repeat(targets, 5, axis=0)
    groups = [str(number) for number in range(60)]
    once = cross_fitted(logits, targets, groups, "softmax")
    often = cross_fitted(copied, copied_targets, np.repeat(groups, 5), "softmax")
    assert often.nll == pytest.approx(once.nll, rel=1e-4)
    alone = cross_fitted(copied, copied_targets, [str(k) for k in range(300)], "softmax")
    assert alone.nll != pytest.approx(once.nll, rel=1e-4)
    assert cross_fitted(logits, targets, ["one", "two"] * 30, "softmax") is None


@settings(max_examples=25)
@given(st.integers(5, 30), st.integers(0, 2**31))
def test_thresholds_have_the_highest_f1_that_there_is(clips, seed):
    random = np.random.default_rng(seed)
    probabilities = np.round(random.random((clips, 2)), 1)
    targets = random.random((clips, 2)) < probabilities
    found = fit_thresholds(probabilities, targets)
    for label in range(2):
        possible = np.unique(probabilities[:, label])
        scores = {
            threshold: f1_score(
                targets[:, label], probabilities[:, label] >= threshold, zero_division=0
            )
            for threshold in possible
        }
        best = max(scores.values())
        if targets[:, label].sum() < calibration.LEAST_POSITIVES:
            assert np.isnan(found[label])
        elif np.isnan(found[label]):
            assert scores[possible[0]] == pytest.approx(best)
        else:
            ours = f1_score(targets[:, label], probabilities[:, label] >= found[label])
            assert ours == pytest.approx(best) and found[label] not in possible


def test_a_threshold_is_between_the_clips_that_it_tells_apart():
    probabilities = np.array(
        [[0.9, 0.5], [0.8, 0.5], [0.8, 0.5], [0.7, 0.5], [0.7, 0.5], [0.2, 0.5]]
    )
    targets = np.array([[1, 1], [1, 1], [1, 1], [1, 1], [1, 1], [0, 0]])
    found = fit_thresholds(probabilities, targets)
    assert found[0] == pytest.approx(0.45) and np.isnan(found[1])


def test_answers_of_a_clip():
    probabilities = [[0.2, 0.8], [0.6, 0.4]]
    targets = [[1, 0], [1, 0]]
    values, right = answers(probabilities, targets, "softmax")
    assert values.tolist() == [0.8, 0.6] and right.tolist() == [False, True]
    values, right = answers(probabilities, targets, "sigmoid")
    assert values.tolist() == [0.2, 0.8, 0.6, 0.4]
    assert right.tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("probabilities", "is_right", "message"),
    [
        ([], [], "at least one"),
        ([0.5], [1, 0], "expected \\(n,\\) of both"),
        ([1.5], [1], "from 0 to 1"),
        ([np.nan], [1], "from 0 to 1"),
    ],
)
def test_what_is_no_answer_is_refused(probabilities, is_right, message):
    with pytest.raises(ValueError, match=message):
        reliability(probabilities, is_right)
