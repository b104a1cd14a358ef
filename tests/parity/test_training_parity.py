"""Losses and optimizer steps beside torch's."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from animal_clip_jax.training import losses, optimizer
from animal_clip_jax.training.optimizer import BASE, DECAY_ONLY, NEW

torch = pytest.importorskip("torch")

RANDOM = np.random.default_rng(0)
LOGITS = (3 * RANDOM.standard_normal((6, 7))).astype(np.float32)
MULTI_HOT = np.float32(RANDOM.random((6, 7)) < 0.3)
MULTI_HOT[0] = 0  # a clip without any label
ONE_HOT = np.eye(7, dtype=np.float32)[[0, 6, 3, 2, 6, 4]]
SOFT = RANDOM.dirichlet(np.ones(7), 6).astype(np.float32)
COUNTS = np.array([400, 120, 60, 33, 10, 4, 1])
CLIPS = 500
SCALE = 100.0


def _cross_entropy(logits, targets):
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none")


def _binary_cross_entropy(logits, targets):
    return torch.nn.functional.binary_cross_entropy_with_logits(
        logits, targets, reduction="none"
    ).mean(1)


def _asymmetric(logits, targets):
    """Positives: (1−p)^γ₊ log p. Negatives: q^γ₋ log(1−q), with q = max(p − m, 0)."""
    p = torch.sigmoid(logits)
    q = torch.relu(p - 0.05)
    positive = (1 - p).detach() ** 1 * torch.log(p)
    negative = q.detach() ** 2 * torch.log(1 - q)
    return -torch.where(targets == 1, positive, negative).sum(1)


def _distribution_balanced(logits, targets):
    """Wu et al., 2020, equations 4 to 9: rebalanced weights r̂, class bias ν, scale λ of negatives,
    and focal loss upon it all."""
    frequency = torch.tensor(COUNTS, dtype=torch.float64) / CLIPS
    inverse = 1 / (frequency * CLIPS)
    rebalance = inverse / (targets * inverse).sum(1, keepdim=True)
    smooth = 0.1 + torch.sigmoid(10 * (rebalance - 0.2))
    bias = 0.05 * torch.log(1 / frequency - 1)
    shifted = logits.double() - bias
    total = 0
    for sign, scale, which in ((1, 1, targets == 1), (-1, 2, targets == 0)):
        right = torch.sigmoid(sign * scale * shifted)
        focal = 2 * (1 - right) ** 2 * -torch.log(right)
        total = total + which * smooth * focal / scale
    return total.mean(1)


def _focal(logits, targets):
    """Lin et al., 2017, equation 5, positives and negatives each for themselves."""
    p = torch.sigmoid(logits)
    positive = -0.25 * (1 - p) ** 2 * torch.log(p)
    negative = -0.75 * p**2 * torch.log(1 - p)
    return torch.where(targets == 1, positive, negative).mean(1)


def _ldam(logits, targets):
    """Cao et al., 2019, as its authors compute it: from cosines and the number of the class."""
    margins = 1 / torch.tensor(COUNTS, dtype=torch.float64).sqrt().sqrt()
    margins = margins * (0.5 / margins.max())
    action = targets.argmax(1)
    cosines = logits.double() / SCALE
    lowered = cosines - margins[action][:, None] * targets
    return torch.nn.functional.cross_entropy(SCALE * lowered, action, reduction="none")


CASES = [
    (losses.cross_entropy, _cross_entropy, MULTI_HOT),
    (losses.cross_entropy, _cross_entropy, SOFT),
    (losses.binary_cross_entropy, _binary_cross_entropy, MULTI_HOT),
    (losses.binary_cross_entropy, _binary_cross_entropy, SOFT),
    (losses.asymmetric, _asymmetric, MULTI_HOT),
    (losses.DistributionBalanced(COUNTS, CLIPS), _distribution_balanced, MULTI_HOT),
    (losses.focal, _focal, MULTI_HOT),
    (losses.Ldam(COUNTS, SCALE), _ldam, ONE_HOT),
]


@pytest.mark.parametrize(("ours", "theirs", "targets"), CASES)
def test_losses_and_their_gradients(ours, theirs, targets):
    logits = torch.tensor(LOGITS, requires_grad=True)
    expected = theirs(logits, torch.tensor(targets))
    expected.sum().backward()
    values, gradient = ours(LOGITS, targets), jax.grad(lambda x: ours(x, targets).sum())(LOGITS)
    np.testing.assert_allclose(values, expected.detach(), rtol=2e-6, atol=1e-7)
    np.testing.assert_allclose(gradient, logits.grad, rtol=1e-5, atol=1e-7)


def test_adamw_steps():
    """Groups with their own scheduled rates, decayed and not, beside torch.optim.AdamW."""
    shapes = {
        "visual.proj.kernel": (5, 4),
        "visual.proj.bias": (2, 2),
        "visual.position_embedding": (3, 4),
        "graph.layers.0.kernel": (4, 3),
        "graph.layers.0.norm.scale": (3,),
        "action_prompts.layers.0.attention.query.kernel": (4, 4),
        "action_prompts.layers.0.attention_norm.scale": (4,),
    }
    decayed = {"visual.proj.kernel", "graph.layers.0.kernel"} | {
        "action_prompts.layers.0.attention.query.kernel"
    }
    groups = optimizer.parameter_groups(shapes)
    assert set(groups.values()) == {BASE, NEW, DECAY_ONLY}
    rates = {
        group: optimizer.learning_rate_schedule(base, minimum=1e-4, warmup_steps=2, total_steps=8)
        for group, base in ((BASE, 1e-2), (NEW, 1e-1))
    }
    ours = optimizer.build_optimizer(groups, rates, weight_decay=0.3)

    random = np.random.default_rng(1)
    values = {
        path: random.standard_normal(shape).astype(np.float32) for path, shape in shapes.items()
    }
    theirs = {path: torch.tensor(value, requires_grad=True) for path, value in values.items()}
    adamw = torch.optim.AdamW(
        [
            {"params": [theirs[path]], "weight_decay": 0.3 if path in decayed else 0.0}
            for path in shapes
        ],
        betas=(0.9, 0.98),
        eps=1e-8,
    )
    values = jax.tree.map(jnp.asarray, values)
    state = ours.init(values)
    update = jax.jit(ours.update)
    for step in range(8):
        gradients = {
            path: np.float32(0 if groups[path] == DECAY_ONLY else 10.0 ** random.integers(-6, 2))
            * random.standard_normal(shape).astype(np.float32)
            for path, shape in shapes.items()
        }
        for torch_group, path in zip(adamw.param_groups, shapes, strict=True):
            torch_group["lr"] = float(rates[BASE if groups[path] == BASE else NEW](step))
            theirs[path].grad = torch.tensor(gradients[path])
        adamw.step()
        updates, state = update(gradients, state, values)
        values = optax.apply_updates(values, updates)
        for path, value in values.items():
            np.testing.assert_allclose(value, theirs[path].detach(), rtol=1e-6, atol=1e-6)
