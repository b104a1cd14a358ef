"""A training step, compiled for devices that need not be there, and what it needs of one."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from animal_clip_jax.errors import UserError
from animal_clip_jax.estimates.chips import Chip
from animal_clip_jax.estimates.program import Estimate, bytes_per_device, estimate_program
from animal_clip_jax.estimates.theory import NAME_TOKENS, training_flops
from animal_clip_jax.files import as_path
from animal_clip_jax.models.class_context import ClassContext, without_texts
from animal_clip_jax.models.description import CLASSIFIERS
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.run import assembly
from animal_clip_jax.run.attention import choose_attention
from animal_clip_jax.run.batch_shapes import batch_shapes
from animal_clip_jax.run.by_data import LEFT_TO_DATA
from animal_clip_jax.run.config import check_fields
from animal_clip_jax.run.fields import FIELDS
from animal_clip_jax.run.start import as_published, filled, resolved
from animal_clip_jax.training.state import TrainState, abstract_state
from animal_clip_jax.training.step import make_train_step


def check_step(config: ConfigDict, mesh: Mesh) -> None:
    """What can be said before anything is compiled.

    Raises:
        UserError: a field has no meaning, or is missing, or the clips do not divide over the
            devices; the message names it.
    """
    check_classes(config)
    check_fields(config)
    mesh_lib.check_batch_size(config.batch_size, config.accumulation, mesh)


def check_classes(config: ConfigDict) -> None:
    """Raises UserError unless a configuration says how many actions and animals there are."""
    for field in ("num_actions", "num_animals"):
        if config.data[field] < 1:
            raise UserError(
                f"config.data.{field} is {config.data[field]}; an estimate, which reads no data, "
                f"needs it: --config.data.{field}=100, say"
            )


class Step(NamedTuple):
    """A training step that a configuration describes, on some devices.

    Attributes:
        run: the step; takes a `TrainState`, a batch and a class context.
        state: what it begins with, as shapes.
        shardings: where they lie.
        groups: of the parameters, in the optimizer.
        optimizer: of the trained parameters.
    """

    run: jax.stages.Wrapped
    state: TrainState
    shardings: TrainState
    groups: dict[str, str]
    optimizer: optax.GradientTransformation


def step_of(config: ConfigDict, mesh: Mesh) -> Step:
    """The training step that `config` describes. `data.num_actions` must be set."""
    loss, reduction = assembly.make_loss(
        config, np.ones(config.data.num_actions, np.int64), config.batch_size, logit_scale=1.0
    )
    attention = choose_attention(config.model, mesh).attention
    graphdef, values = assembly.abstract_model(config.model, attention)
    groups = assembly.parameter_groups(config.model, values)
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
    return Step(step, state, shardings, groups, optimizer)


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
    batch, classes = step_inputs(config)
    step, state, shardings, *_ = step_of(config, mesh)
    parameter_bytes, optimizer_bytes = (
        bytes_per_device(shapes, where)
        for shapes, where in (
            (
                (state.values(), state.averaged),
                (shardings.values(), shardings.averaged),
            ),
            (state.optimizer, shardings.optimizer),
        )
    )
    return estimate_program(
        step.lower(state, batch, classes),
        chip,
        parameters=parameter_bytes,
        optimizer=optimizer_bytes,
        model_flops=_model_flops(config) / mesh.size,
        repeats=config.accumulation,  # micro-batches are a loop
    )


def _model_flops(config: ConfigDict) -> float:
    return config.batch_size * training_flops(
        assembly.model_description(config.model),
        num_actions=config.data.num_actions,
        num_animals=config.data.num_animals,
        refinement=assembly.refinement(config.model),
    )


def step_inputs(config: ConfigDict) -> tuple[dict[str, jax.ShapeDtypeStruct], ClassContext]:
    """The shapes of a step's batch and class context."""
    actions, animals = config.data.num_actions, config.data.num_animals
    width, family = config.model.architecture.embed_dim, config.model.family

    def build() -> ClassContext:
        if family in CLASSIFIERS:
            return without_texts(actions)
        if family == "video_prompt":
            tokens = jnp.zeros((actions, NAME_TOKENS), jnp.int32)
            return without_texts(actions, action_features=tokens)
        return ClassContext(
            action_features=jnp.zeros((actions, width)),
            animal_features=jnp.zeros((animals, width)),
            relation=jnp.zeros((actions, animals)),
        )

    return batch_shapes(config, actions, animals), jax.eval_shape(build)


def resolved_without_weights(config: ConfigDict) -> ConfigDict:
    """A configuration with nothing left open; weights that are not there yet are as published.

    Raises:
        UserError: the weights are damaged, or the configuration contradicts them.
    """
    # It reads no data, so what is left to that is as published, and said in the title.
    config = filled(config, {name: FIELDS[name].default for name in LEFT_TO_DATA})
    is_there = bool(config.init_from) and as_path(config.init_from).exists()
    return resolved(config) if is_there else as_published(config)
