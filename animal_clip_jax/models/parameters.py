"""Parameters as a flat dictionary, `{"visual.blocks.0.mlp.expand.kernel": array}`.

Everything outside the modules (checkpoints, conversion, sharding rules, optimizer groups) speaks of
parameters by these paths. The running statistics of batch normalisation are in the same dictionary:
they are weights that no gradient trains, `is_statistic` tells which.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import jax
from flax import nnx

Parameters = dict[str, Any]
Result = TypeVar("Result")

# What the modules call them, and nothing else.
_STATISTICS = ("running_mean", "running_variance")


def split(model: nnx.Module) -> tuple[nnx.GraphDef, Parameters]:
    """Separates a model from its parameters.

    Returns:
        the structure, and the parameters and running statistics in the order of their paths.
    """
    graphdef, state = nnx.split(model, (nnx.Param, nnx.BatchStat))
    return graphdef, _flat(state)


def merge(graphdef: nnx.GraphDef, parameters: Mapping[str, Any]) -> nnx.Module:
    """The model of that structure with these parameters; the inverse of `split`."""
    # The structure knows which of them are parameters and which are statistics.
    flat = [
        (tuple(int(part) if part.isdigit() else part for part in path.split(".")), value)
        for path, value in parameters.items()
    ]
    return nnx.merge(graphdef, nnx.from_flat_state(flat))


def _flat(state: nnx.State) -> Parameters:
    return {
        ".".join(map(str, path)): variable.get_value()
        for path, variable in nnx.to_flat_state(state)
    }


def is_statistic(path: str) -> bool:
    """Whether it is a running statistic of batch normalisation: a training forward changes it, and
    an optimizer does not."""
    return path.rpartition(".")[2] in _STATISTICS


def with_new_statistics(
    graphdef: nnx.GraphDef, parameters: Mapping[str, Any], call: Callable[[Any], Result]
) -> tuple[Result, Parameters]:
    """What a model computes, and the running statistics that it has afterwards.

    A pure function, for `jax.jit` and `jax.grad(..., has_aux=True)`: what is given stays as it is.

    Examples:
        >>> logits, statistics = with_new_statistics(
        ...     graphdef, parameters, lambda model: model(clips, training=True, key=key)
        ... )
        >>> parameters = {**parameters, **statistics}

    Args:
        graphdef, parameters: as `split` gives them.
        call: is given the model.

    Returns:
        what `call` returns; and the running statistics by path, all of them, none for a model
        without batch normalisation.
    """
    model = merge(graphdef, parameters)
    result = call(model)
    return result, _flat(nnx.state(model, nnx.BatchStat))


class _CountedKeys:
    """A key after another."""

    def __init__(self, key: jax.Array):
        self._key, self._number = key, 0

    def params(self) -> jax.Array:
        key = jax.random.fold_in(self._key, self._number)
        self._number += 1
        return key


def rngs_for_values(key: jax.Array) -> nnx.Rngs:
    """In place of `nnx.Rngs(key)`, with the same keys.

    That one counts them in an array, which takes seconds for a ViT-B/16; in a function that is
    traced, three quarters of the time of tracing and lowering.
    """
    return cast(nnx.Rngs, _CountedKeys(key))


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
