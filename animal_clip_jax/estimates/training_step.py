"""A training step, compiled for devices that need not be there, and what it needs of one."""

import dataclasses
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from animal_clip_jax.errors import UserError
from animal_clip_jax.estimates.parts import Cost, costs_by_part
from animal_clip_jax.estimates.targets import Chip
from animal_clip_jax.estimates.theory import training_flops
from animal_clip_jax.files import as_path
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.parallel.collectives import Traffic, collective_traffic
from animal_clip_jax.run import assembly
from animal_clip_jax.run.attention import choose_attention
from animal_clip_jax.run.by_data import LEFT_TO_DATA
from animal_clip_jax.run.config import check_fields, training_source
from animal_clip_jax.run.fields import FIELDS
from animal_clip_jax.run.start import as_published, filled, resolved
from animal_clip_jax.training import optimizer as optimizer_lib
from animal_clip_jax.training.step import abstract_state, make_train_step

# The CPU compiler drops the barriers that keep rematerialised values from being computed early and
# stored after all, which is why every policy would seem to need as much as none. This pass is it.
_CPU_OPTIONS: dict[str, str | bool] = {"xla_disable_hlo_passes": "cse_barrier_expander"}

# How the compiler says that a program does not fit, of all that it needs or of its temporaries.
_TOO_LARGE = re.compile(r"Used ([\d.]+)([KMGT]?) of [\d.]+[KMGT]? hbm")
_TOO_LARGE_BESIDE = re.compile(r"required for HLO temporaries \(([\d.]+)([KMGT]?)\) exceeds")
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class TooLargeError(Exception):
    """The compiler refuses a program that needs more memory than a device has.

    Attributes:
        needed: bytes.
    """

    def __init__(self, needed: float):
        super().__init__(f"needs {needed:.0f} bytes")
        self.needed = needed


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What one training step needs of one device.

    Attributes:
        parameters: bytes of all parameters, trained (and their averages) and frozen.
        optimizer: bytes of the optimizer's state.
        inputs: bytes of the batch and the class context.
        temporaries: bytes of activations, gradients and all else that lives within a step.
        total: bytes of all these.
        flops: floating-point operations, as the compiler counts them.
        model_flops: those of the model on paper (`estimates.theory`): nothing computed twice.
        collectives: what the devices tell each other, by kind.
        costs: what each part of the model takes; of a CPU without the time.
    """

    parameters: int
    optimizer: int
    inputs: int
    temporaries: int
    total: int
    flops: float
    model_flops: float
    collectives: dict[str, Traffic]
    costs: list[Cost]

    @property
    def bytes_accessed(self) -> int:
        """Bytes that its operations read and write, of any memory."""
        return sum(cost.bytes_accessed for cost in self.costs)

    @property
    def seconds(self) -> float:
        """Of its operations one after another; 0 for a CPU, for which nobody expects any."""
        return sum(cost.seconds for cost in self.costs)


def bytes_per_device(shapes, shardings) -> int:
    """Bytes of a tree of arrays, or of shapes with dtypes, that lie on one device.

    Args:
        shardings: in the same structure.
    """
    sizes = jax.tree.map(
        lambda leaf, sharding: (
            math.prod(sharding.shard_shape(leaf.shape)) * np.dtype(leaf.dtype).itemsize
        ),
        shapes,
        shardings,
    )
    return sum(jax.tree.leaves(sizes))


def check_step(config: ConfigDict, mesh: Mesh) -> None:
    """What can be said before anything is compiled.

    Raises:
        UserError: a field has no meaning, or is missing, or the clips do not divide over the
            devices; the message names it.
    """
    for field in ("num_actions", "num_animals"):
        if config.data[field] < 1:
            raise UserError(
                f"config.data.{field} is {config.data[field]}; an estimate, which reads no data, "
                f"needs it: --config.data.{field}=100, say"
            )
    check_fields(config)
    mesh_lib.check_batch_size(config.batch_size, config.accumulation, mesh)


def estimate_step(config: ConfigDict, mesh: Mesh, chip: Chip | None = None) -> Estimate:
    """Compiles the training step that `config` describes, without running it.

    Args:
        config: a run's configuration; `data.num_actions` and `data.num_animals` must be set.
        mesh: of CPU devices, or of others that need not be there.
        chip: what those others are; without it there is no time.

    Raises:
        UserError: see `check_step`.
        TooLargeError: the compiler says that it does not fit.
    """
    check_step(config, mesh)
    batch, classes = _inputs(config)
    loss, reduction = assembly.make_loss(
        config, np.ones(config.data.num_actions, np.int64), config.batch_size, logit_scale=1.0
    )
    attention = choose_attention(config.model, mesh).attention
    graphdef, values = assembly.abstract_model(config.model, attention)
    groups = optimizer_lib.parameter_groups(values, refinement=config.model.refinement)
    optimizer, _ = assembly.make_optimizer(config, groups, steps_per_epoch=1)
    state, shardings = abstract_state(
        values, groups, optimizer, mesh=mesh, with_averages=config.optimizer.ema_decay > 0
    )
    step = make_train_step(
        graphdef,
        optimizer,
        loss,
        reduction=reduction,
        settings=assembly.step_settings(config),
        mesh=mesh,
        state_shardings=shardings,
    )
    parameter_bytes, optimizer_bytes = (
        bytes_per_device(shapes, where)
        for shapes, where in (
            (
                (state.trained, state.frozen, state.averaged),
                (shardings.trained, shardings.frozen, shardings.averaged),
            ),
            (state.optimizer, shardings.optimizer),
        )
    )
    compiled = _compiled(
        step.lower(state, batch, classes), mesh, beside=parameter_bytes + optimizer_bytes
    )

    memory, cost, text = (
        compiled.memory_analysis(),
        compiled.cost_analysis(),
        compiled.as_text(),
    )
    assert memory is not None and cost is not None and text is not None
    # The next state takes the place of the state; only what has no such place comes on top.
    results = memory.output_size_in_bytes - memory.alias_size_in_bytes
    temporaries = memory.temp_size_in_bytes + results
    return Estimate(
        parameters=parameter_bytes,
        optimizer=optimizer_bytes,
        inputs=memory.argument_size_in_bytes - parameter_bytes - optimizer_bytes,
        temporaries=temporaries,
        total=memory.argument_size_in_bytes + temporaries,
        # The compiler counts a loop's body once, and micro-batches are a loop.
        flops=cost["flops"] * config.accumulation,
        model_flops=_model_flops(config) / mesh.size,
        collectives=collective_traffic(text),
        costs=costs_by_part(text, chip.seconds) if chip else costs_by_part(text),
    )


def _compiled(lowered: jax.stages.Lowered, mesh: Mesh, *, beside: int) -> jax.stages.Compiled:
    """A program for the devices of a mesh.

    Args:
        beside: bytes that lie on a device beside a program's temporaries.

    Raises:
        TooLargeError: the compiler says that it does not fit.
    """
    is_cpu = mesh.devices.flat[0].platform == "cpu"
    try:
        return lowered.compile(_CPU_OPTIONS if is_cpu else None)
    except jax.errors.JaxRuntimeError as error:
        all_of_it, temporaries = (
            pattern.search(str(error)) for pattern in (_TOO_LARGE, _TOO_LARGE_BESIDE)
        )
        if all_of_it:
            raise TooLargeError(float(all_of_it[1]) * _UNITS[all_of_it[2]]) from error
        if temporaries:
            raise TooLargeError(float(temporaries[1]) * _UNITS[temporaries[2]] + beside) from error
        raise


def _model_flops(config: ConfigDict) -> float:
    return config.batch_size * training_flops(
        assembly.model_description(config.model),
        num_actions=config.data.num_actions,
        num_animals=config.data.num_animals,
        refinement=config.model.refinement,
    )


def _inputs(config: ConfigDict) -> tuple[dict[str, jax.ShapeDtypeStruct], ClassContext]:
    """The shapes of a step's batch and class context."""
    clips, actions, animals = config.batch_size, config.data.num_actions, config.data.num_animals
    size, width = config.model.architecture.image_size, config.model.architecture.embed_dim

    def build() -> tuple[dict[str, jax.Array], ClassContext]:
        batch = {
            "frames": jnp.zeros((clips, config.model.num_frames, size, size, 3), jnp.uint8),
            "actions": jnp.zeros((clips, actions)),
            "animals": jnp.zeros((clips, animals)),
        }
        if training_source(config) is not None:
            batch["animal_weights"] = jnp.zeros((clips, animals))
        classes = ClassContext(
            action_features=jnp.zeros((actions, width)),
            animal_features=jnp.zeros((animals, width)),
            relation=jnp.zeros((actions, animals)),
        )
        return batch, classes

    return jax.eval_shape(build)


def resolved_without_weights(config: ConfigDict) -> ConfigDict:
    """A configuration with nothing left open; weights that are not there yet are as published.

    Raises:
        UserError: the weights are damaged, or the configuration contradicts them.
    """
    # It reads no data, so what is left to that is as published, and said in the title.
    config = filled(config, {name: FIELDS[name].default for name in LEFT_TO_DATA})
    is_there = bool(config.init_from) and as_path(config.init_from).exists()
    return resolved(config) if is_there else as_published(config)
