"""The blocks of MViT: attention among tokens that are pooled on their grid of frames, rows and
columns.

The class token comes first, is in no grid and is never pooled.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import nnx

from animal_clip_jax.models.convolve import depthwise
from animal_clip_jax.models.initial_values import NEW_STD, normal, symmetric_uniform
from animal_clip_jax.models.layers import Mlp, drop_path, layer_norm
from animal_clip_jax.models.rematerialisation import kept

# Frames, rows and columns: of a grid of tokens, of a kernel or of a stride.
Grid = tuple[int, int, int]
# Of the norms around attention and MLP; those within attention have torch's own, 1e-5.
NORM_EPSILON = 1e-6


@dataclasses.dataclass(frozen=True)
class BlockShape:
    """Dimensions of one block.

    Attributes:
        width: of the tokens that come in.
        out_width: of those that go out.
        heads: of its attention.
        query_stride: of the pooling of queries; (1, 1, 1) does not pool them.
        key_value_stride: of the pooling of keys and values.
        pools_keys_and_values: whether they are pooled; a pooling of stride 1 has a kernel too.
    """

    width: int
    out_width: int
    heads: int
    query_stride: Grid
    key_value_stride: Grid
    pools_keys_and_values: bool

    @property
    def pools_queries(self) -> bool:
        """Whether the queries are pooled, and with them all that comes after."""
        return self.query_stride != (1, 1, 1)


class TokenPooling(nnx.Module):
    """A depthwise convolution over the grid of tokens, the same for every head, and a norm. The
    class token is not pooled, but normed."""

    def __init__(
        self, head_dim: int, kernel: Grid, stride: Grid, *, dtype: jnp.dtype, rngs: nnx.Rngs
    ):
        self.stride = stride
        self.kernel = nnx.Param(
            symmetric_uniform(math.prod(kernel) ** -0.5)(rngs.params(), (*kernel, 1, head_dim))
        )
        self.norm = layer_norm(head_dim, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array, grid: Grid) -> jax.Array:
        """(clips, 1 + tokens, heads, head_dim) → the same with fewer tokens."""
        clips, _, *heads = x.shape
        patches = x[:, 1:].reshape(clips, *grid, *heads)
        kernel = self.kernel[...][..., 0, :]
        around = padding(kernel.shape[:3])
        pooled = depthwise(patches, kernel, self.stride, around).astype(x.dtype)
        return self.norm(jnp.concatenate([x[:, :1], pooled.reshape(clips, -1, *heads)], axis=1))


class PoolingAttention(nnx.Module):
    """Multi-head self-attention among pooled tokens.

    `query_key_value` is (width, 3, heads, head_dim), `out` is (heads, head_dim, width).
    """

    def __init__(self, shape: BlockShape, kernel: Grid, *, dtype: jnp.dtype, rngs: nnx.Rngs):
        head_dim = shape.width // shape.heads
        init = normal(NEW_STD)
        self.query_key_value = nnx.LinearGeneral(
            shape.width, (3, shape.heads, head_dim), kernel_init=init, dtype=dtype, rngs=rngs
        )
        self.out = nnx.LinearGeneral(
            (shape.heads, head_dim),
            shape.width,
            axis=(-2, -1),
            kernel_init=init,
            dtype=dtype,
            rngs=rngs,
        )

        def pooling(stride: Grid, is_there: bool) -> TokenPooling | None:
            if not is_there:
                return None
            return TokenPooling(head_dim, kernel, stride, dtype=dtype, rngs=rngs)

        self.query_pooling = pooling(shape.query_stride, shape.pools_queries)
        self.key_pooling = pooling(shape.key_value_stride, shape.pools_keys_and_values)
        self.value_pooling = pooling(shape.key_value_stride, shape.pools_keys_and_values)

    @jax.named_scope("attention")
    def __call__(self, x: jax.Array, grid: Grid) -> jax.Array:
        """(clips, 1 + tokens, width) → (clips, 1 + pooled tokens, width); `grid` is of `x`."""
        projected = kept(self.query_key_value(x))
        poolings = (self.query_pooling, self.key_pooling, self.value_pooling)
        query, key, value = (
            projected[:, :, part] if pooling is None else pooling(projected[:, :, part], grid)
            for part, pooling in enumerate(poolings)
        )
        return self.out(jax.nn.dot_product_attention(query, key, value))


class PoolingBlock(nnx.Module):
    """x + attention(norm(x)), x pooled as the queries are; then x + mlp(norm(x))."""

    def __init__(
        self,
        shape: BlockShape,
        kernel: Grid,
        *,
        drop_path_rate: float,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        init = normal(NEW_STD)
        self.shape, self.drop_path_rate = shape, drop_path_rate
        self.attention_norm = layer_norm(shape.width, epsilon=NORM_EPSILON, dtype=dtype, rngs=rngs)
        self.attention = PoolingAttention(shape, kernel, dtype=dtype, rngs=rngs)
        self.mlp_norm = layer_norm(shape.width, epsilon=NORM_EPSILON, dtype=dtype, rngs=rngs)
        self.mlp = Mlp(
            shape.width,
            out_width=shape.out_width,
            activation="gelu",
            in_init=init,
            out_init=init,
            dtype=dtype,
            rngs=rngs,
        )
        self.widening = (
            nnx.Linear(shape.width, shape.out_width, kernel_init=init, dtype=dtype, rngs=rngs)
            if shape.out_width != shape.width
            else None
        )

    @jax.named_scope("block")
    def __call__(self, x: jax.Array, grid: Grid, *, key: jax.Array | None = None) -> jax.Array:
        """(clips, 1 + tokens, width) → (clips, 1 + pooled tokens, out_width)."""
        keys = (None, None) if key is None else jax.random.split(key)
        attended = self.attention(self.attention_norm(x), grid)
        x = kept(self._pooled(x, grid) + drop_path(attended, self.drop_path_rate, keys[0]))
        normed = self.mlp_norm(x)
        # Where the tokens get wider, what passes by the MLP is the normed ones.
        passing = x if self.widening is None else self.widening(normed)
        return passing + drop_path(self.mlp(normed), self.drop_path_rate, keys[1])

    def _pooled(self, x: jax.Array, grid: Grid) -> jax.Array:
        """The tokens that pass by attention: the largest of each value where queries are pooled."""
        if not self.shape.pools_queries:
            return x
        stride = self.shape.query_stride
        window = tuple(step + 1 if step > 1 else 1 for step in stride)
        patches = x[:, 1:].reshape(x.shape[0], *grid, x.shape[-1])
        pooled = nnx.max_pool(patches, window, strides=stride, padding=padding(window))
        return jnp.concatenate([x[:, :1], pooled.reshape(x.shape[0], -1, x.shape[-1])], axis=1)

    def grid_after(self, grid: Grid) -> Grid:
        """Of what the block gives, from that of what it takes."""
        steps = zip(grid, self.shape.query_stride, strict=True)
        frames, rows, columns = (-(-size // step) for size, step in steps)
        return frames, rows, columns


def padding(kernel: tuple[int, ...]) -> list[tuple[int, int]]:
    """Symmetric, as torch has it: "SAME" would differ where sizes are even."""
    return [(size // 2, size // 2) for size in kernel]
