"""Transformer pieces that every tower shares.

All parameters are float32. `dtype` is the dtype of the computation (float32 or bfloat16); layer
norms and softmaxes are reduced in float32 whatever it is. Initial values are CLIP's own.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import Initializer

from animal_clip_jax.models.attention import XLA, Attention
from animal_clip_jax.models.initial_values import NEW_STD, normal, symmetric_uniform
from animal_clip_jax.models.layer_norm import layer_norm
from animal_clip_jax.models.rematerialisation import kept
from animal_clip_jax.models.self_attention import SelfAttention


def activation_function(name: str):
    """The function called `name`: "quick_gelu" (x·sigmoid(1.702x)) or "gelu" (exact, with erf)."""
    if name == "quick_gelu":
        return lambda x: x * jax.nn.sigmoid(1.702 * x)
    if name == "gelu":
        return lambda x: jax.nn.gelu(x, approximate=False)
    raise ValueError(f"activation is {name!r}; expected 'quick_gelu' or 'gelu'")


def drop_path(x: jax.Array, rate: float, key: jax.Array | None) -> jax.Array:
    """Zeroes whole samples of a residual branch (stochastic depth) and rescales the others.

    Args:
        x: (samples, ...) a branch's output.
        rate: the probability that a sample is dropped.
        key: a random key, or None outside training: then `x` is returned as it is.
    """
    if key is None or rate == 0.0:
        return x
    keep = jax.random.bernoulli(key, 1.0 - rate, (x.shape[0],) + (1,) * (x.ndim - 1))
    return jnp.where(keep, x / (1.0 - rate), 0).astype(x.dtype)


class Mlp(nnx.Module):
    """Two linear layers, width → 4·width → width, with the activation between them.

    Args:
        out_width: of the result, if another.
        flattens: see `Attention.flattens`.
    """

    def __init__(
        self,
        width: int,
        *,
        out_width: int | None = None,
        activation: str,
        in_init: Initializer,
        out_init: Initializer,
        in_bias_init: Initializer = jax.nn.initializers.zeros,
        out_bias_init: Initializer = jax.nn.initializers.zeros,
        flattens: bool = False,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        self.flattens = flattens
        self.activation = activation_function(activation)
        self.expand = nnx.Linear(
            width, 4 * width, kernel_init=in_init, bias_init=in_bias_init, dtype=dtype, rngs=rngs
        )
        self.contract = nnx.Linear(
            4 * width,
            out_width or width,
            kernel_init=out_init,
            bias_init=out_bias_init,
            dtype=dtype,
            rngs=rngs,
        )

    @jax.named_scope("mlp")
    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., width) → (..., width or out_width)."""
        rows = x.reshape(-1, x.shape[-1]) if self.flattens else x
        return self.contract(self.activation(kept(self.expand(rows)))).reshape(*x.shape[:-1], -1)


