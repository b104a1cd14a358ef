"""Fused attention beside a closed form in float64, and which devices have it."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from flax import nnx

from animal_clip_jax.models.attention import (
    RECOMPUTED,
    XLA,
    Attention,
    at_even_length,
    attend,
    fused_kernel,
)
from animal_clip_jax.models.layers import CrossFrameBlock
from animal_clip_jax.models.video import VideoTower

INTERPRETED = Attention("pallas", interpreted=True)


def attended(query_key_value, num_queries: int, attention: Attention, bias=0.0) -> jax.Array:
    """Of what `packed` makes; its heads apart."""
    rows, tokens, _, heads, head_dim = query_key_value.shape
    flat = query_key_value.reshape(rows, tokens, 3, -1)
    found = attend(
        *(flat[:, :, part] for part in range(3)),
        jnp.broadcast_to(jnp.asarray(bias, flat.dtype), (3, heads * head_dim)),
        num_queries=num_queries,
        head_dim=head_dim,
        attention=attention,
    )
    return found.reshape(rows, num_queries, heads, head_dim)


def packed(rows: int, tokens: int, heads: int, head_dim: int) -> np.ndarray:
    """Random queries, keys and values; queries that make some weights large, and most small."""
    values = np.random.default_rng(tokens).standard_normal((rows, tokens, 3, heads, head_dim))
    values[:, :, 0] *= 4
    return values.astype(np.float32)


def closed_form(query_key_value: np.ndarray, num_queries: int, cotangent: np.ndarray):
    """softmax(Q Kᵀ / √d) V in float64, and its gradient by hand: with P the weights and G the
    cotangent, dV = Pᵀ G, dS = P ⊙ (G Vᵀ - rowsum(P ⊙ G Vᵀ)), dQ = dS K / √d, dK = dSᵀ Q / √d."""
    query, key, value = np.moveaxis(np.float64(query_key_value), (2, 3), (0, 2))
    query, root = query[:, :, :num_queries], query.shape[-1] ** 0.5
    powers = np.exp(query @ key.swapaxes(-1, -2) / root)
    weights = powers / powers.sum(axis=-1, keepdims=True)
    given = np.moveaxis(np.float64(cotangent), 2, 1)
    of_weights = given @ value.swapaxes(-1, -2)
    of_scores = weights * (of_weights - (weights * of_weights).sum(axis=-1, keepdims=True))
    gradient = np.zeros((3, *key.shape))
    gradient[0, :, :, :num_queries] = of_scores @ key / root
    gradient[1] = of_scores.swapaxes(-1, -2) @ query / root
    gradient[2] = weights.swapaxes(-1, -2) @ given
    return np.moveaxis(weights @ value, 1, 2), np.moveaxis(gradient, (0, 2), (2, 3))


# The published towers' 197 patches with the message of their frame, and 577 at 336 pixels; heads
# that fill no vector of 128; and a row whose tokens all ask.
@pytest.mark.parametrize("attention", [INTERPRETED, RECOMPUTED], ids=lambda it: it.kernel)
@pytest.mark.parametrize(
    ("shape", "num_queries"),
    [((2, 198, 2, 64), 197), ((1, 578, 1, 64), 577), ((3, 6, 3, 32), 5), ((2, 7, 1, 80), 7)],
)
def test_it_computes_attention_and_its_gradient(attention, shape, num_queries):
    values = packed(*shape)
    cotangent = np.random.default_rng(1).standard_normal((shape[0], num_queries, *shape[2:]))
    cotangent = cotangent.astype(np.float32)

    bias = np.random.default_rng(2).standard_normal((3, shape[2] * shape[3])).astype(np.float32)

    run = jax.jit(lambda values, bias: attended(values, num_queries, attention, bias))
    found, pull = jax.vjp(run, values, bias)
    biased = values + bias.reshape(3, *shape[2:])
    expected, gradient = closed_form(biased, num_queries, cotangent)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    of_values, of_bias = pull(cotangent)
    largest = np.abs(gradient).max()
    np.testing.assert_allclose(of_values, gradient, atol=1e-4 * largest)
    sums = gradient.sum(axis=(0, 1)).reshape(3, -1)
    np.testing.assert_allclose(of_bias, sums, atol=1e-4 * max(largest, np.abs(sums).max()))


@pytest.mark.parametrize("attention", [INTERPRETED, RECOMPUTED], ids=lambda it: it.kernel)
def test_it_computes_in_bfloat16(attention):
    """As close to float64 as a format of 8 bits is: half a unit in the last place is 2^-9."""
    values = jnp.asarray(packed(2, 198, 2, 64), jnp.bfloat16)
    found = attended(values, 197, attention)
    assert found.dtype == jnp.bfloat16
    expected, _ = closed_form(values, 197, np.zeros(found.shape))
    np.testing.assert_allclose(np.float64(found), expected, atol=2**-7 * np.abs(expected).max())


@pytest.mark.parametrize("tokens", [6, 7])
def test_a_program_for_even_lengths_serves_odd_ones(tokens):
    given = []

    def even_only(query, key, value, lengths):
        given.append(query.shape[1])
        return jax.nn.dot_product_attention(query, key, value, key_value_seq_lengths=lengths)

    values = packed(2, tokens, 2, 16)
    flat = values.reshape(2, tokens, 3, -1)
    found = at_even_length(
        *(flat[:, :, part] for part in range(3)), head_dim=16, function=even_only
    ).reshape(2, tokens, 2, 16)
    assert given[0] % 2 == 0
    expected, _ = closed_form(values, tokens, np.zeros(found.shape))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def device(platform: str, **known: str) -> types.SimpleNamespace:
    """What is asked of a device that is not at hand."""
    return types.SimpleNamespace(platform=platform, **known)


V5E, V4 = (device("tpu", device_kind=f"TPU {kind}") for kind in ("v5 lite", "v4"))
H100, V100, AMD = (
    device("gpu", compute_capability=capability) for capability in ("9.0", "7.0", "gfx942")
)


B16 = {"tokens": 198, "heads": 12, "head_dim": 64}
L14 = {"tokens": 578, "heads": 16, "head_dim": 64}  # at 336 pixels


@pytest.mark.parametrize(
    ("of", "model", "dtype", "kernel"),
    [
        (V5E, B16, "bfloat16", "pallas"),
        (V5E, B16, "float32", "pallas"),
        (V5E, L14, "bfloat16", "pallas"),
        (V4, B16, "bfloat16", "pallas"),
        (H100, B16, "bfloat16", "cudnn"),
        (device("gpu", compute_capability="10.3"), B16, "bfloat16", "cudnn"),
        (device("cuda"), B16, "bfloat16", "cudnn"),
    ],
)
def test_what_has_a_fused_kernel(of, model, dtype, kernel):
    assert fused_kernel(of, **model, dtype=jnp.dtype(dtype)) == (kernel, "")


@pytest.mark.parametrize(
    ("of", "model", "dtype", "reason"),
    [
        (device("cpu"), B16, "bfloat16", "cpu devices have none"),
        (H100, B16, "float32", "computes in bfloat16, not in float32"),
        (V100, B16, "bfloat16", "from Ampere on"),
        (AMD, B16, "bfloat16", "from Ampere on"),
        (H100, {**B16, "head_dim": 60}, "bfloat16", "those here have 60"),
        (V5E, {**B16, "tokens": 16_386}, "bfloat16", "16386 tokens of width 768 do not fit"),
        # As the compiler says: "Used 23.72M of 16.00M vmem".
        (V4, L14, "bfloat16", "578 tokens of width 1024 do not fit"),
    ],
)
def test_what_has_none(of, model, dtype, reason):
    kernel, why = fused_kernel(of, **model, dtype=jnp.dtype(dtype))
    assert not kernel and reason in why


def test_a_fused_tower_is_the_same_tower():
    """Of one block, whose patches are asked for; and its gradient in training."""
    architecture = dataclasses.replace(tiny.ARCHITECTURE, vision_layers=1)
    pixels = np.random.default_rng(0).standard_normal((2, 3, 16, 16, 3)).astype(np.float32)

    def result_of(attention):
        tower = tiny.randomised(
            lambda rngs: VideoTower(architecture, attention=attention, dtype=jnp.float32, rngs=rngs)
        )
        tower.blocks[0].drop_path_rate = 0.5
        graphdef, state = nnx.split(tower)

        def total(state):
            tower = nnx.merge(graphdef, state)
            features, patches = tower(pixels, with_patches=True, key=jax.random.key(0))
            looked_at = tower.attention_weights(pixels)
            return jnp.sum(features**2) + jnp.sum(patches**2), (features, patches, looked_at)

        return jax.jit(jax.grad(total, has_aux=True))(state)

    expected = result_of(XLA)
    for attention in (INTERPRETED, RECOMPUTED):
        jax.tree.map(
            lambda found, expected: np.testing.assert_allclose(
                found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max()
            ),
            result_of(attention),
            expected,
        )


def test_what_is_in_the_place_of_the_message_is_of_no_account():
    """A fused block overwrites it: neither its result nor its gradient knows what was there."""
    block = tiny.randomised(
        lambda rngs: CrossFrameBlock(
            32,
            2,
            depth=2,
            activation="quick_gelu",
            drop_path_rate=0.0,
            attention=INTERPRETED,
            dtype=jnp.float32,
            rngs=rngs,
        )
    )

    @jax.jit
    def result_and_gradient(x):
        def total(x):
            tokens = block(x, num_frames=3)[:, :-1]
            return jnp.sum(tokens**2), tokens

        return jax.grad(total, has_aux=True)(x)

    x = jnp.asarray(np.random.default_rng(0).standard_normal((6, 6, 32)), jnp.float32)
    (gradient, expected), (_, found) = map(result_and_gradient, (x, x.at[:, -1].set(7.0)))
    np.testing.assert_array_equal(found, expected)
    assert not gradient[:, -1].any() and gradient[:, :-1].all()
