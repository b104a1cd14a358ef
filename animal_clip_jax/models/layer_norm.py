"""Layer norm over the last axis, and its gradient.

Whatever the computation's dtype, means, variances and their gradients are summed in float32.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

LAYER_NORM_EPSILON = 1e-5


class LayerNorm(nnx.LayerNorm):
    """Flax's in float32; in bfloat16 with each reduction in one pass over its input."""

    @jax.named_scope("layer_norm")
    def __call__(self, x: Any, *, mask: jax.Array | None = None) -> Any:
        """(..., width) → (..., width)."""
        if self.dtype != jnp.bfloat16 or x.dtype != jnp.bfloat16 or mask is not None:
            return super().__call__(x, mask=mask)
        assert self.scale is not None and self.bias is not None
        return one_pass_layer_norm(x, self.scale[...], self.bias[...], self.epsilon)


def layer_norm(
    width: int, *, epsilon: float = LAYER_NORM_EPSILON, dtype: jnp.dtype, rngs: nnx.Rngs
) -> LayerNorm:
    """Layer norm over the last axis; in float32, variance by the two-pass formula."""
    return LayerNorm(width, epsilon=epsilon, dtype=dtype, use_fast_variance=False, rngs=rngs)


class _Kept(NamedTuple):
    """What the backward pass needs; `mean` and `factor` are (..., 1) float32."""

    x: jax.Array
    mean: jax.Array
    factor: jax.Array
    scale: jax.Array


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def one_pass_layer_norm(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float = LAYER_NORM_EPSILON
) -> jax.Array:
    """(x − mean) / √(variance + epsilon) · scale + bias, with the variance as E[x²] − mean².

    In float32 that variance is off by about E[x²] · 2^-24, where two passes would be off by a share
    of the variance. In bfloat16 each value is off by up to |x| · 2^-9 as it comes, so that
    variances below E[x²] · 2^-19 are those of rounding errors; of all others the one pass loses
    less than a thirtieth, at a mean of 100 deviations a thousandth. Both sums are taken where x is
    made, so that it is not read for them.

    Args:
        x: (..., width) bfloat16.
        scale, bias: (width,) float32.

    Returns:
        (..., width) bfloat16.
    """
    return _forward(x, scale, bias, epsilon)[0]


def _forward(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[jax.Array, _Kept]:
    wide = x.astype(jnp.float32)
    mean = jnp.mean(wide, axis=-1, keepdims=True)
    square = jnp.mean(wide * wide, axis=-1, keepdims=True)
    # Rounding may make it slightly negative where all values are the same.
    variance = jnp.maximum(square - mean * mean, 0)
    factor = jax.lax.rsqrt(variance + epsilon)
    normed = (wide - mean) * factor * scale + bias
    return normed.astype(x.dtype), _Kept(x, mean, factor, scale)


def _backward(
    epsilon: float, kept: _Kept, gradient: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    wide = gradient.astype(jnp.float32)
    normed = (kept.x.astype(jnp.float32) - kept.mean) * kept.factor
    scaled = wide * kept.scale
    mean = jnp.mean(scaled, axis=-1, keepdims=True)
    along = jnp.mean(scaled * normed, axis=-1, keepdims=True)
    of_x = kept.factor * (scaled - mean - normed * along)
    rows = tuple(range(gradient.ndim - 1))
    return (
        of_x.astype(kept.x.dtype),
        jnp.sum(wide * normed, axis=rows),
        jnp.sum(wide, axis=rows),
    )


one_pass_layer_norm.defvjp(_forward, _backward)
