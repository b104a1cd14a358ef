"""Convolutions over frames, rows and columns, each platform's in the way that is fast there.

Accelerators have 3-D convolutions. XLA's for processors are loops over single numbers, up to 250
times as slow as what is computed here for them: of dense kernels a 2-D convolution for each of
their frames, of depthwise ones a product for each of their places (benchmarks/NOTES.md).
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_LAYOUT = ("NDHWC", "DHWIO", "NDHWC")
Padding = Sequence[tuple[int, int]]


def convolve(
    inputs: jax.Array,
    kernel: jax.Array,
    window_strides: Sequence[int],
    padding: Padding,
    *,
    feature_group_count: int = 1,
    **_: Any,
) -> jax.Array:
    """A 3-D convolution, for the argument `conv_general_dilated` of `nnx.Conv`.

    Args:
        inputs: (clips, frames, rows, columns, in_width).
        kernel: (frames, rows, columns, in_width / groups, out_width).
        window_strides: of frames, rows and columns.
        padding: of each, before and after.
        feature_group_count: 1, or `in_width`, which is then `out_width` too: depthwise.

    Returns:
        (clips, out_frames, out_rows, out_columns, out_width), of the inputs' dtype.
    """
    strides = tuple(window_strides)
    if feature_group_count == 1:
        by_parts = functools.partial(_by_frames, strides=strides, padding=padding)
    else:
        by_parts = functools.partial(_depthwise, strides=strides, padding=padding)
    at_once = functools.partial(
        lax.conv_general_dilated,
        window_strides=strides,
        padding=padding,
        dimension_numbers=_LAYOUT,
        feature_group_count=feature_group_count,
    )
    return lax.platform_dependent(inputs, kernel, cpu=by_parts, default=at_once)


def _by_frames(
    x: jax.Array, kernel: jax.Array, *, strides: tuple[int, ...], padding: Padding
) -> jax.Array:
    """A sum of 2-D convolutions of all frames, one for each frame of the kernel."""
    clips, frames = x.shape[:2]
    depth = kernel.shape[0]
    around = jnp.pad(x, ((0, 0), padding[0], (0, 0), (0, 0), (0, 0)))
    out_frames = (frames + sum(padding[0]) - depth) // strides[0] + 1
    total: Any = 0
    for tap in range(depth):
        last = tap + (out_frames - 1) * strides[0]
        seen = lax.slice_in_dim(around, tap, last + 1, strides[0], axis=1)
        total += lax.conv_general_dilated(
            seen.reshape(-1, *seen.shape[2:]),
            kernel[tap],
            strides[1:],
            padding[1:],
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
    return total.reshape(clips, out_frames, *total.shape[1:])


def _depthwise(
    x: jax.Array, kernel: jax.Array, *, strides: tuple[int, ...], padding: Padding
) -> jax.Array:
    return depthwise(x, kernel[..., 0, :], strides, padding).astype(x.dtype)


def depthwise(
    x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Padding
) -> jax.Array:
    """A convolution of each channel by itself, tap by tap, which compilers join into one pass.

    Args:
        x: (clips, frames, rows, columns, ..., channels).
        kernel: (frames, rows, columns, channels).
        strides, padding: of frames, rows and columns.

    Returns:
        (clips, out_frames, out_rows, out_columns, ..., channels), float32.
    """
    around = jnp.pad(x, ((0, 0), *padding, *((0, 0),) * (x.ndim - 4)))
    sizes = zip(around.shape[1:4], kernel.shape[:3], strides, strict=True)
    spans = [(size - taps) // step * step + 1 for size, taps, step in sizes]
    total: Any = jnp.float32(0)
    for tap in np.ndindex(*kernel.shape[:3]):
        frames, rows, columns = (
            slice(first, first + span, step)
            for first, span, step in zip(tap, spans, strides, strict=True)
        )
        total = total + around[:, frames, rows, columns].astype(jnp.float32) * kernel[tap]
    return total
