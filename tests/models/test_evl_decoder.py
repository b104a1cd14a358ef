"""EVL's decoder beside plain loops in NumPy, and what is trained of the model."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from flax import nnx

from animal_clip_jax.errors import UserError
from animal_clip_jax.models import parameters
from animal_clip_jax.models.evl import EVL, EVL_ARCHITECTURES, is_trained
from animal_clip_jax.models.evl_decoder import DecoderLayer

CLIPS, FRAMES, SIDE, HEADS, HEAD_DIM, WIDTH = 2, 3, 2, 2, 4, 8
PATCHES = SIDE**2
TINY = dataclasses.replace(EVL_ARCHITECTURES["tiny"], num_frames=3, image_size=16, layers=2)
RANDOM = np.random.default_rng(0)
TOKENS = RANDOM.standard_normal((CLIPS, FRAMES, 1 + PATCHES, WIDTH)).astype(np.float32)
QUERY, KEY = RANDOM.standard_normal((2, CLIPS, FRAMES, 1 + PATCHES, HEADS, HEAD_DIM)).astype(
    np.float32
)
PIXELS = RANDOM.standard_normal((2, 3, 16, 16, 3)).astype(np.float32)


def _layer(rngs: nnx.Rngs) -> DecoderLayer:
    return DecoderLayer(
        WIDTH,
        2,
        num_frames=FRAMES,
        side=SIDE,
        activation="quick_gelu",
        dtype=jnp.float32,
        rngs=rngs,
    )


@pytest.fixture(scope="module")
def layer() -> DecoderLayer:
    return tiny.randomised(_layer)


def _told(clip: int, frame: int, other: int, patch: int, table: np.ndarray) -> np.ndarray:
    """What one patch of a frame receives from the patches of another."""
    total = np.zeros(WIDTH)
    for head in range(HEADS):
        products = [
            QUERY[clip, frame, 1 + patch, head] @ KEY[clip, other, 1 + key, head]
            for key in range(PATCHES)
        ]
        weights = np.exp(np.array(products) / math.sqrt(HEAD_DIM))
        weights /= weights.sum()
        for key in range(PATCHES):
            row = patch // SIDE - key // SIDE + SIDE - 1
            column = patch % SIDE - key % SIDE + SIDE - 1
            total += weights[key] / HEADS * table[row * (2 * SIDE - 1) + column]
    return total


def test_motion_is_a_plain_loop(layer):
    expected = np.zeros((CLIPS, FRAMES, 1 + PATCHES, WIDTH))
    past, future = np.asarray(layer.past[...]), np.asarray(layer.future[...])
    for clip, frame, patch in np.ndindex(CLIPS, FRAMES, PATCHES):
        if frame >= 1:
            expected[clip, frame, 1 + patch] += _told(clip, frame, frame - 1, patch, past)
        if frame <= FRAMES - 2:
            expected[clip, frame, 1 + patch] += _told(clip, frame, frame + 1, patch, future)
    np.testing.assert_allclose(layer.motion(QUERY, KEY), expected, rtol=1e-4, atol=1e-5)


def test_the_convolution_over_time_is_a_plain_loop(layer):
    kernel = np.asarray(layer.temporal_convolution.kernel[...])[:, 0]
    bias = np.asarray(layer.temporal_convolution.bias[...])
    expected = np.zeros_like(TOKENS) + bias
    for frame in range(FRAMES):
        for tap in range(3):
            if 0 <= frame + tap - 1 < FRAMES:
                expected[:, frame] += kernel[tap] * TOKENS[:, frame + tap - 1]
    found = layer.temporal_convolution(TOKENS)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def model():
    graphdef, abstract = parameters.abstract(
        lambda: EVL(TINY, num_classes=5, rngs=parameters.rngs_for_shapes())
    )
    return graphdef, tiny.random_parameters(abstract)


def test_nothing_frozen_gets_a_gradient_and_all_else_does(model):
    graphdef, values = model

    @jax.jit
    def training(values, key):
        def loss(values):
            logits = parameters.merge(graphdef, values)(PIXELS, key=key)
            return jnp.sum(logits**2), logits

        return jax.value_and_grad(loss, has_aux=True)(values)

    ((_, logits), gradients), ((_, again), _), ((_, other), _) = (
        training(values, jax.random.key(seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(again, logits)  # dropout is by the key alone
    assert np.abs(other - logits).max() > 1e-4
    for path, gradient in gradients.items():
        # The same number added to all logits of a query changes nothing.
        is_without = not is_trained(path) or path.endswith("attention.key.bias")
        assert (np.abs(gradient).max() > 1e-4) != is_without, path
    graphdef, values = model
    assert not is_trained("visual.blocks.0.mlp.expand.kernel") and is_trained("head.kernel")


def test_initial_values():
    """As published: uniform by Xavier, torch's own for convolution and head, biases of 1e-6."""
    architecture = dataclasses.replace(TINY, width=64, layers=1, decoder_layers=1)
    rngs = nnx.Rngs(jax.random.key(0, impl="rbg"))
    _, values = parameters.split(EVL(architecture, num_classes=50, rngs=rngs))
    bounds = {
        **{f"attention.{name}.kernel": 6 / (2 * 64) for name in ("query", "key", "value", "out")},
        "mlp.expand.kernel": 6 / (5 * 64),
        "mlp.contract.kernel": 6 / (5 * 64),
        "temporal_convolution.kernel": 1 / 3,
        "temporal_convolution.bias": 1 / 3,
    }
    bounds = {f"layers.0.{name}": math.sqrt(square) for name, square in bounds.items()}
    bounds |= {"head.kernel": 64**-0.5, "head.bias": 64**-0.5}
    trained = {path: value for path, value in values.items() if is_trained(path)}
    assert bounds.keys() < trained.keys()
    for path, value in trained.items():
        if path in bounds:
            assert 0.9 * bounds[path] < np.abs(value).max() <= bounds[path], path
            assert np.std(value) == pytest.approx(bounds[path] / math.sqrt(3), rel=0.2), path
        elif path.startswith("layers.0.mlp.") and path.endswith("bias"):
            assert np.std(value) == pytest.approx(1e-6, rel=0.4), path
        else:
            assert (value == (1 if path.endswith("scale") else 0)).all(), path
    assert (values["visual.patch_embedding.bias"] == 0).all()


def test_published_dimensions():
    large = EVL_ARCHITECTURES["ViT-L/14"]
    assert (large.width, large.layers, large.heads, large.decoder_heads) == (1024, 24, 16, 16)
    assert (large.decoder_layers, large.side, large.num_frames) == (4, 16, 8)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"image_size": 30}, "image_size 30 is not a multiple of patch_size 8"),
        ({"decoder_layers": 4}, "decoder_layers is 4; expected 1 to 2"),
        ({"decoder_heads": 5}, "decoder_heads is 5; expected a divisor of width 32"),
        ({"num_frames": 0}, "num_frames is 0"),
    ],
)
def test_dimensions_that_do_not_fit(changes, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(TINY, **changes)


@pytest.mark.parametrize("shape", [(2, 16, 16, 3), (3, 24, 24, 3)])
def test_clips_of_another_shape(model, shape):
    graphdef, values = model
    clips = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    with pytest.raises(UserError, match=r"clips are .*; this EVL takes \(3, 16, 16, 3\)"):
        jax.eval_shape(lambda v, c: parameters.merge(graphdef, v)(c), values, clips)
