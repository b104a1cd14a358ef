"""The training state: what a step changes, and how it lies on the devices."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import AbstractMesh, Mesh

from animal_clip_jax.models.parameters import Parameters, is_statistic
from animal_clip_jax.parallel import mesh as mesh_lib


class TrainState(NamedTuple):
    """Everything that a step changes, and what it needs to go on exactly.

    Attributes:
        step: () int32, steps done.
        trained: parameters that the optimizer changes, by path.
        frozen: the others, by path.
        statistics: running statistics of batch normalisation, by path: a step moves them, and
            neither the optimizer nor the averages know of them.
        optimizer: optax's state of the trained parameters.
        averaged: exponential moving averages of the trained parameters; empty if there are none.
        rng: (2,) uint32, the run's key; a step's randomness is a function of it and `step`.
    """

    step: jax.Array
    trained: Parameters
    frozen: Parameters
    statistics: Parameters
    optimizer: Any
    averaged: Parameters
    rng: jax.Array

    def evaluated(self) -> Parameters:
        """The parameters to evaluate: the averages where there are some."""
        return {**self.trained, **self.averaged, **self.frozen, **self.statistics}

    def values(self) -> Parameters:
        """All parameters and statistics, those that are trained as they are."""
        return {**self.trained, **self.frozen, **self.statistics}


def _initial_state(
    values: Parameters,
    groups: dict[str, str],
    optimizer: optax.GradientTransformation,
    *,
    seed: int,
    with_averages: bool,
) -> TrainState:
    statistics = {path: value for path, value in values.items() if is_statistic(path)}
    others = {path: value for path, value in values.items() if path not in statistics}
    trained = {path: value for path, value in others.items() if groups[path] != "frozen"}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        trained=trained,
        frozen={path: value for path, value in others.items() if path not in trained},
        statistics=statistics,
        optimizer=optimizer.init(trained),
        averaged=jax.tree.map(jnp.copy, trained) if with_averages else {},
        rng=jax.random.PRNGKey(seed),
    )


def abstract_state(
    values: Parameters,
    groups: dict[str, str],
    optimizer: optax.GradientTransformation,
    *,
    mesh: Mesh | AbstractMesh,
    with_averages: bool = False,
) -> tuple[TrainState, TrainState]:
    """The shapes of `create_state`'s state; nothing is computed, and no device is needed.

    Args:
        values: all parameters by path, or `jax.ShapeDtypeStruct`s in their place.

    Returns:
        the state with a `jax.ShapeDtypeStruct` for every array, and its shardings.
    """

    def build(values: Parameters) -> TrainState:
        return _initial_state(values, groups, optimizer, seed=0, with_averages=with_averages)

    shapes = jax.eval_shape(build, values)
    return shapes, mesh_lib.tree_shardings(shapes, mesh)


def create_state(
    values: Parameters,
    groups: dict[str, str],
    optimizer: optax.GradientTransformation,
    *,
    seed: int,
    mesh: Mesh,
    with_averages: bool = False,
) -> tuple[TrainState, TrainState]:
    """The state before the first step, laid out on the mesh.

    Args:
        values: all parameters by path, on the host or on any device.
        groups: their optimizer groups; statistics need none.
        with_averages: keep moving averages of the trained parameters.

    Returns:
        the state, and its shardings in the same structure.
    """

    def build(values: Parameters) -> TrainState:
        return _initial_state(values, groups, optimizer, seed=seed, with_averages=with_averages)

    _, shardings = abstract_state(values, groups, optimizer, mesh=mesh, with_averages=with_averages)
    placed = jax.device_put(values, mesh_lib.tree_shardings(values, mesh))
    return jax.jit(build, out_shardings=shardings)(placed), shardings
