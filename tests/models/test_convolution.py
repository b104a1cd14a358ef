"""Convolutions, pools and batch normalisation beside torch and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from animal_clip_jax.errors import UserError
from animal_clip_jax.models import parameters
from animal_clip_jax.models.convolution import (
    BATCH_NORM_EPSILON,
    BatchNorm,
    NormedConvolution,
    max_pool,
    window_means,
)

RANDOM = np.random.default_rng(0)


def channels_first(x):
    return np.moveaxis(np.asarray(x), -1, 1)


def test_batch_statistics_and_their_running_means():
    """Closed form, in float64: the mean square normalises, and the unbiased estimate is kept."""
    norm = BatchNorm(3, dtype=jnp.float32)
    norm.scale[...], norm.bias[...] = jnp.array([1.0, 2.0, -1.0]), jnp.array([0.0, 1.0, 5.0])
    graphdef, values = parameters.split(norm)
    batches = [1000 + RANDOM.standard_normal((2, 3, 2, 2, 3)).astype(np.float32) for _ in range(2)]
    mean, variance = np.zeros(3), np.ones(3)
    for x in batches:
        found, statistics = parameters.with_new_statistics(
            graphdef, values, lambda norm, x=x: norm(x, training=True)
        )
        rows = x.reshape(-1, 3).astype(np.float64)
        expected = (x - rows.mean(0)) / np.sqrt(rows.var(0) + BATCH_NORM_EPSILON)
        np.testing.assert_allclose(found, expected * [1, 2, -1] + [0, 1, 5], atol=1e-3)
        mean = 0.9 * mean + 0.1 * rows.mean(0)
        variance = 0.9 * variance + 0.1 * rows.var(0, ddof=1)
        # What was given stays as it was; only what is taken over changes the next result.
        assert values["running_mean"].sum() == pytest.approx(0.0 if x is batches[0] else 300, 1e-3)
        values = {**values, **statistics}
    np.testing.assert_allclose(values["running_mean"], mean, rtol=1e-6)
    np.testing.assert_allclose(values["running_variance"], variance, rtol=1e-4)
    x = batches[0]
    found = parameters.merge(graphdef, values)(x)
    expected = (x - mean) / np.sqrt(variance + BATCH_NORM_EPSILON) * [1, 2, -1] + [0, 1, 5]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_one_value_a_channel_has_no_variance():
    with pytest.raises(UserError, match="one value a channel has no variance; train with more"):
        BatchNorm(3, dtype=jnp.float32)(jnp.ones((1, 1, 1, 1, 3)), training=True)


@pytest.mark.parametrize(
    ("in_width", "out_width", "kernel", "strides", "groups"),
    [
        (3, 4, (5, 7, 7), (1, 2, 2), 1),  # a stem; "SAME" would pad an even side otherwise
        (4, 8, (7, 1, 1), (4, 1, 1), 1),  # from the fast pathway to the slow one
        (6, 6, (3, 3, 3), (1, 2, 2), 6),  # of each channel
    ],
)
def test_a_convolution_and_its_norm_in_training(in_width, out_width, kernel, strides, groups):
    """Beside torch.nn: results, running statistics and all gradients."""
    torch = pytest.importorskip("torch")
    ours = NormedConvolution(
        in_width,
        out_width,
        kernel,
        strides=strides,
        groups=groups,
        dtype=jnp.float32,
        rngs=nnx.Rngs(0),
    )
    graphdef, values = parameters.split(ours)
    x = RANDOM.standard_normal((2, 8, 10, 9, in_width)).astype(np.float32)

    padding = [size // 2 for size in kernel]
    layer = torch.nn.Conv3d(
        in_width, out_width, kernel, strides, padding, groups=groups, bias=False
    )
    kernel_values = np.asarray(values["convolution.kernel"])
    layer.weight.data = torch.tensor(kernel_values.transpose(4, 3, 0, 1, 2).copy())
    norm = torch.nn.BatchNorm3d(out_width)
    theirs_x = torch.tensor(channels_first(x).copy(), requires_grad=True)
    expected = torch.relu(norm(layer(theirs_x)))
    cotangent = RANDOM.standard_normal(expected.shape).astype(np.float32)
    expected.backward(torch.tensor(cotangent))

    @jax.jit
    def loss(values, x):
        found, statistics = parameters.with_new_statistics(
            graphdef, values, lambda module: module(x, training=True)
        )
        return jnp.vdot(found, jnp.moveaxis(cotangent, 1, -1)), (found, statistics)

    gradients, (found, statistics) = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(
        values, x
    )
    pairs = [
        (channels_first(found), expected.detach()),
        (statistics["norm.running_mean"], norm.running_mean),
        (statistics["norm.running_variance"], norm.running_var),
        (gradients[0]["convolution.kernel"].transpose(4, 3, 0, 1, 2), layer.weight.grad),
        (gradients[0]["norm.scale"], norm.weight.grad),
        (gradients[0]["norm.bias"], norm.bias.grad),
        (channels_first(gradients[1]), theirs_x.grad),
    ]
    for result, reference in pairs:
        reference = np.asarray(reference)
        np.testing.assert_allclose(result, reference, atol=2e-5 * np.abs(reference).max())


@pytest.mark.parametrize(
    ("window", "strides", "padding"),
    [((1, 3, 3), (1, 2, 2), (0, 1, 1)), ((2, 1, 1), (2, 1, 1), (0, 0, 0))],
)
def test_pools(window, strides, padding):
    """Of negative values, of which a padding of zeros would be the largest."""
    torch = pytest.importorskip("torch")
    x = -1 - RANDOM.random((2, 5, 6, 7, 3)).astype(np.float32)
    theirs = torch.tensor(channels_first(x).copy())
    expected = torch.nn.functional.max_pool3d(theirs, window, strides, padding)
    np.testing.assert_array_equal(channels_first(max_pool(x, window, strides)), expected)
    expected = torch.nn.functional.avg_pool3d(theirs, (2, 3, 3), 1)
    found = window_means(jnp.asarray(x), (2, 3, 3))
    np.testing.assert_allclose(channels_first(found), expected, rtol=1e-6)


def test_bfloat16_is_the_dtype_of_results_and_not_of_statistics():
    module = NormedConvolution(3, 4, (1, 3, 3), dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    found = module(jnp.ones((2, 2, 4, 4, 3)), training=True)
    assert found.dtype == jnp.bfloat16
    _, values = parameters.split(module)
    assert {value.dtype for value in values.values()} == {jnp.dtype("float32")}
