"""The program of evaluation and prediction, compiled for devices that need not be there."""

import copy

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


def estimate_prediction(config: ConfigDict, mesh: Mesh, chip: Chip | None = None) -> Estimate:
    """Compiles what scores one view of `config.batch_size` clips, without running it.

    Args:
        config: see `of_prediction`; `data.num_actions` and `data.num_animals` must be set.
        mesh: of CPU devices, or of others that need not be there.
        chip: what those others are; without it there is no time.

    Raises:
        UserError: see `training_step.check_step`.
        TooLargeError: the compiler says that it does not fit.
    """
    check_step(config, mesh)
    batch, classes = step_inputs(config)
    attention = choose_attention(config.model, mesh).attention
    graphdef, values = assembly.abstract_model(config.model, attention)
    shardings = mesh_lib.tree_shardings(values, mesh)
    functions = scoring_functions(
        graphdef,
        normalisation=assembly.normalisation(config),
        outputs=assembly.scores(config),
        parameter_shardings=shardings,
    )

    def predict(values, frames, weights, classes, temperature):
        """Both of them, one after the other."""
        encoded, features = functions.encode(values, frames)
        return functions.score(values, encoded, weights, classes, temperature), features

    shared = NamedSharding(mesh, mesh_lib.BATCH)
    replicated = NamedSharding(mesh, mesh_lib.REPLICATED)
    program = jax.jit(
        predict,
        compiler_options=compiler_options(mesh),
        in_shardings=(shardings, shared, shared, replicated, replicated),
        out_shardings=replicated,
    )
    clips = (batch["frames"], batch["animals"])
    of_classes = jax.tree.map(lambda _: replicated, classes)
    temperature = jax.ShapeDtypeStruct((), jnp.float32)
    model_flops = config.batch_size * forward_flops(
        assembly.model_description(config.model),
        num_actions=config.data.num_actions,
        num_animals=config.data.num_animals,
        refinement=assembly.refinement(config.model),
    )
    return estimate_program(
        program.lower(values, *clips, classes, temperature),
        chip,
        parameters=bytes_per_device(values, shardings),
        optimizer=0,
        # The text tower lies there and takes no part.
        inputs=bytes_per_device(clips, (shared, shared)) + bytes_per_device(classes, of_classes),
        model_flops=model_flops / mesh.size,
    )
