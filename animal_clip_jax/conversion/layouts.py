"""How one array of a torch checkpoint is laid out beside ours.

A layout turns a torch array into our shape and back. Both directions only move values, so a round
trip is bit-identical.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Shape = tuple[int, ...]


class Layout(NamedTuple):
    """A pair of inverse rearrangements.

    Attributes:
        torch_shape: our shape → the shape of the torch array.
        from_torch: (torch array, our shape) → our array.
        to_torch: our array → torch array.
    """

    torch_shape: Callable[[Shape], Shape]
    from_torch: Callable[[np.ndarray, Shape], np.ndarray]
    to_torch: Callable[[np.ndarray], np.ndarray]


def _conv_shape(shape: Shape) -> Shape:
    patch_size = math.isqrt(shape[0] // 3)
    return (shape[1], 3, patch_size, patch_size)


SAME = Layout(
    torch_shape=lambda shape: shape,
    from_torch=lambda array, shape: array,
    to_torch=lambda array: array,
)
# nn.Linear holds (out, in), we hold (in, out).
LINEAR = Layout(
    torch_shape=lambda shape: shape[::-1],
    from_torch=lambda array, shape: array.T,
    to_torch=lambda array: array.T,
)
# nn.Conv2d holds (width, channel, row, column); our patches are flattened (row, column, channel).
PATCH_CONVOLUTION = Layout(
    torch_shape=_conv_shape,
    from_torch=lambda array, shape: array.transpose(2, 3, 1, 0).reshape(shape),
    to_torch=lambda array: array.reshape(*_conv_shape(array.shape)[2:], 3, -1).transpose(
        3, 2, 0, 1
    ),
)
# nn.Conv3d and its kin hold (out, in, frames, rows, columns), nnx.Conv (frames, rows, columns, in,
# out); so for any number of axes.
CONVOLUTION = Layout(
    torch_shape=lambda shape: (shape[-1], shape[-2], *shape[:-2]),
    from_torch=lambda array, shape: np.moveaxis(array, (0, 1), (-1, -2)),
    to_torch=lambda array: np.moveaxis(array, (-1, -2), (0, 1)),
)
# nn.Conv2d over single images, where ours has an axis of one frame.
IMAGE_CONVOLUTION = Layout(
    torch_shape=lambda shape: CONVOLUTION.torch_shape(shape[1:]),
    from_torch=lambda array, shape: CONVOLUTION.from_torch(array, shape[1:])[None],
    to_torch=lambda array: CONVOLUTION.to_torch(array[0]),
)
# EVL's patch embedding is an nn.Linear over patches flattened (channel, row, column).
PATCH_LINEAR = Layout(
    torch_shape=lambda shape: shape[::-1],
    from_torch=lambda array, shape: PATCH_CONVOLUTION.from_torch(
        array.reshape(_conv_shape(shape)), shape
    ),
    to_torch=lambda array: PATCH_CONVOLUTION.to_torch(array).reshape(array.shape[::-1]),
)
# nn.MultiheadAttention stacks the rows of query, key and value: (3·heads·head_dim, width).
PACKED_ATTENTION_KERNEL = Layout(
    torch_shape=lambda shape: (math.prod(shape[1:]), shape[0]),
    from_torch=lambda array, shape: array.T.reshape(shape),
    to_torch=lambda array: array.reshape(array.shape[0], -1).T,
)
PACKED_ATTENTION_BIAS = Layout(
    torch_shape=lambda shape: (math.prod(shape),),
    from_torch=lambda array, shape: array.reshape(shape),
    to_torch=lambda array: array.reshape(-1),
)
# Its output projection is (width, heads·head_dim), ours (heads, head_dim, width).
ATTENTION_OUT = Layout(
    torch_shape=lambda shape: (shape[-1], math.prod(shape[:-1])),
    from_torch=lambda array, shape: array.T.reshape(shape),
    to_torch=lambda array: array.reshape(-1, array.shape[-1]).T,
)
# The published integration keeps a leading axis of one on its position embedding.
LEADING_ONE = Layout(
    torch_shape=lambda shape: (1, *shape),
    from_torch=lambda array, shape: array.reshape(shape),
    to_torch=lambda array: array[None],
)
# MViT's class token has two of them.
LEADING_ONES = Layout(
    torch_shape=lambda shape: (1, 1, *shape),
    from_torch=lambda array, shape: array.reshape(shape),
    to_torch=lambda array: array[None, None],
)
