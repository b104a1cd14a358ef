"""Which program computes self-attention, on which devices.

The result is the same but for rounding, so that this is no property of a model's weights. It is
chosen by the devices of the mesh that the model is to run on, and not by those at hand: a program
is also compiled for devices that are elsewhere.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from animal_clip_jax.models.recomputed_attention import recomputed
from animal_clip_jax.models.rematerialisation import kept

CHOICES = ("auto", "xla", "fused")


@dataclasses.dataclass(frozen=True)
class Attention:
    """How the tokens of a row attend to each other.

    Attributes:
        kernel: "xla", which writes every weight to memory; "recomputed", which writes them too,
            in a processor's order, and does not keep them for the backward pass; or one that never
            writes them: "cudnn" on NVIDIA GPUs, "pallas" on TPUs.
        mesh: the devices; None for one of them. A fused kernel runs on each by itself.
        row_axes: the mesh's axes that share the rows.
        head_axis: the axis that shares the heads.
        interpreted: run the Pallas kernel on any device, slowly.
    """

    kernel: str = "xla"
    mesh: Mesh | None = None
    row_axes: tuple[str, ...] = ()
    head_axis: str | None = None
    interpreted: bool = False

    @property
    def is_fused(self) -> bool:
        """Whether the weights stay out of memory."""
        return self.kernel not in ("xla", "recomputed")

    @property
    def flattens(self) -> bool:
        """Whether products with parameters are of one matrix, all tokens below each other. On a
        processor the gradient of a parameter then needs no transposed copy of what went in; on
        a TPU the matrix itself would be a copy."""
        return self.kernel == "recomputed"


XLA = Attention()
RECOMPUTED = Attention("recomputed")


class Fused(NamedTuple):
    """The fused kernel for some devices.

    Attributes:
        kernel: as in `Attention`; "" if there is none.
        reason: why there is none.
    """

    kernel: str
    reason: str = ""


def fused_kernel(
    device: jax.Device, *, tokens: int, heads: int, head_dim: int, dtype: jnp.dtype
) -> Fused:
    """The fused kernel that serves a model.

    Args:
        device: one of those that it is to run on.
        tokens: of a row, the longest.
        heads, head_dim: of one device.
        dtype: of the computation.
    """
    dtype = jnp.dtype(dtype)
    if device.platform == "tpu":
        return _pallas(device.device_kind, tokens, heads * head_dim, dtype)
    if device.platform in ("gpu", "cuda"):
        return _cudnn(getattr(device, "compute_capability", "8.0"), head_dim, dtype)
    return Fused("", f"{device.platform} devices have none")


def _pallas(device_kind: str, tokens: int, width: int, dtype: jnp.dtype) -> Fused:
    from animal_clip_jax.models import attention_kernel

    if attention_kernel.is_small_enough(tokens, width, dtype.itemsize, device_kind=device_kind):
        return Fused("pallas")
    return Fused(
        "", f"{tokens} tokens of width {width} do not fit into the vector memory of a {device_kind}"
    )


def _cudnn(compute_capability: str, head_dim: int, dtype: jnp.dtype) -> Fused:
    major = compute_capability.partition(".")[0]
    if not major.isdigit() or int(major) < 8:  # AMD's are called gfx942 and the like
        return Fused("", "of GPUs, NVIDIA's from Ampere on (A100, L4, H100) have one")
    if dtype not in (jnp.bfloat16, jnp.float16):
        return Fused("", f"a GPU's computes in bfloat16, not in {dtype.name}")
    if head_dim % 8 or head_dim > 128:
        return Fused(
            "", f"a GPU's takes heads of 8, 16, … 128 values, and those here have {head_dim}"
        )
    return Fused("cudnn")


def attend(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    bias: jax.Array,
    *,
    num_queries: int,
    head_dim: int,
    attention: Attention,
) -> jax.Array:
    """Attention among the tokens of each row, with scale head_dim^-½.

    Args:
        query, key, value: (rows, tokens, heads · head_dim) each.
        bias: (3, heads · head_dim), to be added to each of them.
        num_queries: only the first `num_queries` tokens ask (all attend to every token).
        attention: not "xla".

    Returns:
        (rows, num_queries, heads · head_dim).
    """
    if attention.kernel == "pallas":
        return _by_pallas(query, key, value, bias, num_queries, head_dim, attention)
    given = _with_bias(query, key, value, bias)
    if attention.kernel == "recomputed":
        return recomputed(given[0][:, :num_queries], *given[1:], head_dim)
    assert attention.kernel == "cudnn"
    by_cudnn = functools.partial(at_even_length, head_dim=head_dim, function=_cudnn_attention)
    return _on_each_device(by_cudnn, attention, head_dim, *given)[:, :num_queries]


def _with_bias(
    query: jax.Array, key: jax.Array, value: jax.Array, bias: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    return kept(query + bias[0]), kept(key + bias[1]), kept(value + bias[2])


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6))
def _by_pallas(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    bias: jax.Array,
    num_queries: int,
    head_dim: int,
    attention: Attention,
) -> jax.Array:
    return _by_pallas_forward(query, key, value, bias, num_queries, head_dim, attention)[0]


def _by_pallas_forward(
    query, key, value, bias, num_queries: int, head_dim: int, attention: Attention
):
    from animal_clip_jax.models import attention_kernel as kernel

    def forward(*given: jax.Array) -> jax.Array:
        return kernel.forward(
            kernel.QueryKeyValue(*given),
            num_queries=num_queries,
            head_dim=head_dim,
            interpreted=attention.interpreted,
        )

    given = _with_bias(query, key, value, bias)
    return _on_each_device(forward, attention, head_dim, *given), (given, bias)


def _by_pallas_backward(num_queries: int, head_dim: int, attention: Attention, stored, gradient):
    from animal_clip_jax.models import attention_kernel as kernel

    def backward(gradient: jax.Array, *given: jax.Array) -> tuple[jax.Array, ...]:
        gradients, sums = kernel.backward(
            kernel.QueryKeyValue(*given),
            gradient,
            head_dim=head_dim,
            interpreted=attention.interpreted,
        )
        return *gradients, *sums

    given, bias = stored
    *gradients, query, key, value = _on_each_device(backward, attention, head_dim, gradient, *given)
    of_bias = jnp.stack([jnp.sum(sums, axis=(0, 1)) for sums in (query, key, value)])
    return *gradients, of_bias.astype(bias.dtype)


_by_pallas.defvjp(_by_pallas_forward, _by_pallas_backward)


def _on_each_device(
    function: Callable[..., Any], attention: Attention, head_dim: int, *arrays: jax.Array
) -> Any:
    """`function` of the rows and heads of each device: no compiler divides a fused kernel.

    Args:
        arrays: what `function` takes, (rows, …, heads · head_dim) each, as what it gives.
    """
    mesh = attention.mesh
    if mesh is None or mesh.size == 1:
        return function(*arrays)
    rows, _, width = arrays[0].shape
    # What cannot be shared out, every device computes.
    shares = math.prod(mesh.shape[axis] for axis in attention.row_axes)
    row_axes = attention.row_axes if rows % shares == 0 else None
    head_axis = attention.head_axis
    if head_axis is not None and width // head_dim % mesh.shape[head_axis]:
        head_axis = None
    spec = PartitionSpec(row_axes, None, head_axis)
    on_each = jax.shard_map(
        function,
        mesh=mesh,
        in_specs=spec,
        out_specs=spec,
        check_vma=False,  # kernels do not say how their results vary over the devices
    )
    return on_each(*arrays)


def at_even_length(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    *,
    head_dim: int,
    function: Callable[..., jax.Array],
) -> jax.Array:
    """Attention by a program that takes even numbers of tokens only.

    What fills a row is added here, and not before the products that make the queries, keys and
    values: its gradients are cut off again, so that nothing depends on what the program writes
    there. Only keys are masked, so that what fills the queries attends like any other, and is cut
    off; a row without any key would have no softmax.

    Args:
        query, key, value: (rows, tokens, heads · head_dim) each.
        function: of queries, keys and values (rows, tokens, heads, head_dim) each, and how
            many tokens of each row are real, (rows,) int32, or None for all.

    Returns:
        (rows, tokens, heads · head_dim).
    """
    rows, tokens, width = query.shape
    lengths = jnp.full((rows,), tokens, jnp.int32) if tokens % 2 else None

    def heads_of(array: jax.Array) -> jax.Array:
        even = jnp.pad(array, ((0, 0), (0, tokens % 2), (0, 0)))
        return even.reshape(rows, -1, width // head_dim, head_dim)

    attended = function(heads_of(query), heads_of(key), heads_of(value), lengths)
    return attended[:, :tokens].reshape(rows, tokens, width)


def _cudnn_attention(
    query: jax.Array, key: jax.Array, value: jax.Array, lengths: jax.Array | None
) -> jax.Array:
    return jax.nn.dot_product_attention(
        query, key, value, key_value_seq_lengths=lengths, implementation="cudnn"
    )
