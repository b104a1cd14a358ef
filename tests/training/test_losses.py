"""The losses against closed forms; tests/parity/test_training_parity.py compares with torch."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from animal_clip_jax.errors import UserError
from animal_clip_jax.run import assembly
from animal_clip_jax.training import losses
from configs import default

LOGITS = np.float32([[0.5, -1.0, 2.0, 0.0], [-3.0, 4.0, 0.1, 1.0]])
COUNTS = np.array([50, 5, 1, 20])


# Losses of every action by itself, and losses of one action against the others.
SIGMOID = ("binary_cross_entropy", "asymmetric", "distribution_balanced", "focal")
SOFTMAX = ("cross_entropy", "ldam")


def _build(name: str, **changes):
    arguments = {"positives": COUNTS, "num_clips": 100, "logit_scale": 10.0, **changes}
    return losses.build(name, **arguments)


def test_cross_entropy_of_even_logits_is_the_logarithm_of_the_number_of_actions():
    value = losses.cross_entropy(jnp.zeros((1, 8)), jnp.eye(8)[:1])
    np.testing.assert_allclose(value, [math.log(8)], rtol=1e-6)


def test_cross_entropy_is_the_sum_over_the_labels_of_a_multi_label_clip():
    one_by_one = [losses.cross_entropy(LOGITS, np.eye(4)[[k, k]]) for k in (0, 2)]
    both = losses.cross_entropy(LOGITS, jnp.float32([[1, 0, 1, 0]] * 2))
    np.testing.assert_allclose(both, one_by_one[0] + one_by_one[1], rtol=1e-6)


def test_cross_entropy_is_linear_in_soft_targets():
    first, second = np.eye(4)[[0, 1]], np.eye(4)[[3, 2]]
    mixed = losses.cross_entropy(LOGITS, 0.3 * first + 0.7 * second)
    expected = 0.3 * losses.cross_entropy(LOGITS, first) + 0.7 * losses.cross_entropy(
        LOGITS, second
    )
    np.testing.assert_allclose(mixed, expected, rtol=1e-6)


def test_binary_cross_entropy_of_zero_logits():
    value = losses.binary_cross_entropy(jnp.zeros((2, 4)), jnp.ones((2, 4)))
    np.testing.assert_allclose(value, [math.log(2)] * 2, rtol=1e-6)


def test_asymmetric_loss_ignores_negatives_below_the_clip():
    """sigmoid(−4) = 0.018 is below 0.05, sigmoid(0) is not."""
    targets = jnp.float32([[1, 0]])
    confident = losses.asymmetric(jnp.float32([[1, -4]]), targets)
    more_confident = losses.asymmetric(jnp.float32([[1, -40]]), targets)
    undecided = losses.asymmetric(jnp.float32([[1, 0]]), targets)
    np.testing.assert_array_equal(confident, more_confident)
    positive = 1 / (1 + math.exp(-1))
    np.testing.assert_allclose(confident, [-(1 - positive) * math.log(positive)], rtol=1e-6)
    added = -(0.45**2) * math.log(0.55)
    np.testing.assert_allclose(undecided - confident, [added], rtol=1e-5)


def test_asymmetric_focusing_weight_has_no_gradient():
    """With it held fixed at 1 − p, the slope of a positive's −(1 − p) log p is −(1 − p)²."""
    slope = jax.grad(lambda x: losses.asymmetric(x, jnp.ones((1, 1))).sum())(jnp.zeros((1, 1)))
    np.testing.assert_allclose(slope, [[-0.25]], rtol=1e-6)


def test_distribution_balanced_rare_label_weighs_more_than_the_frequent_one_beside_it():
    loss = _build("distribution_balanced")
    targets = jnp.float32([[1, 0, 1, 0]])
    slope = jax.grad(lambda x: loss(x, targets).sum())(jnp.zeros((1, 4)))[0]
    assert slope[2] < 5 * slope[0] < 0


def test_distribution_balanced_without_its_parts_is_binary_cross_entropy():
    plain = losses.DistributionBalanced(
        COUNTS,
        100,
        alpha=0.5,
        beta=0.0,  # every weight is sigmoid(0) + α = 1
        focal_gamma=0.0,
        focal_balance=1.0,
        negative_scale=1.0,
        initial_bias=0.0,
    )
    targets = jnp.float32([[1, 0, 1, 0], [0, 0, 0, 1]])
    np.testing.assert_allclose(
        plain(LOGITS, targets), losses.binary_cross_entropy(LOGITS, targets), rtol=1e-6
    )


