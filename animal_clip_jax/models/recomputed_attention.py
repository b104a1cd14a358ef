"""Self-attention as a processor computes it fast, without keeping its weights."""

import functools

import jax
import jax.numpy as jnp

from animal_clip_jax.models.rematerialisation import kept


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def recomputed(query: jax.Array, key: jax.Array, value: jax.Array, head_dim: int) -> jax.Array:
    """Attention for processors. Heads come before tokens, which is the order that their products
    are fast in, and the backward pass computes the weights again, which is faster than to read
    them from memory.

    Args:
        query: (rows, queries, heads · head_dim).
        key, value: (rows, tokens, heads · head_dim) each.

    Returns:
        (rows, queries, heads · head_dim).
    """
    return _recomputed_forward(query, key, value, head_dim)[0]


def _recomputed_forward(query, key, value, head_dim: int):
    products = _scores(query * head_dim**-0.5, key, head_dim)
    largest = jnp.max(products, axis=-1, keepdims=True)
    weights = jnp.exp(products - largest)
    total = jnp.sum(weights, axis=-1, keepdims=True)
    attended = jnp.einsum("rhqt,rhtd->rhqd", weights.astype(value.dtype), _by_head(value, head_dim))
    attended = _side_by_side((attended / total).astype(value.dtype))
    attended, largest, total = map(kept, (attended, largest, total))
    return attended, (query, key, value, attended, largest, total)


def _recomputed_backward(head_dim: int, stored, gradient):
    query, key, value, attended, largest, total = stored
    dtype = query.dtype
    # The keys are scaled here, and the queries before, since XLA would keep what is the same.
    weights = jnp.exp(_scores(query, key * head_dim**-0.5, head_dim) - largest) / total
    query, key, value, attended, gradient = (
        _by_head(array, head_dim) for array in (query, key, value, attended, gradient)
    )
    # The gradient of a softmax: less the mean of what comes, by the weights.
    mean = jnp.sum((gradient * attended).astype(jnp.float32), axis=-1, keepdims=True)
    of_weights = jnp.einsum("rhqd,rhtd->rhqt", gradient, value, preferred_element_type=jnp.float32)
    of_products = (weights * (of_weights - mean) * head_dim**-0.5).astype(dtype)
    gradients = (
        jnp.einsum("rhqt,rhtd->rhqd", of_products, key),
        jnp.einsum("rhqt,rhqd->rhtd", of_products, query),
        jnp.einsum("rhqt,rhqd->rhtd", weights.astype(dtype), gradient),
    )
    return tuple(map(_side_by_side, gradients))


recomputed.defvjp(_recomputed_forward, _recomputed_backward)


def _scores(query: jax.Array, key: jax.Array, head_dim: int) -> jax.Array:
    """What the softmax is of, (rows, heads, queries, tokens) float32."""
    return jnp.einsum(
        "rhqd,rhtd->rhqt",
        _by_head(query, head_dim),
        _by_head(key, head_dim),
        preferred_element_type=jnp.float32,
    )


def _by_head(array: jax.Array, head_dim: int) -> jax.Array:
    """(rows, tokens, heads · head_dim) → (rows, heads, tokens, head_dim)."""
    rows, tokens, _ = array.shape
    return array.reshape(rows, tokens, -1, head_dim).swapaxes(1, 2)


def _side_by_side(array: jax.Array) -> jax.Array:
    """The inverse of `_by_head`."""
    rows, _, tokens, _ = array.shape
    return array.swapaxes(1, 2).reshape(rows, tokens, -1)
