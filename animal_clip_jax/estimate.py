"""Memory and traffic of a training step, before any device is rented.

    animal-clip estimate --config=configs/animal_kingdom.py --devices=8 --remat=all

The step is compiled for that many virtual devices of this machine's processor. Nothing is run, and
neither data nor weights are needed.
"""

import argparse
import dataclasses
import math
import sys
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser, numeric
from animal_clip_jax.errors import UserError
from animal_clip_jax.files import as_path
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.video import REMAT_POLICIES
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.parallel.collectives import Traffic, collective_traffic
from animal_clip_jax.run import assembly
from animal_clip_jax.run.by_data import LEFT_TO_DATA
from animal_clip_jax.run.config import check_fields, training_source
from animal_clip_jax.run.config_flags import read_config_file, with_fields
from animal_clip_jax.run.fields import FIELDS
from animal_clip_jax.run.start import as_published, filled, resolved
from animal_clip_jax.tables import format_table
from animal_clip_jax.training import optimizer as optimizer_lib
from animal_clip_jax.training.step import abstract_state, make_train_step

# The CPU compiler drops the barriers that keep rematerialised values from being computed early and
# stored after all, which is why every policy would seem to need as much as none. This pass is it.
_COMPILER_OPTIONS: dict[str, str | bool] = {"xla_disable_hlo_passes": "cse_barrier_expander"}

_NOTE = (
    "Estimates: the step was compiled for virtual CPU devices, and was not run. Parameters, "
    "optimizer and inputs are exact. Temporaries (activations, gradients, parameters brought "
    "together) and collectives are those of the CPU compiler; a GPU's or TPU's fuses, orders and "
    "lays out otherwise, and needs some memory for itself. The CPU compiler widens much of "
    "bfloat16 to float32, so that bfloat16 temporaries come out too large."
)


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What one training step needs of one device.

    Attributes:
        parameters: bytes of all parameters, trained (and their averages) and frozen.
        optimizer: bytes of the optimizer's state.
        inputs: bytes of the batch and the class context.
        temporaries: bytes of activations, gradients and all else that lives within a step.
        total: bytes of all these.
        flops: floating-point operations.
        collectives: what the devices tell each other, by kind.
    """

    parameters: int
    optimizer: int
    inputs: int
    temporaries: int
    total: int
    flops: float
    collectives: dict[str, Traffic]


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


def estimate_step(config: ConfigDict, mesh: Mesh) -> Estimate:
    """Compiles the training step that `config` describes, without running it.

    Args:
        config: a run's configuration; `data.num_actions` and `data.num_animals` must be set.
        mesh: of CPU devices.

    Raises:
        ValueError: a field has no meaning, or is missing; the message names it.
    """
    for field in ("num_actions", "num_animals"):
        if config.data[field] < 1:
            raise UserError(
                f"config.data.{field} is {config.data[field]}; an estimate, which reads no data, "
                f"needs it: --config.data.{field}=100, say"
            )
    check_fields(config)
    mesh_lib.check_batch_size(config.batch_size, config.accumulation, mesh)
    batch, classes = _inputs(config)
    loss, reduction = assembly.make_loss(
        config, np.ones(config.data.num_actions, np.int64), config.batch_size, logit_scale=1.0
    )
    graphdef, values = assembly.abstract_model(config.model)
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
    compiled = step.lower(state, batch, classes).compile(_COMPILER_OPTIONS)

    memory, cost, text = (
        compiled.memory_analysis(),
        compiled.cost_analysis(),
        compiled.as_text(),
    )
    assert memory is not None and cost is not None and text is not None
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
        collectives=collective_traffic(text),
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


def report(config: ConfigDict, estimates: dict[str, Estimate], mesh: Mesh) -> str:
    """The tables that the command prints.

    Args:
        estimates: by remat policy.
    """
    architecture = config.model.architecture
    shape = " × ".join(f"{axis} {size}" for axis, size in mesh.shape.items())
    title = (
        f"{config.model.family}, {config.model.num_frames} frames of {architecture.image_size} px, "
        f"patch {architecture.patch_size}, width {architecture.vision_width}, "
        f"{architecture.vision_layers} layers, {config.model.dtype}; {config.batch_size} clips a "
        f"step in {config.accumulation} micro-batch(es); mesh {shape}"
    )
    memory = [
        {
            "remat": policy,
            **{
                f"{name}, MB": f"{getattr(estimate, name) / 1e6:,.1f}"
                for name in ("parameters", "optimizer", "inputs", "temporaries", "total")
            },
            "GFLOP": f"{estimate.flops / 1e9:,.1f}",
        }
        for policy, estimate in estimates.items()
    ]
    traffic = [
        {
            "remat": policy,
            "collective": kind,
            "times": kind_traffic.count,
            "results, MB": f"{kind_traffic.result_bytes / 1e6:,.1f}",
        }
        for policy, estimate in estimates.items()
        for kind, kind_traffic in estimate.collectives.items()
    ]
    parts = [title, format_table(memory, title="one device, one step")]
    if traffic:
        parts.append(format_table(traffic, title="collectives of one device, one step"))
    return "\n\n".join([*parts, _NOTE])


# Each is a device of XLA's on the host, which takes minutes for more.
_MOST_DEVICES = 4096


def main(arguments: Sequence[str] | None = None) -> int:
    """`animal-clip estimate`; returns the exit code."""
    parser = Parser(
        "estimate",
        usage="--config=FILE [options] [--config.FIELD=VALUE ...]",
        summary="Memory and traffic of a training step, before any device is rented.",
        examples=("animal-clip estimate --config=configs/animal_kingdom.py --devices=8",),
        takes_fields=True,
    )
    parser.add_argument(
        "--config", metavar="FILE", required=True, help="configs/NAME.py, or a run's config.json"
    )
    parser.add_argument(
        "--devices",
        metavar="N",
        type=numeric(int, least=1, most=_MOST_DEVICES),
        default=1,
        help="of the job (1)",
    )
    parser.add_argument(
        "--remat",
        choices=("config", "all", *REMAT_POLICIES),
        default="config",
        help="what the backward pass computes again (config: as that says)",
    )
    return command_line.run(lambda: _estimate(parser.parse(arguments)))


def _estimate(options: argparse.Namespace) -> None:
    # Must come before anything that touches a device.
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", options.devices)
    config = with_fields(read_config_file(options.config), options.fields)
    check_fields(config)
    config = resolved_without_weights(config)
    mesh = mesh_lib.make_mesh(config.mesh)
    policies = {"config": [config.model.remat], "all": list(REMAT_POLICIES)}
    estimates = {}
    for policy in policies.get(options.remat, [options.remat]):
        config.model.remat = policy
        estimates[policy] = estimate_step(config, mesh)
    print(report(config, estimates, mesh))


if __name__ == "__main__":
    sys.exit(main())
