"""Self-attention of short rows in one Pallas kernel for TPUs, forward and backward.

All keys of a row fit into the chip's vector memory, so its weights never leave it: no blocks of
keys, no running maximum, and nothing is kept for the backward pass, which computes them again.
Heads lie side by side, as a matrix product makes them, and are not padded: nothing is transposed
or copied in the chip's main memory.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

# Bytes of a chip's vector memory that a kernel may take: all that those before v5 have, and less
# than half of a v5e's.
_VECTOR_MEMORY = 48 * 2**20
_SMALL_VECTOR_MEMORY = 16 * 2**20
_WITH_SMALL = ("TPU v2", "TPU v3", "TPU v4")


def vector_memory(tokens: int, width: int, itemsize: int) -> int:
    """Bytes of a chip's vector memory that the backward pass asks for, about.

    Args:
        tokens: of a row.
        width: heads · head_dim, of one device.
        itemsize: bytes of a value.
    """
    # Two rows at a time, one of which is being copied: queries, keys and values, their gradients,
    # and that of the result. And the weights of two heads, with what becomes of them, in float32.
    return 2 * 7 * tokens * width * itemsize + 2 * 4 * tokens * tokens * 4


def is_small_enough(tokens: int, width: int, itemsize: int, *, device_kind: str) -> bool:
    """Whether the kernels can hold a row; see `vector_memory`.

    Args:
        device_kind: as JAX calls it, such as "TPU v4".
    """
    most = _SMALL_VECTOR_MEMORY if device_kind.startswith(_WITH_SMALL) else _VECTOR_MEMORY
    return vector_memory(tokens, width, itemsize) <= most


class QueryKeyValue(NamedTuple):
    """What attention takes, (rows, tokens, heads · head_dim) each."""

    query: jax.Array
    key: jax.Array
    value: jax.Array


def forward(
    given: QueryKeyValue, *, num_queries: int, head_dim: int, interpreted: bool
) -> jax.Array:
    """softmax(query · keyᵀ · head_dim^-½) · value, of every row and head.

    Products are summed and the softmax is computed in float32.

    Args:
        num_queries: only the first `num_queries` tokens ask.
        interpreted: run by any device, slowly; otherwise it is compiled for a TPU.

    Returns:
        (rows, num_queries, heads · head_dim).
    """
    rows, tokens, width = given.query.shape
    return pl.pallas_call(
        functools.partial(_attend, head_dim=head_dim),
        grid=(rows,),
        in_specs=[_row(tokens, width)] * 3,
        out_specs=_row(num_queries, width),
        out_shape=jax.ShapeDtypeStruct((rows, num_queries, width), given.query.dtype),
        compiler_params=_COMPILER,
        cost_estimate=_cost(given, num_queries, head_dim, products=2, arrays=4),
        interpret=interpreted,
        name="attention",
    )(*given)


def backward(
    given: QueryKeyValue, gradient: jax.Array, *, head_dim: int, interpreted: bool
) -> tuple[QueryKeyValue, QueryKeyValue]:
    """The gradient of `forward`.

    Args:
        given: as `forward` took it.
        gradient: by what `forward` gave, (rows, num_queries, heads · head_dim).

    Returns:
        by what it took; and the sums of these over the tokens, (rows, 1, heads · head_dim) float32
        each, from which the gradients of biases come. Outside, they would be read again for it.
    """
    (rows, tokens, width), num_queries = given.query.shape, gradient.shape[1]
    sums = jax.ShapeDtypeStruct((rows, 1, width), jnp.float32)
    gradients = pl.pallas_call(
        functools.partial(_attend_backward, head_dim=head_dim),
        grid=(rows,),
        in_specs=[*[_row(tokens, width)] * 3, _row(num_queries, width)],
        out_specs=[*[_row(tokens, width)] * 3, *[_row(1, width)] * 3],
        out_shape=[
            *(jax.ShapeDtypeStruct(array.shape, array.dtype) for array in given),
            *[sums] * 3,
        ],
        compiler_params=_COMPILER,
        cost_estimate=_cost(given, num_queries, head_dim, products=5, arrays=7),
        interpret=interpreted,
        name="attention_backward",
    )(*given, gradient)
    return QueryKeyValue(*gradients[:3]), QueryKeyValue(*gradients[3:])


_COMPILER = pltpu.CompilerParams(dimension_semantics=("parallel",), vmem_limit_bytes=_VECTOR_MEMORY)


def _row(tokens: int, width: int) -> pl.BlockSpec:
    """One row at a time of (rows, tokens, width)."""
    return pl.BlockSpec((None, tokens, width), lambda row: (row, 0, 0))


def _cost(
    given: QueryKeyValue, num_queries: int, head_dim: int, *, products: int, arrays: int
) -> pl.CostEstimate:
    """What the compiler, which does not look into a kernel, is told of it.

    Args:
        products: matrix products of a head.
        arrays: that are read or written, of about the size of the queries.
    """
    rows, tokens, width = given.query.shape
    scores = rows * num_queries * tokens
    return pl.CostEstimate(
        flops=2 * products * scores * width,
        transcendentals=scores * width // head_dim,
        bytes_accessed=arrays * given.query.size * given.query.dtype.itemsize,
    )


def _attend(queries, keys, values, attended, *, head_dim: int) -> None:
    """The kernel of a row: (tokens, width) thrice → (num_queries, width)."""
    num_queries, width = attended.shape
    for start in range(0, width, head_dim):
        head = slice(start, start + head_dim)
        value = values[:, head]
        exponentials = _exponentials(queries[:num_queries, head], keys[:, head])
        total = jnp.sum(exponentials, axis=1, keepdims=True)
        sums = _product(exponentials.astype(value.dtype), value, over=(1, 0))
        attended[:, head] = (sums / total).astype(attended.dtype)


def _attend_backward(
    queries,
    keys,
    values,
    gradient,
    of_queries,
    of_keys,
    of_values,
    sum_of_queries,
    sum_of_keys,
    sum_of_values,
    *,
    head_dim: int,
) -> None:
    """The kernel of a row's gradient: (tokens, width) thrice, (num_queries, width) → the gradients
    of the first three, and their sums (1, width)."""
    num_queries, width = gradient.shape
    for start in range(0, width, head_dim):
        head = slice(start, start + head_dim)
        query, key, of_result = queries[:num_queries, head], keys[:, head], gradient[:, head]
        exponentials = _exponentials(query, key)
        weights = exponentials / jnp.sum(exponentials, axis=1, keepdims=True)
        of_weights = _product(of_result, values[:, head], over=(1, 1))
        mean = jnp.sum(weights * of_weights, axis=1, keepdims=True)
        of_scores = (weights * (of_weights - mean) * head_dim**-0.5).astype(key.dtype)
        of_query = _product(of_scores, key, over=(1, 0))
        of_key = _product(of_scores, query, over=(0, 0))
        of_value = _product(weights.astype(key.dtype), of_result, over=(0, 0))
        of_queries[:num_queries, head] = of_query.astype(of_queries.dtype)
        of_keys[:, head] = of_key.astype(of_keys.dtype)
        of_values[:, head] = of_value.astype(of_values.dtype)
        sum_of_queries[:, head] = jnp.sum(of_query, axis=0, keepdims=True)
        sum_of_keys[:, head] = jnp.sum(of_key, axis=0, keepdims=True)
        sum_of_values[:, head] = jnp.sum(of_value, axis=0, keepdims=True)
    if num_queries < of_queries.shape[0]:  # tokens that did not ask
        of_queries[num_queries:, :] = jnp.zeros_like(of_queries[num_queries:, :])


def _exponentials(query: jax.Array, key: jax.Array) -> jax.Array:
    """The softmax's numerators (queries, keys), float32, the largest of each query 1."""
    scores = _product(query, key, over=(1, 1)) * query.shape[1] ** -0.5
    return jnp.exp(scores - jnp.max(scores, axis=1, keepdims=True))


def _product(first: jax.Array, second: jax.Array, *, over: tuple[int, int]) -> jax.Array:
    """A matrix product over an axis of each, summed in float32."""
    dimensions = (((over[0],), (over[1],)), ((), ()))
    return jax.lax.dot_general(first, second, dimensions, preferred_element_type=jnp.float32)