def test_distribution_balanced_bias_lowers_what_is_rare():
    """A zero logit is read as the (scaled) log odds of the action's frequency."""
    loss = losses.DistributionBalanced(
        np.array([1]), 100, beta=0.0, alpha=0.5, focal_gamma=0.0, focal_balance=1.0
    )
    value = loss(jnp.zeros((1, 1)), jnp.ones((1, 1)))
    np.testing.assert_allclose(value, [math.log1p(math.exp(0.05 * math.log(99)))], rtol=1e-6)


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_distribution_balanced_class_bias(variant):
    """Wu et al., 2020, equation 9, in NumPy: a positive costs log(1 + e^{−(z − ν)}), a negative
    log(1 + e^{λ(z − ν)}) / λ, each weighed by r̂ and focused. With p the share of clips,
    ν = 0.05 log(1/p − 1) in the paper; the authors' code has that over λ = 2."""
    frequency = COUNTS / 100
    shift = 0.05 * np.log(1 / frequency - 1) / {"paper": 1, "code": 2}[variant]
    targets = np.array([[1, 0, 1, 0], [0, 1, 0, 0]])
    inverse = 1 / COUNTS
    rebalance = inverse / (targets * inverse).sum(axis=1, keepdims=True)
    weight = 0.1 + 1 / (1 + np.exp(-10 * (rebalance - 0.2)))
    positive = np.log1p(np.exp(-(LOGITS - shift)))
    negative = np.log1p(np.exp(2 * (LOGITS - shift)))
    entropy = np.where(targets == 1, positive, negative)
    focus = 2 * (1 - np.exp(-entropy)) ** 2
    expected = (weight * focus * entropy / np.where(targets == 1, 1, 2)).mean(axis=1)
    loss = _build("distribution_balanced", distribution_balanced_bias=variant)
    np.testing.assert_allclose(loss(LOGITS, np.float32(targets)), expected, rtol=1e-5)
    if variant == "paper":
        unsaid = _build("distribution_balanced")
        np.testing.assert_array_equal(
            unsaid(LOGITS, np.float32(targets)), loss(LOGITS, np.float32(targets))
        )


@pytest.mark.parametrize("name", ["distribution_balanced", "cross_entropy"])
def test_an_unknown_variant_of_the_class_bias(name):
    with pytest.raises(
        UserError, match="config.distribution_balanced_bias is 'both'; expected 'paper' or 'code'"
    ):
        _build(name, distribution_balanced_bias="both")


@pytest.mark.parametrize(
    ("name", "reduction", "fields"),
    [
        ("cross_entropy", "mean", {}),
        ("distribution_balanced", "mean", {"distribution_balanced_bias": "code"}),
        ("distribution_balanced", "mean", {"distribution_balanced_bias": "paper"}),
        ("ldam", "mean", {}),
        ("asymmetric", "sum", {}),
    ],
)
def test_the_loss_of_a_configuration(name, reduction, fields):
    config = default.get_config()
    config.loss = name
    config.update(fields)
    loss, found = assembly.make_loss(config, COUNTS, 100, logit_scale=10.0)
    assert found == reduction
    targets = jnp.float32([[1, 0, 1, 0], [0, 1, 0, 0]])
    np.testing.assert_array_equal(loss(LOGITS, targets), _build(name, **fields)(LOGITS, targets))


@pytest.mark.parametrize("positives", [0, 100])
def test_distribution_balanced_of_an_action_in_no_clip_or_in_all(positives):
    loss = losses.DistributionBalanced(np.array([positives, 10]), 100)
    for targets in (jnp.zeros((1, 2)), jnp.ones((1, 2))):
        value, slope = jax.value_and_grad(lambda x, y=targets: loss(x, y).sum())(jnp.zeros((1, 2)))
        assert np.isfinite(value) and np.all(np.isfinite(slope))


@pytest.mark.parametrize(("targets", "alpha"), [([1, 1], 0.25), ([0, 0], 0.75), ([1, 0], 0.5)])
def test_focal_loss_of_undecided_logits(targets, alpha):
    """A quarter of log 2, times α for a positive and 1 − α for a negative."""
    value = losses.focal(jnp.zeros((1, 2)), jnp.float32([targets]))
    np.testing.assert_allclose(value, [alpha * 0.25 * math.log(2)], rtol=1e-6)


def test_focal_loss_without_focus_is_half_the_binary_cross_entropy():
    targets = np.eye(4, dtype=np.float32)[[1, 2]]
    half = losses.focal(LOGITS, targets, alpha=0.5, gamma=0.0)
    np.testing.assert_allclose(half, losses.binary_cross_entropy(LOGITS, targets) / 2, rtol=1e-6)


@pytest.mark.parametrize("scale", [10.0, 100.0])
def test_ldam_lowers_the_true_action_by_its_margin(scale):
    """The cosine of the rarest by max_margin, of one with 16 times its clips by half of that:
    −log of e^{s(cos_y − m_y)} / (e^{s(cos_y − m_y)} + Σ_{k≠y} e^{s cos_k})."""
    cosines = np.array([0.3, -0.1, 0.25, 0.2])
    loss = losses.Ldam(np.array([16, 1, 16, 81]), scale, max_margin=0.6)
    for action, margin in ((0, 0.3), (1, 0.6), (3, 0.2)):
        target = np.eye(4)[action]
        powers = np.exp(scale * (cosines - margin * target))
        expected = -math.log(powers[action] / powers.sum())
        value = loss(np.float32([scale * cosines]), np.float32([target]))
        np.testing.assert_allclose(value, [expected], rtol=1e-5)


