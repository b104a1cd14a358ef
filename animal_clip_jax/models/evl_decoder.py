"""EVL's decoder: from the tokens of frozen blocks to one feature a video."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from animal_clip_jax.models.initial_values import XAVIER_UNIFORM, normal, symmetric_uniform
from animal_clip_jax.models.layers import Mlp, layer_norm

DROPOUT = 0.5
_KERNEL = 3  # frames of the convolution over time
_BIAS_STD = 1e-6


def displacements(side: int) -> np.ndarray:
    """Which row of a table of (2·side − 1)² displacements belongs to a pair of patches.

    Returns:
        (patches, patches) int32: from the row of the patch that asks to that of its key, and the
        same for columns.
    """
    row, column = np.divmod(np.arange(side**2), side)
    rows = row[:, None] - row + side - 1
    columns = column[:, None] - column + side - 1
    return (rows * (2 * side - 1) + columns).astype(np.int32)


def neighbour_attention(query: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """How the patches of a frame attend to those of the frame before and of the frame after.

    Args:
        query, key: (clips, frames, 1 + patches, heads, head_dim) of the frozen attention within
            frames, class token first, not scaled.

    Returns:
        mean over heads of the softmax over keys, (clips, frames − 1, patches, patches) each: of
        frames 1, 2, … to those before them, and of frames 0, 1, … to those after them.
    """
    query, key = query[:, :, 1:], key[:, :, 1:]

    def attended(query: jax.Array, key: jax.Array) -> jax.Array:
        products = jnp.einsum("btqhd,btkhd->bthqk", query, key, preferred_element_type=jnp.float32)
        weights = jax.nn.softmax(products * query.shape[-1] ** -0.5)
        return jnp.mean(weights, axis=2).astype(query.dtype)

    return attended(query[:, 1:], key[:, :-1]), attended(query[:, :-1], key[:, 1:])


class TemporalConvolution(nnx.Module):
    """Every value of every token with itself in the frames before and after."""

    def __init__(self, width: int, *, dtype: jnp.dtype, rngs: nnx.Rngs):
        init = symmetric_uniform(_KERNEL**-0.5)
        self.dtype = dtype
        self.kernel = nnx.Param(init(rngs.params(), (_KERNEL, 1, width), jnp.float32))
        self.bias = nnx.Param(init(rngs.params(), (width,), jnp.float32))

    def __call__(self, x: jax.Array) -> jax.Array:
        """(clips, frames, tokens, width) → the same shape; there are zeros around the clip."""
        frames, kernel = x.shape[1], self.kernel.astype(self.dtype)
        around = jnp.pad(x, ((0, 0), (_KERNEL // 2, _KERNEL // 2), (0, 0), (0, 0)))
        shifted = (around[:, tap : tap + frames] * kernel[tap, 0] for tap in range(_KERNEL))
        return sum(shifted, self.bias.astype(self.dtype))


class CrossAttention(nnx.Module):
    """Multi-head attention from queries to a context, with biases."""

    def __init__(self, width: int, num_heads: int, *, dtype: jnp.dtype, rngs: nnx.Rngs):
        self.num_heads = num_heads

        def linear() -> nnx.Linear:
            return nnx.Linear(width, width, kernel_init=XAVIER_UNIFORM, dtype=dtype, rngs=rngs)

        self.query, self.key, self.value, self.out = linear(), linear(), linear(), linear()

    def __call__(self, queries: jax.Array, context: jax.Array) -> jax.Array:
        """(clips, queries, width), (clips, tokens, width) → (clips, queries, width)."""
        attended = jax.nn.dot_product_attention(
            *(
                array.reshape(*array.shape[:2], self.num_heads, -1)
                for array in (self.query(queries), self.key(context), self.value(context))
            )
        )
        return self.out(attended.reshape(queries.shape))


class DecoderLayer(nnx.Module):
    """Tells the tokens of one frozen block what happens over time, and asks them for the video.

    `past` and `future` are (displacements, width): what a patch receives, for each displacement of
    a patch of the frame before or after that it attends to, see `displacements`.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        *,
        num_frames: int,
        side: int,
        activation: str,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        def zeros(*shape: int) -> nnx.Param:
            return nnx.Param(jnp.zeros((*shape, width), jnp.float32))

        bias_init = normal(_BIAS_STD)
        self.dtype, self.side = dtype, side
        self.temporal_convolution = TemporalConvolution(width, dtype=dtype, rngs=rngs)
        self.position_embedding = zeros(num_frames)
        self.past, self.future = (zeros((2 * side - 1) ** 2) for _ in range(2))
        self.attention_norm = layer_norm(width, dtype=dtype, rngs=rngs)
        self.context_norm = layer_norm(width, dtype=dtype, rngs=rngs)
        self.attention = CrossAttention(width, num_heads, dtype=dtype, rngs=rngs)
        self.mlp_norm = layer_norm(width, dtype=dtype, rngs=rngs)
        self.mlp = Mlp(
            width,
            activation=activation,
            in_init=XAVIER_UNIFORM,
            in_bias_init=bias_init,
            out_init=XAVIER_UNIFORM,
            out_bias_init=bias_init,
            dtype=dtype,
            rngs=rngs,
        )
        self.dropout = nnx.Dropout(DROPOUT)

    def motion(self, query: jax.Array, key: jax.Array) -> jax.Array:
        """What the attention between neighbouring frames tells each patch.

        Args:
            query, key: see `neighbour_attention`.

        Returns:
            (clips, frames, 1 + patches, width); the class token is told nothing.
        """
        pairs = displacements(self.side)
        before, after = neighbour_attention(query, key)

        def told(weights: jax.Array, table: jax.Array) -> jax.Array:
            return jnp.einsum("btqk,qkc->btqc", weights, table.astype(self.dtype)[pairs])

        from_past = jnp.pad(told(before, self.past[...]), ((0, 0), (1, 0), (1, 0), (0, 0)))
        from_future = jnp.pad(told(after, self.future[...]), ((0, 0), (0, 1), (1, 0), (0, 0)))
        return from_past + from_future

    @jax.named_scope("motion")
    def context(self, tokens: jax.Array, query: jax.Array, key: jax.Array) -> jax.Array:
        """The tokens of a frozen block with what happens over time, before their norm.

        Args:
            tokens: (clips, frames, 1 + patches, width).
            query, key: see `neighbour_attention`.

        Returns:
            (clips, frames · (1 + patches), width).
        """
        tokens = tokens + self.temporal_convolution(tokens)
        tokens = tokens + self.position_embedding.astype(self.dtype)[:, None]
        tokens = tokens + self.motion(query, key)
        return tokens.reshape(tokens.shape[0], -1, tokens.shape[-1])

    @jax.named_scope("decoder")
    def __call__(
        self, x: jax.Array, context: jax.Array, *, key: jax.Array | None = None
    ) -> jax.Array:
        """(clips, 1, width) and what `context` gave → (clips, 1, width).

        Args:
            key: random key for dropout, None outside training.
        """
        x = x + self.attention(self.attention_norm(x), self.context_norm(context))
        hidden = self.mlp.activation(self.mlp.expand(self.mlp_norm(x)))
        hidden = self.dropout(hidden, deterministic=key is None, rngs=key)
        return x + self.mlp.contract(hidden)