class _Block(nnx.Module):
    """The parts of a pre-norm transformer block.

    Args:
        depth: layers of the whole transformer, which scales CLIP's initial values; None takes a
            standard deviation of 0.02 for every kernel (multi-frame integration).
        attention: the program that computes it, see `SelfAttention`.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        *,
        depth: int | None,
        activation: str,
        attention: Attention = XLA,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        if depth is None:
            attention_in = attention_out = mlp_in = mlp_out = normal(NEW_STD)
        else:
            residual_std = width**-0.5 * (2 * depth) ** -0.5
            attention_in = normal(width**-0.5)
            attention_out = normal(residual_std)
            mlp_in = normal((2 * width) ** -0.5)
            mlp_out = normal(residual_std)
        self.attention_norm = layer_norm(width, dtype=dtype, rngs=rngs)
        self.attention = SelfAttention(
            width,
            num_heads,
            in_init=attention_in,
            out_init=attention_out,
            attention=attention,
            dtype=dtype,
            rngs=rngs,
        )
        self.mlp_norm = layer_norm(width, dtype=dtype, rngs=rngs)
        self.mlp = Mlp(
            width,
            activation=activation,
            in_init=mlp_in,
            out_init=mlp_out,
            flattens=attention.flattens,
            dtype=dtype,
            rngs=rngs,
        )


class ResidualBlock(_Block):
    """Pre-norm transformer block: x + attention(norm(x)), then x + mlp(norm(x))."""

    @jax.named_scope("block")
    def __call__(
        self, x: jax.Array, *, num_queries: int | None = None, is_causal: bool = False
    ) -> jax.Array:
        """(rows, tokens, width) → (rows, num_queries or tokens, width)."""
        normed = self.attention_norm(x)
        with jax.named_scope("attention"):
            attended = self.attention(normed, num_queries=num_queries, is_causal=is_causal)
        x = kept(x[:, :num_queries] + attended)
        return x + self.mlp(self.mlp_norm(x))

    def with_queries_and_keys(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """(rows, tokens, width) → the block's result, and its queries and keys (rows, tokens,
        heads, head_dim), with biases, not scaled."""
        attended, query, key = self.attention.with_queries_and_keys(self.attention_norm(x))
        x = x + attended
        return x + self.mlp(self.mlp_norm(x)), query, key

    def attention_weights(self, x: jax.Array) -> jax.Array:
        """(rows, tokens, width) → (rows, heads, tokens, tokens), as `SelfAttention.weights`."""
        return self.attention.weights(self.attention_norm(x))


class CrossFrameWeights(NamedTuple):
    """The attention of a block whose frames exchange messages, float32.

    Attributes:
        messages: (clips, heads, frames, frames), of each frame's message to the others.
        tokens: (clips, frames, heads, tokens + 1, tokens + 1), within each frame; the last token is
            the message that the frame received.
    """

    messages: jax.Array
    tokens: jax.Array


class CrossFrameBlock(_Block):
    """A residual block whose frames exchange messages (X-CLIP's cross-frame communication).

    Every frame's class token is projected to a message; the messages of one clip attend to each
    other; each frame then sees its own message as one more token, for this block only.

    Where attention is fused, the rows hold a place for that token, the last, from the first block
    to the last: no row is laid out anew for it, and what is there between two blocks is of no
    account.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        *,
        depth: int,
        activation: str,
        drop_path_rate: float,
        attention: Attention = XLA,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            width,
            num_heads,
            depth=depth,
            activation=activation,
            attention=attention,
            dtype=dtype,
            rngs=rngs,
        )
        linear_init = symmetric_uniform(width**-0.5)
        self.drop_path_rate = drop_path_rate
        self.has_place = attention.is_fused
        self.message_projection = nnx.Linear(
            width, width, kernel_init=linear_init, bias_init=linear_init, dtype=dtype, rngs=rngs
        )
        self.message_norm = layer_norm(width, dtype=dtype, rngs=rngs)
        self.message_attention = SelfAttention(
            width,
            num_heads,
            in_init=symmetric_uniform(math.sqrt(6 / (4 * width))),
            out_init=linear_init,
            dtype=dtype,
            rngs=rngs,
        )

    @jax.named_scope("block")
    def __call__(
        self,
        x: jax.Array,
        *,
        num_frames: int,
        class_token_only: bool = False,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """Applies the block to the frames of some clips.

        Args:
            x: (clips·num_frames, tokens, width), class token first, then the patches, then the
                message's place if there is one.
            num_frames: frames a clip.
            class_token_only: compute the class token's result only (for the last block, where the
                patch tokens are not used). Exact.
            key: random key for stochastic depth, None outside training.

        Returns:
            (clips·num_frames, tokens or 1, width).
        """
        keys = (None,) * 3 if key is None else jax.random.split(key, 3)
        num_tokens = 1 if class_token_only else x.shape[1]

        with jax.named_scope("message_attention"):
            messages = self._messages(x, num_frames)
            exchanged = self.message_attention(self.message_norm(messages))
            messages = kept(messages + drop_path(exchanged, self.drop_path_rate, keys[0]))
        normed = self._with_messages(x, messages)
        with jax.named_scope("attention"):
            attended = self.attention(normed, num_queries=num_tokens)
        x = kept(x[:, :num_tokens] + drop_path(attended, self.drop_path_rate, keys[1]))
        return x + drop_path(self.mlp(self.mlp_norm(x)), self.drop_path_rate, keys[2])

    def attention_weights(self, x: jax.Array, *, num_frames: int) -> CrossFrameWeights:
        """The attention of this block over `x` as a call takes it."""
        messages = self._messages(x, num_frames)
        sent = self.message_norm(messages)
        messages = messages + self.message_attention(sent)
        tokens = self.attention.weights(self._with_messages(x, messages))
        return CrossFrameWeights(
            messages=self.message_attention.weights(sent),
            tokens=tokens.reshape(-1, num_frames, *tokens.shape[1:]),
        )

    def _messages(self, x: jax.Array, num_frames: int) -> jax.Array:
        """What the frames have to say, (clips, frames, width)."""
        return kept(self.message_projection(x[:, 0])).reshape(-1, num_frames, x.shape[-1])

    def _with_messages(self, x: jax.Array, messages: jax.Array) -> jax.Array:
        """What attends: the tokens of every frame and last its message, normed.

        They are normed apart, because a sum over what is joined would have to read it once more.
        """
        tokens = self.attention_norm(x)
        messages = self.attention_norm(messages).reshape(-1, 1, x.shape[-1])
        if not self.has_place:
            return jnp.concatenate([tokens, messages], axis=1)
        is_place = jnp.arange(x.shape[1])[:, None] == x.shape[1] - 1
        return jnp.where(is_place, messages, tokens)
