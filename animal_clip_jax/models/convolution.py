"""What I3D, SlowFast and X3D are made of: 3-D convolutions, batch normalisation, pooling, a head.

Features are (clips, frames, height, width, channels). All parameters and statistics are float32;
`dtype` is the dtype of the computation (float32 or bfloat16), and statistics and the head's means
are taken in float32 whatever it is. Padding is symmetric, half a kernel on either side, also where
a stride is 2: "SAME" would shift maps of an even size. The convolutions have no bias, as a
normalisation follows. Initial values are those of PySlowFast: kernels He-normal by their outputs
(He et al. 2015), and a residual branch starts as zero (Goyal et al. 2017).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from animal_clip_jax.errors import UserError
from animal_clip_jax.models.convolve import convolve
from animal_clip_jax.models.initial_values import HE_NORMAL

BATCH_NORM_EPSILON = 1e-5
# Of a new batch in the running statistics.
BATCH_NORM_MOMENTUM = 0.1

Triple = tuple[int, int, int]


class Convolution(nnx.Conv):
    """A convolution over frames, rows and columns; `groups` = `in_width` makes it depthwise."""

    def __init__(
        self,
        in_width: int,
        out_width: int,
        kernel: Triple = (1, 1, 1),
        *,
        strides: Triple = (1, 1, 1),
        groups: int = 1,
        use_bias: bool = False,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            in_width,
            out_width,
            kernel,
            strides=strides,
            padding=[(size // 2, size // 2) for size in kernel],
            feature_group_count=groups,
            use_bias=use_bias,
            kernel_init=HE_NORMAL,
            conv_general_dilated=convolve,
            dtype=dtype,
            rngs=rngs,
        )

    @jax.named_scope("convolution")
    def __call__(self, inputs: jax.Array, out_sharding: Any = None) -> jax.Array:
        """(clips, frames, height, width, in_width) → the same, strides apart, of out_width."""
        return super().__call__(inputs, out_sharding)


@jax.named_scope("pool")
def max_pool(x: jax.Array, window: Triple, strides: Triple) -> jax.Array:
    """The largest value of each window; the padding, half a window, is never the largest.

    An even window is not padded.
    """
    padding = [((size - 1) // 2, (size - 1) // 2) for size in window]
    return nnx.max_pool(x, window, strides, padding)


class BatchNorm(nnx.Module):
    """Batch normalisation over clips, frames, rows and columns (Ioffe and Szegedy 2015).

    A batch that is spread over devices is still one batch: under `jax.jit` the means are those of
    all clips, and every device has the same statistics.

    Args:
        initial_scale: 0 for the last one of a residual branch.
    """

    def __init__(self, width: int, *, initial_scale: float = 1.0, dtype: jnp.dtype):
        self.dtype = dtype
        self.scale = nnx.Param(jnp.full(width, initial_scale, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(width, jnp.float32))
        self.running_mean = nnx.BatchStat(jnp.zeros(width, jnp.float32))
        self.running_variance = nnx.BatchStat(jnp.ones(width, jnp.float32))

    @jax.named_scope("batch_norm")
    def __call__(self, x: jax.Array, *, training: bool = False) -> jax.Array:
        """(..., width) → (..., width).

        Args:
            training: normalise by the statistics of `x`, and move the running ones a tenth of the
                way towards them. The variance that normalises is the mean square; the running one
                is the unbiased estimate, n/(n - 1) times as large, as in torch.

        Raises:
            UserError: `training`, and `x` has one value a channel, which has no variance.
        """
        wide = x.astype(jnp.float32)
        if training:
            count = x.size // x.shape[-1]
            if count < 2:
                raise UserError(
                    f"batch normalisation of features {x.shape}: one value a channel has no "
                    "variance; train with more clips a batch, or larger or longer ones"
                )
            axes = tuple(range(x.ndim - 1))
            mean = jnp.mean(wide, axis=axes)
            variance = jnp.mean(jnp.square(wide - mean), axis=axes)
            self._move(self.running_mean, mean)
            self._move(self.running_variance, variance * (count / (count - 1)))
        else:
            mean, variance = self.running_mean[...], self.running_variance[...]
        factor = jax.lax.rsqrt(variance + BATCH_NORM_EPSILON) * self.scale[...]
        return ((wide - mean) * factor + self.bias[...]).astype(self.dtype)

    def _move(self, running: nnx.BatchStat, value: jax.Array) -> None:
        running[...] = (1 - BATCH_NORM_MOMENTUM) * running[...] + BATCH_NORM_MOMENTUM * value


class NormedConvolution(nnx.Module):
    """A convolution and batch normalisation, and ReLU unless it `is_linear`.

    Args:
        is_last: of a residual branch: linear, and zero before training.
    """

    def __init__(
        self,
        in_width: int,
        out_width: int,
        kernel: Triple = (1, 1, 1),
        *,
        strides: Triple = (1, 1, 1),
        groups: int = 1,
        is_linear: bool = False,
        is_last: bool = False,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        self.is_linear = is_linear or is_last
        self.convolution = Convolution(
            in_width, out_width, kernel, strides=strides, groups=groups, dtype=dtype, rngs=rngs
        )
        self.norm = BatchNorm(out_width, initial_scale=0.0 if is_last else 1.0, dtype=dtype)

    def __call__(self, x: jax.Array, *, training: bool = False) -> jax.Array:
        """(clips, frames, height, width, in_width) → the same, strides apart, of out_width."""
        x = self.norm(self.convolution(x), training=training)
        return x if self.is_linear else jax.nn.relu(x)


def shortcut(
    in_width: int, out_width: int, stride: int, *, dtype: jnp.dtype, rngs: nnx.Rngs
) -> NormedConvolution | None:
    """What goes past a residual branch: nothing is done to it unless its shape changes."""
    if in_width == out_width and stride == 1:
        return None
    return NormedConvolution(
        in_width, out_width, strides=(1, stride, stride), is_linear=True, dtype=dtype, rngs=rngs
    )


class BottleneckBlock(nnx.Module):
    """The residual block of I3D and SlowFast: relu(shortcut(x) + c(b(a(x)))), where a is
    temporal_kernel×1×1, b 1×3×3 and strided, c 1×1×1 (He et al. 2016; Wang et al. 2018)."""

    def __init__(
        self,
        in_width: int,
        inner_width: int,
        out_width: int,
        *,
        temporal_kernel: int,
        stride: int,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        shared: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
        self.a = NormedConvolution(in_width, inner_width, (temporal_kernel, 1, 1), **shared)
        self.b = NormedConvolution(
            inner_width, inner_width, (1, 3, 3), strides=(1, stride, stride), **shared
        )
        self.c = NormedConvolution(inner_width, out_width, is_last=True, **shared)
        self.shortcut = shortcut(in_width, out_width, stride, **shared)

    @jax.named_scope("block")
    def __call__(self, x: jax.Array, *, training: bool = False) -> jax.Array:
        """(clips, frames, height, width, in_width) → (…, height/stride, width/stride, out_width),
        rounded up."""
        branch = x
        for part in (self.a, self.b, self.c):
            branch = part(branch, training=training)
        if self.shortcut is not None:
            x = self.shortcut(x, training=training)
        return jax.nn.relu(x + branch)


def bottleneck_stage(
    in_width: int,
    inner_width: int,
    *,
    temporal_kernels: Sequence[int],
    stride: int,
    dtype: jnp.dtype,
    rngs: nnx.Rngs,
) -> nnx.List[BottleneckBlock]:
    """Bottleneck blocks to four times the inner width, of which the first has the stride.

    Args:
        temporal_kernels: of each block.
    """
    out_width = 4 * inner_width
    return nnx.List(
        [
            BottleneckBlock(
                out_width if index else in_width,
                inner_width,
                out_width,
                temporal_kernel=temporal_kernel,
                stride=1 if index else stride,
                dtype=dtype,
                rngs=rngs,
            )
            for index, temporal_kernel in enumerate(temporal_kernels)
        ]
    )


def through(blocks: Iterable[Any], x: jax.Array, *, training: bool = False) -> jax.Array:
    """Features through the blocks of a stage, one after the other."""
    for block in blocks:
        x = block(x, training=training)
    return x


@jax.named_scope("pool")
def window_means(x: jax.Array, window: Triple) -> jax.Array:
    """Means over the windows, at every position: (clips, frames, height, width, channels) →
    (clips, positions in time, in height, in width, channels), float32."""
    return nnx.avg_pool(x.astype(jnp.float32), window)
