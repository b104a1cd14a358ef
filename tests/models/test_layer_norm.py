"""Layer norm beside a closed form in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from animal_clip_jax.models.layer_norm import LAYER_NORM_EPSILON, layer_norm

WIDTH = 768
HALF_A_PLACE = 2.0**-9  # by which rounding to bfloat16 changes a value, relatively


def closed_form(x, scale, bias, cotangent):
    """The norm and its gradients by x, scale and bias, in float64: with n = (x − mean) / std and
    s = scale · cotangent, that by x is (s − mean(s) − n · mean(s · n)) / std."""
    x, scale, bias, cotangent = (np.float64(array) for array in (x, scale, bias, cotangent))
    std = np.sqrt(x.var(axis=-1, keepdims=True) + LAYER_NORM_EPSILON)
    normed = (x - x.mean(axis=-1, keepdims=True)) / std
    scaled = scale * cotangent
    along = (scaled * normed).mean(axis=-1, keepdims=True)
    of_x = (scaled - scaled.mean(axis=-1, keepdims=True) - normed * along) / std
    rows = tuple(range(x.ndim - 1))
    of_scale = (cotangent * normed).sum(axis=rows)
    return normed * scale + bias, of_x, of_scale, cotangent.sum(axis=rows)


@pytest.mark.parametrize(
    ("dtype", "mean", "tolerance"),
    [
        (jnp.bfloat16, 0, HALF_A_PLACE),
        (jnp.bfloat16, 100, HALF_A_PLACE),
        (jnp.bfloat16, -100, HALF_A_PLACE),
        (jnp.float32, 0, 2e-6),
        (jnp.float32, 100, 2e-5),
    ],
)
def test_a_layer_norm_and_its_gradients(dtype, mean, tolerance):
    """Of the input as it is in its dtype, with a deviation of 1 before that, about any mean."""
    random = np.random.default_rng(0)
    x = jnp.asarray(mean + random.standard_normal((3, 20, WIDTH)), dtype)
    cotangent = jnp.asarray(random.standard_normal(x.shape), dtype)
    norm = layer_norm(WIDTH, dtype=dtype, rngs=nnx.Rngs(0))
    norm.scale[...] = jnp.asarray(1 + 0.25 * random.integers(-2, 3, WIDTH))  # exact in bfloat16
    norm.bias[...] = jnp.asarray(0.25 * random.integers(-2, 3, WIDTH))
    graphdef, values = nnx.split(norm)

    found, pull = jax.vjp(jax.jit(lambda values, x: nnx.merge(graphdef, values)(x)), values, x)
    of_values, of_x = pull(cotangent)
    assert (found.dtype, of_x.dtype) == (dtype, dtype)
    results = (found, of_x, of_values.scale[...], of_values.bias[...])
    expected = closed_form(x, norm.scale[...], norm.bias[...], cotangent)
    for result, exact in zip(results, expected, strict=True):
        np.testing.assert_allclose(
            np.float64(result), exact, rtol=2 * tolerance, atol=tolerance * np.abs(exact).max()
        )


def test_values_that_are_all_the_same_become_the_bias():
    norm = layer_norm(WIDTH, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    norm.bias[...] = jnp.arange(WIDTH) % 8
    x = jnp.full((2, WIDTH), 1000.0, jnp.bfloat16)
    found, pull = jax.vjp(norm, x)
    np.testing.assert_array_equal(np.float32(found), np.float32(norm.bias[...])[None].repeat(2, 0))
    assert jnp.isfinite(pull(found)[0]).all()
