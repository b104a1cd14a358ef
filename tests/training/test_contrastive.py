"""The loss of pairs, and the factor of its logits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import torch

from animal_clip_jax.models import parameters
from animal_clip_jax.models.clip import Clip
from animal_clip_jax.models.normalisation import IMAGENET
from animal_clip_jax.parallel.mesh import AXES, make_mesh
from animal_clip_jax.training import optimizer
from animal_clip_jax.training.contrastive import (
    MOST_LOGIT_SCALE,
    contrastive_loss,
    make_contrastive_step,
)
from animal_clip_jax.training.state import create_state


def unit(rows: int, width: int, seed: int) -> np.ndarray:
    features = np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


@pytest.mark.parametrize("scale", [0.0, 2.6, MOST_LOGIT_SCALE])
def test_the_loss_and_its_gradients_are_those_of_torch(scale):
    """Cross entropies of the rows and of the columns, as the paper's pseudo-code has them."""
    given = (unit(7, 5, 0), unit(7, 5, 1), np.float32(scale))
    images, texts, log_factor = (torch.tensor(array, requires_grad=True) for array in given)
    logits = log_factor.exp() * images @ texts.T
    labels = torch.arange(7)
    cross_entropy = torch.nn.functional.cross_entropy
    expected = (cross_entropy(logits, labels) + cross_entropy(logits.T, labels)) / 2
    expected.backward()
    found, gradients = jax.jit(jax.value_and_grad(contrastive_loss, (0, 1, 2)))(*given)
    np.testing.assert_allclose(found, expected.item(), rtol=1e-5)
    for gradient, tensor in zip(gradients, (images, texts, log_factor), strict=True):
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_pairs_that_are_all_alike_cannot_be_told_apart():
    """Each of them is as likely as any other: log(pairs)."""
    same = jnp.tile(unit(1, 4, 0), (6, 1))
    np.testing.assert_allclose(contrastive_loss(same, same, jnp.float32(3.0)), np.log(6), rtol=1e-6)


def test_the_factor_rises_to_100_and_can_fall_again():
    """It is cut after the step, as published: a gradient that is cut would leave it there."""
    mesh = make_mesh(dict.fromkeys(AXES, 1), jax.devices()[:1])
    graphdef, abstract = parameters.abstract(
        lambda: Clip(tiny.ARCHITECTURE, rngs=parameters.rngs_for_shapes())
    )
    values = tiny.random_parameters(abstract)
    values["logit_scale"] = np.float32(MOST_LOGIT_SCALE - 0.1)
    groups = {path: optimizer.BASE for path in values}
    pairs = tiny.pairs(4)
    gradient = _gradient_of_factor(graphdef, values, pairs)
    # Plain descent, whose direction is that of the gradient.
    reached = {}
    for name, rate in (("up", -1e3), ("down", 1e-2)):
        descent = _descent(rate)
        state, shardings = create_state(dict(values), groups, descent, seed=0, mesh=mesh)
        step = make_contrastive_step(
            graphdef, descent, normalisation=IMAGENET, mesh=mesh, state_shardings=shardings
        )
        state, metrics = step(state, pairs)
        reached[name] = float(state.trained["logit_scale"])
        np.testing.assert_allclose(metrics["logit_factor"], np.exp(values["logit_scale"]), 1e-5)
    # Random pairs are told apart wrongly, so that the loss wants a smaller factor.
    assert gradient > 0
    np.testing.assert_allclose(reached["up"], np.log(100), rtol=1e-6)
    expected = values["logit_scale"] - 1e-2 * gradient
    np.testing.assert_allclose(reached["down"], expected, rtol=1e-5)


def _descent(rate: float):
    import optax

    def only_the_factor(updates, state, values=None):
        return {
            path: update if path == "logit_scale" else jnp.zeros_like(update)
            for path, update in updates.items()
        }, state

    alone = optax.GradientTransformation(lambda values: optax.EmptyState(), only_the_factor)
    return optax.chain(alone, optax.scale(-rate))


def _gradient_of_factor(graphdef, values, pairs) -> float:
    """From the logits that the model itself gives."""
    pixels = (pairs["images"] - np.asarray(IMAGENET.mean, np.float32)) / np.asarray(IMAGENET.std)

    @jax.jit
    def score(values):
        return parameters.merge(graphdef, values)(pixels.astype(np.float32), pairs["tokens"])

    logits = np.asarray(score(values), np.float64)
    rows = np.exp(logits - logits.max(1, keepdims=True))
    columns = np.exp(logits - logits.max(0, keepdims=True))
    rows, columns = rows / rows.sum(1, keepdims=True), columns / columns.sum(0, keepdims=True)
    weights = (rows + columns) / 2 - np.eye(len(logits))
    return float((weights * logits).sum() / len(logits))
