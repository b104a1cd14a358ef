"""Parameters as a flat dictionary, `{"visual.blocks.0.mlp.expand.kernel": array}`.

Everything outside the modules (checkpoints, conversion, sharding rules, optimizer groups) speaks of
parameters by these paths.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
from flax import nnx

Parameters = dict[str, Any]


def split(model: nnx.Module) -> tuple[nnx.GraphDef, Parameters]:
    """Separates a model from its parameters.

    Returns:
        the structure, and the parameters in the order of their paths.
    """
    graphdef, state = nnx.split(model, nnx.Param)
    flat = {
        ".".join(map(str, path)): variable.get_value()
        for path, variable in nnx.to_flat_state(state)
    }
    return graphdef, flat


def merge(graphdef: nnx.GraphDef, parameters: Mapping[str, Any]) -> nnx.Module:
    """The model of that structure with these parameters; the inverse of `split`."""
    flat = [
        (tuple(int(part) if part.isdigit() else part for part in path.split(".")), nnx.Param(value))
        for path, value in parameters.items()
    ]
    return nnx.merge(graphdef, nnx.from_flat_state(flat))


class _OneKey:
    """A key for whatever asks."""

    def params(self) -> jax.Array:
        return jax.random.key(0)


def rngs_for_shapes() -> nnx.Rngs:
    """In place of `nnx.Rngs` for a model that `abstract` is to build: of a key for each array,
    nothing remains but nine tenths of the time that it takes."""
    return cast(nnx.Rngs, _OneKey())


def abstract(build: Callable[[], nnx.Module]) -> tuple[nnx.GraphDef, Parameters]:
    """`split(build())` with shapes and dtypes in place of arrays; nothing is computed."""
    model = nnx.eval_shape(build)
    graphdef, flat = split(model)
    return graphdef, {
        path: jax.ShapeDtypeStruct(value.shape, value.dtype) for path, value in flat.items()
    }
