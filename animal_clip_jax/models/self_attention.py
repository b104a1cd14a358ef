"""Multi-head self-attention: the parameters, and the products before and after it."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import Initializer

from animal_clip_jax.models.attention import XLA, Attention, attend
from animal_clip_jax.models.rematerialisation import kept


class SelfAttention(nnx.Module):
    """Multi-head self-attention with biases and scale head_dim^-½.

    The head axis is kept in the parameters, so that heads can be sharded:
    `query_key_value` is (width, 3, heads, head_dim), `out` is (heads, head_dim, width).

    Args:
        attention: the program for what is not causal, and asked by more than one token.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        *,
        in_init: Initializer,
        out_init: Initializer,
        attention: Attention = XLA,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        head_dim = width // num_heads
        self.attention = attention
        self.dtype = dtype
        self.query_key_value = nnx.LinearGeneral(
            width, (3, num_heads, head_dim), kernel_init=in_init, dtype=dtype, rngs=rngs
        )
        self.out = nnx.LinearGeneral(
            (num_heads, head_dim),
            width,
            axis=(-2, -1),
            kernel_init=out_init,
            dtype=dtype,
            rngs=rngs,
        )

    def _project(self, x: jax.Array, first: int, last: int) -> jax.Array:
        packed = self.query_key_value
        assert packed.bias is not None
        kernel = packed.kernel[:, first:last].astype(self.dtype)
        product = jnp.einsum("...w,wphd->...phd", x, kernel)
        return kept(product + packed.bias[first:last].astype(self.dtype))

    def __call__(
        self, x: jax.Array, *, num_queries: int | None = None, is_causal: bool = False
    ) -> jax.Array:
        """Attends among the tokens of each row.

        Args:
            x: (rows, tokens, width).
            num_queries: only the first `num_queries` tokens ask (all attend to every token), so
                only their results are computed; None for all.
            is_causal: token i sees tokens 0..i only.

        Returns:
            (rows, num_queries or tokens, width).
        """
        if self.attention.kernel != "xla" and num_queries != 1 and not is_causal:
            return self._flat(x, num_queries or x.shape[1])
        if num_queries is None:
            query, key, value = self._queries_keys_values(x)
        else:
            query = self._project(x[:, :num_queries], 0, 1)[..., 0, :, :]
            key_value = self._project(x, 1, 3)
            key, value = (key_value[..., part, :, :] for part in range(2))
        attended = jax.nn.dot_product_attention(query, key, value, is_causal=is_causal)
        return self.out(attended)

    def _queries_keys_values(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        projected = self._project(x, 0, 3)
        return projected[..., 0, :, :], projected[..., 1, :, :], projected[..., 2, :, :]

    def with_queries_and_keys(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """What a call without mask gives, (rows, tokens, width), and the queries and keys that it
        came from, (rows, tokens, heads, head_dim), not scaled."""
        query, key, value = self._queries_keys_values(x)
        return self.out(jax.nn.dot_product_attention(query, key, value)), query, key

    def _flat(self, x: jax.Array, num_queries: int) -> jax.Array:
        """A call by another program than jax's. Heads stay side by side, so that no product's
        result has to be laid out anew, and all tokens ask, which is cheaper than to cut some
        off."""
        packed, out = self.query_key_value, self.out
        assert packed.bias is not None and out.bias is not None
        width, _, heads, head_dim = packed.kernel.shape
        if self.attention.flattens:
            # One product, as its result is laid out anew before attention in any case.
            kernel = packed.kernel[...].reshape(width, -1).astype(self.dtype)
            query, key, value = jnp.split(self._product(x, kernel), 3, axis=-1)
        else:
            query, key, value = (
                self._product(x, packed.kernel[:, part].reshape(width, -1).astype(self.dtype))
                for part in range(3)
            )
        attended = attend(
            query,
            key,
            value,
            packed.bias[...].reshape(3, -1).astype(self.dtype),
            num_queries=num_queries,
            head_dim=head_dim,
            attention=self.attention,
        )
        kernel = out.kernel[...].reshape(heads * head_dim, width).astype(self.dtype)
        return self._product(attended, kernel) + out.bias[...].astype(self.dtype)

    def _product(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        if not self.attention.flattens:
            return x @ kernel
        return (x.reshape(-1, x.shape[-1]) @ kernel).reshape(*x.shape[:-1], -1)

    def weights(self, x: jax.Array) -> jax.Array:
        """Which token looks how much at which: the softmax that a call without mask computes.

        A call does not keep it, so that it never holds all of it in memory; here it is computed
        again, to be looked at.

        Args:
            x: (rows, tokens, width).

        Returns:
            (rows, heads, tokens, tokens) float32; each row of the last axis sums to 1.
        """
        query_key = self._project(x, 0, 2)
        query, key = (query_key[..., part, :, :].astype(jnp.float32) for part in range(2))
        products = jnp.einsum("...ihd,...jhd->...hij", query, key)
        return jax.nn.softmax(products * query.shape[-1] ** -0.5)
