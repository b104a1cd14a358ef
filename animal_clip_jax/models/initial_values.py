"""What parameters are before training: functions of (key, shape, dtype), as those of
`jax.nn.initializers`.

Each draws by a program of its own, which all arrays of its shape share. As part of one program that
makes a whole model, the draws of a ViT-B/16 take twice as long to compile; the values are the same.
"""

import functools

import jax
import jax.numpy as jnp
from jax.nn import initializers
from jax.nn.initializers import Initializer

# Of what video models add to CLIP. Published as a truncated normal, cut at ±2, a hundred standard
# deviations out, where nothing is left to cut.
NEW_STD = 0.02


def _compiled(initializer: Initializer) -> Initializer:
    return jax.jit(
        initializer, static_argnums=(1, 2), static_argnames=("shape", "dtype", "out_sharding")
    )


@functools.cache
def normal(standard_deviation: float) -> Initializer:
    """Normal around 0."""
    return _compiled(initializers.normal(standard_deviation))


@functools.cache
def symmetric_uniform(bound: float) -> Initializer:
    """Uniform on [-bound, bound]."""

    def init(key, shape, dtype=jnp.float32, out_sharding=None):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return _compiled(init)


# Glorot and Bengio 2010.
XAVIER_UNIFORM = _compiled(initializers.xavier_uniform())
# He et al. 2015, by the number of outputs.
HE_NORMAL = _compiled(initializers.variance_scaling(2.0, "fan_out", "normal"))