@pytest.mark.parametrize("scale", [1 / 0.07, 100.0])
def test_ldams_margin_is_one_of_cosines_whatever_the_scale(scale):
    """Two actions are alike likely where the true one's cosine is ahead by its margin, 0.5 for the
    rarest of all."""
    loss = _build("ldam", positives=np.array([1, 16]), logit_scale=scale)
    for cosines, target in (([0.4, -0.1], [1, 0]), ([0.1, 0.35], [0, 1])):
        value = loss(scale * jnp.float32([cosines]), jnp.float32([target]))
        np.testing.assert_allclose(value, [math.log(2)], rtol=1e-5)


@pytest.mark.parametrize("name", losses.REDUCTIONS)
@settings(max_examples=50, derandomize=True)
@given(
    logits=arrays(np.float32, (2, 4), elements=st.floats(-200, 200, width=32)),
    targets=arrays(np.float32, (2, 4), elements=st.floats(0, 1, width=32)),
)
def test_finite_and_never_negative_whatever_the_logits(name, logits, targets):
    """Soft targets and saturated logits included, in value and gradient."""
    loss = _build(name)
    values = loss(jnp.asarray(logits), jnp.asarray(targets))
    slopes = jax.grad(lambda x: jnp.sum(loss(x, jnp.asarray(targets))))(jnp.asarray(logits))
    assert values.shape == (2,) and values.dtype == jnp.float32
    assert np.all(np.isfinite(values)) and np.all(np.isfinite(slopes))
    assert np.all(values >= -1e-6)


@pytest.mark.parametrize("name", losses.REDUCTIONS)
def test_computes_in_float32(name):
    logits, targets = jnp.asarray(LOGITS, jnp.bfloat16), jnp.eye(4)[:2]
    expected = _build(name)(logits.astype(jnp.float32), targets)
    np.testing.assert_array_equal(_build(name)(logits, targets), expected)


def test_the_asymmetric_loss_alone_is_published_as_a_sum_over_the_batch():
    assert {name for name, how in losses.REDUCTIONS.items() if how == "sum"} == {"asymmetric"}
    assert set(losses.REDUCTIONS.values()) == {"sum", "mean"}
    assert set(losses.REDUCTIONS) == {*SIGMOID, *SOFTMAX}


@pytest.mark.parametrize("name", [*SIGMOID, *SOFTMAX])
def test_what_turns_logits_into_probabilities(name):
    """A sigmoid where no action's slope depends on another's logit; a softmax where nothing but
    differences of logits counts."""
    loss = _build(name)
    targets = np.float32([[1, 0, 0, 0], [0, 0, 1, 0]])
    slope = jax.grad(lambda x: jnp.sum(loss(x, targets)))
    changed = LOGITS + np.float32([0, 0, 0, 0.7])
    is_by_itself = bool(np.all(slope(LOGITS)[:, :3] == slope(changed)[:, :3]))
    counts_differences = np.allclose(loss(LOGITS + 3, targets), loss(LOGITS, targets), rtol=1e-5)
    assert (is_by_itself, counts_differences) == (name in SIGMOID, name in SOFTMAX)
    assert losses.OUTPUTS[name] == ("sigmoid" if name in SIGMOID else "softmax")


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("binary_cross_entropy", [0.9, 0.5, 0.05, 0.7]),  # several actions a clip
        ("cross_entropy", [0.6, 0.25, 0.05, 0.1]),
    ],
)
def test_the_output_of_the_best_logits_are_the_shares_of_the_clips(name, shares):
    """The loss over clips of which a share shows each action, minimised by Newton's method."""
    loss, targets = _build(name), np.float32([shares])

    def total(logits):
        return jnp.sum(loss(logits[None], targets))

    @jax.jit
    def step(logits):
        # A softmax has a direction in which nothing changes, where the inverse does not exist.
        inverse = jnp.linalg.pinv(jax.hessian(total)(logits), rtol=1e-4)
        return logits - inverse @ jax.grad(total)(logits)

    logits = jnp.zeros(4)
    for _ in range(10):
        logits = step(logits)
    outputs = {"sigmoid": jax.nn.sigmoid, "softmax": jax.nn.softmax}
    np.testing.assert_allclose(outputs[losses.OUTPUTS[name]](logits), shares, atol=1e-4)


def test_unknown_loss():
    with pytest.raises(UserError, match="config.loss is 'hinge'; expected one of cross_entropy"):
        _build("hinge")
