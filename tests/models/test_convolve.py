"""Convolutions in parts, as processors compute them, beside XLA's own, which accelerators take."""

import jax
import numpy as np
import pytest
from jax import lax

from animal_clip_jax.models.convolve import convolve

CASES = [
    ((5, 7, 7), (1, 2, 2), 1),
    ((3, 1, 1), (1, 1, 1), 1),
    ((7, 1, 1), (4, 1, 1), 1),
    ((1, 3, 3), (1, 2, 2), 1),
    ((3, 3, 3), (2, 1, 2), 1),
    ((3, 3, 3), (1, 2, 2), 4),
    ((5, 1, 1), (1, 1, 1), 4),
]


@pytest.mark.parametrize(("kernel", "strides", "groups"), CASES)
def test_values_and_gradients_are_those_of_one_convolution(kernel, strides, groups):
    random = np.random.default_rng(0)
    x = random.standard_normal((2, 8, 9, 6, 4)).astype(np.float32)
    weights = random.standard_normal((*kernel, 4 // groups, 4)).astype(np.float32)
    padding = [(size // 2, size // 2) for size in kernel]

    def at_once(x, weights):
        return lax.conv_general_dilated(
            x,
            weights,
            strides,
            padding,
            dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
            feature_group_count=groups,
        )

    def in_parts(x, weights):
        return convolve(x, weights, strides, padding, feature_group_count=groups)

    shape = jax.eval_shape(at_once, x, weights).shape
    cotangent = random.standard_normal(shape).astype(np.float32)

    def value_and_gradients(function):
        value, gradients = jax.vjp(function, x, weights)
        return value, gradients(cotangent)

    expected, of_inputs = jax.jit(value_and_gradients, static_argnums=0)(at_once)
    found, of_parts = jax.jit(value_and_gradients, static_argnums=0)(in_parts)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    for part, whole in zip(of_parts, of_inputs, strict=True):
        np.testing.assert_allclose(part, whole, rtol=1e-4, atol=1e-3)
