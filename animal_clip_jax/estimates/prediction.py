"""The program of evaluation and prediction, compiled for devices that need not be there."""

import copy
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from ml_collections import ConfigDict

from animal_clip_jax.estimates.chips import Chip
from animal_clip_jax.estimates.program import Estimate, bytes_per_device, estimate_program
from animal_clip_jax.estimates.theory import forward_flops
from animal_clip_jax.estimates.training_step import check_step, step_inputs
from animal_clip_jax.evaluation.scoring import scoring_functions
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.parallel.compiler_options import compiler_options
from animal_clip_jax.run import assembly
from animal_clip_jax.run.attention import choose_attention


def of_prediction(config: ConfigDict) -> ConfigDict:
    """A copy whose batch is that of an evaluation, all at once, with nothing to compute again."""
    config = copy.deepcopy(config)
    config.batch_size, config.accumulation = config.evaluation.batch_size, 1
    config.model.remat = "none"
    return config


class PredictionProgram(NamedTuple):
    """What scores one view of some clips.

    Attributes:
        program: not compiled yet.
        arguments: their shapes: parameters, frames, animals, class context, temperature.
        shardings: of each.
    """

    program: Any
    arguments: tuple[Any, ...]
    shardings: tuple[Any, ...]


def prediction_program(config: ConfigDict, mesh: Mesh) -> PredictionProgram:
    """The program for `config.batch_size` clips.

    Args:
        config: see `of_prediction`; `data.num_actions` and `data.num_animals` must be set.
        mesh: of CPU devices, or of others that need not be there.

    Raises:
        UserError: see `training_step.check_step`.
    """
    check_step(config, mesh)
    batch, classes = step_inputs(config)
    if config.model.family == "video_prompt":  # whose names are encoded once, for all batches
        shape = (config.data.num_actions, config.model.architecture.embed_dim)
        features: Any = jax.ShapeDtypeStruct(shape, jnp.float32)
        classes = classes._replace(action_features=features)
    attention = choose_attention(config.model, mesh).attention
    graphdef, values = assembly.abstract_model(config.model, attention)
    of_values = mesh_lib.tree_shardings(values, mesh)
    functions = scoring_functions(
        graphdef,
        normalisation=assembly.normalisation(config),
        outputs=assembly.scores(config),
        parameter_shardings=of_values,
    )

    def predict(values, frames, weights, classes, temperature):
        """Both of them, one after the other."""
        encoded, features = functions.encode(values, frames)
        return functions.score(values, encoded, weights, classes, temperature), features

    shared = NamedSharding(mesh, mesh_lib.BATCH)
    replicated = NamedSharding(mesh, mesh_lib.REPLICATED)
    of_classes = jax.tree.map(lambda _: replicated, classes)
    shardings = (of_values, shared, shared, of_classes, replicated)
    program = jax.jit(
        predict,
        compiler_options=compiler_options(mesh),
        in_shardings=shardings,
        out_shardings=replicated,
    )
    temperature = jax.ShapeDtypeStruct((), jnp.float32)
    arguments = (values, batch["frames"], batch["animals"], classes, temperature)
    return PredictionProgram(program, arguments, shardings)


def estimate_prediction(config: ConfigDict, mesh: Mesh, chip: Chip | None = None) -> Estimate:
    """Compiles what scores one view of `config.batch_size` clips, without running it.

    Args:
        config, mesh: as for `prediction_program`.
        chip: what the devices are, if they are no CPUs; without it there is no time.

    Raises:
        UserError: see `training_step.check_step`.
        TooLargeError: the compiler says that it does not fit.
    """
    program, arguments, shardings = prediction_program(config, mesh)
    of_each = [bytes_per_device(*each) for each in zip(arguments, shardings, strict=True)]
    model_flops = config.batch_size * forward_flops(
        assembly.model_description(config.model),
        num_actions=config.data.num_actions,
        num_animals=config.data.num_animals,
        refinement=assembly.refinement(config.model),
    )
    return estimate_program(
        program.lower(*arguments),
        chip,
        # The text tower lies there and takes no part.
        parameters=of_each[0],
        optimizer=0,
        inputs=sum(of_each[1:4]),
        model_flops=model_flops / mesh.size,
    )
