"""Self-attention of short rows in one Pallas kernel for TPUs, forward and backward.

All keys of a row fit into the chip's vector memory, so its weights never leave it: no blocks of
keys, no running maximum, and nothing is kept for the backward pass, which computes them again. A
kernel takes queries, keys and values side by side, as one matrix product makes them, and gives
their gradients so: none is cut out, transposed or padded in the chip's main memory.
"""

import functools

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


def forward(query_key_value: jax.Array, num_queries: int, *, interpreted: bool) -> jax.Array:
    """softmax(query · keyᵀ · head_dim^-½) · value, of every row and head.

    Products are summed and the softmax is computed in float32.

    Args:
        query_key_value: (rows, tokens, 3, heads, head_dim).
        num_queries: only the first `num_queries` tokens ask.
        interpreted: run by any device, slowly; otherwise it is compiled for a TPU.

    Returns:
        (rows, num_queries, heads, head_dim).
    """
    rows, tokens, _, heads, head_dim = query_key_value.shape
    width = heads * head_dim
    attended = pl.pallas_call(
        functools.partial(_attend, head_dim=head_dim),
        grid=(rows,),
        in_specs=[_row(tokens, 3 * width)],
        out_specs=_row(num_queries, width),
        out_shape=jax.ShapeDtypeStruct((rows, num_queries, width), query_key_value.dtype),
        compiler_params=_COMPILER,
        cost_estimate=_cost(query_key_value, num_queries, products=2),
        interpret=interpreted,
        name="attention",
    )(query_key_value.reshape(rows, tokens, 3 * width))
    return attended.reshape(rows, num_queries, heads, head_dim)


def backward(query_key_value: jax.Array, gradient: jax.Array, *, interpreted: bool) -> jax.Array:
    """The gradient of `forward` by its queries, keys and values.

    Args:
        query_key_value: as `forward` took it.
        gradient: by what `forward` gave, (rows, num_queries, heads, head_dim).

    Returns:
        (rows, tokens, 3, heads, head_dim).
    """
    rows, tokens, _, heads, head_dim = query_key_value.shape
    num_queries, width = gradient.shape[1], heads * head_dim
    packed = query_key_value.reshape(rows, tokens, 3 * width)
    gradients = pl.pallas_call(
        functools.partial(_attend_backward, head_dim=head_dim),
        grid=(rows,),
        in_specs=[_row(tokens, 3 * width), _row(num_queries, width)],
        out_specs=_row(tokens, 3 * width),
        out_shape=jax.ShapeDtypeStruct(packed.shape, packed.dtype),
        compiler_params=_COMPILER,
        cost_estimate=_cost(query_key_value, num_queries, products=5),
        interpret=interpreted,
        name="attention_backward",
    )(packed, gradient.reshape(rows, num_queries, width))
    return gradients.reshape(query_key_value.shape)


_COMPILER = pltpu.CompilerParams(dimension_semantics=("parallel",), vmem_limit_bytes=_VECTOR_MEMORY)


def _row(tokens: int, width: int) -> pl.BlockSpec:
    """One row at a time of (rows, tokens, width)."""
    return pl.BlockSpec((None, tokens, width), lambda row: (row, 0, 0))


def _cost(query_key_value: jax.Array, num_queries: int, *, products: int) -> pl.CostEstimate:
    """What the compiler, which does not look into a kernel, is told of it."""
    rows, tokens, _, heads, head_dim = query_key_value.shape
    weights = rows * heads * num_queries * tokens
    # The backward pass reads and writes what the forward pass reads.
    reads = 1 if products == 2 else 2
    values = rows * heads * head_dim * (reads * 3 * tokens + num_queries)
    return pl.CostEstimate(
        flops=2 * products * weights * head_dim,
        transcendentals=weights,
        bytes_accessed=values * query_key_value.dtype.itemsize,
    )


def _attend(packed, attended, *, head_dim: int) -> None:
    """The kernel of a row: (tokens, 3 · width) → (num_queries, width)."""
    num_queries, width = attended.shape
    for head in range(width // head_dim):
        query, key, value, lanes = _of_head(packed, head, num_queries, head_dim)
        exponentials = _exponentials(query, key)
        total = jnp.sum(exponentials, axis=1, keepdims=True)
        sums = _product(exponentials.astype(value.dtype), value, over=(1, 0))
        attended[:, lanes] = (sums / total).astype(attended.dtype)


def _attend_backward(packed, gradient, gradients, *, head_dim: int) -> None:
    """The kernel of a row's gradient: (tokens, 3 · width), (num_queries, width) → that of the
    first."""
    num_queries, width = gradient.shape
    dtype = gradients.dtype
    for head in range(width // head_dim):
        query, key, value, lanes = _of_head(packed, head, num_queries, head_dim)
        exponentials = _exponentials(query, key)
        weights = exponentials / jnp.sum(exponentials, axis=1, keepdims=True)
        of_result = gradient[:, lanes]
        of_weights = _product(of_result, value, over=(1, 1))
        mean = jnp.sum(weights * of_weights, axis=1, keepdims=True)
        of_scores = (weights * (of_weights - mean) * head_dim**-0.5).astype(dtype)
        of_query = _product(of_scores, key, over=(1, 0))
        of_key = _product(of_scores, query, over=(0, 0))
        of_value = _product(weights.astype(dtype), of_result, over=(0, 0))
        gradients[:num_queries, lanes] = of_query.astype(dtype)
        gradients[:, _lanes(1, head, width, head_dim)] = of_key.astype(dtype)
        gradients[:, _lanes(2, head, width, head_dim)] = of_value.astype(dtype)
    if num_queries < gradients.shape[0]:  # tokens that did not ask
        gradients[num_queries:, :width] = jnp.zeros_like(gradients[num_queries:, :width])


def _lanes(part: int, head: int, width: int, head_dim: int) -> slice:
    start = part * width + head * head_dim
    return slice(start, start + head_dim)


def _of_head(packed, head: int, num_queries: int, head_dim: int):
    """Query (num_queries, head_dim), key and value (tokens, head_dim), and where a head's result
    goes."""
    width = packed.shape[1] // 3
    lanes, key, value = (_lanes(part, head, width, head_dim) for part in range(3))
    return packed[:num_queries, lanes], packed[:, key], packed[:, value], lanes


def _exponentials(query: jax.Array, key: jax.Array) -> jax.Array:
    """The softmax's numerators (queries, keys), float32, the largest of each query 1."""
    scores = _product(query, key, over=(1, 1)) * query.shape[1] ** -0.5
    return jnp.exp(scores - jnp.max(scores, axis=1, keepdims=True))


def _product(first: jax.Array, second: jax.Array, *, over: tuple[int, int]) -> jax.Array:
    """A matrix product over an axis of each, summed in float32."""
    dimensions = (((over[0],), (over[1],)), ((), ()))
    return jax.lax.dot_general(first, second, dimensions, preferred_element_type=jnp.float32)
