"""What Animal-CLIP and the models that it was published beside take, at full size.

    python -m benchmarks.models.sizes
    python -m benchmarks.models.sizes --targets=tpu:v5e:2x2,cuda:h100:1

Prints of each model, as its configuration for Animal Kingdom has it: parameters, operations of one
view on paper, and how many clips a core scores. With targets, too: what a prediction of 16 clips a
device needs there in bfloat16, as their compilers say, and its estimated time; nothing of that is
run, see `animal-clip estimate`. `--only=x3d,evl` leaves the others out.
"""

import argparse
import importlib
import math
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser
from animal_clip_jax.errors import UserError
from animal_clip_jax.estimates.fit import PREDICT, total_or_need
from animal_clip_jax.estimates.prediction import of_prediction, prediction_program
from animal_clip_jax.estimates.targets import devices_of, parse_target
from animal_clip_jax.estimates.theory import forward_flops
from animal_clip_jax.estimates.training_step import resolved_without_weights
from animal_clip_jax.models.parameters import is_statistic
from animal_clip_jax.parallel.mesh import make_mesh
from animal_clip_jax.run import assembly
from animal_clip_jax.tables import format_table

# Title, and the file in configs/.
MODELS = {
    "i3d": ("I3D R50", "i3d_animal_kingdom"),
    "slowfast": ("SlowFast R50", "slowfast_animal_kingdom"),
    "x3d": ("X3D-L", "x3d_animal_kingdom"),
    "mvit": ("MViT-B", "mvit_animal_kingdom"),
    "videoprompt": ("VideoPrompt ViT-B/16", "videoprompt_animal_kingdom"),
    "evl": ("EVL ViT-B/16", "evl_animal_kingdom"),
    "xclip": ("X-CLIP ViT-B/16", "xclip_animal_kingdom"),
    "animal_clip": ("Animal-CLIP ViT-B/16", "animal_kingdom"),
}
_CLIPS = 16  # a device
_TIMED_SECONDS = 5.0


def configuration(name: str) -> ConfigDict:
    """A model's, as it predicts."""
    config = importlib.import_module(f"configs.{MODELS[name][1]}").get_config()
    return of_prediction(resolved_without_weights(config))


def on_paper(name: str) -> dict[str, Any]:
    """Parameters and operations of a model."""
    config = configuration(name)
    _, values = assembly.abstract_model(config.model)
    groups = assembly.parameter_groups(config.model, values)
    sizes = {
        path: math.prod(value.shape) for path, value in values.items() if not is_statistic(path)
    }
    trained = [size for path, size in sizes.items() if groups.get(path) != "frozen"]
    flops = forward_flops(
        assembly.model_description(config.model),
        num_actions=config.data.num_actions,
        num_animals=config.data.num_animals,
        refinement=assembly.refinement(config.model),
    )
    frames, size = config.model.num_frames, config.model.architecture.image_size
    return {
        "model": MODELS[name][0],
        "a view": f"{frames}×{size}²",
        "million parameters": f"{sum(sizes.values()) / 1e6:.1f}",
        "trained": f"{sum(trained) / 1e6:.1f}",
        "GFLOP a view": f"{flops / 1e9:.1f}",
    }


def clips_per_core_second(name: str) -> float:
    """How many clips a second of one core's time scores, float32, two at a time."""
    config = configuration(name)
    config.batch_size = 2
    mesh = make_mesh(config.mesh)
    program, shapes, _ = prediction_program(config, mesh)
    arguments = jax.tree.map(lambda shape: jnp.full(shape.shape, 0.01, shape.dtype), shapes)
    compiled = program.lower(*shapes).compile()
    jax.block_until_ready(compiled(*arguments))
    start, calls = time.process_time(), 0
    while time.process_time() - start < _TIMED_SECONDS:
        jax.block_until_ready(compiled(*arguments))
        calls += 1
    return config.batch_size * calls / (time.process_time() - start)


def on_target(name: str, target_name: str) -> dict[str, str]:
    """What a prediction needs of a device of a target."""
    target = parse_target(target_name)
    config = configuration(name)
    config.model.dtype, config.model.attention = "bfloat16", "auto"
    devices = devices_of(target)
    config.batch_size = config.evaluation.batch_size = _CLIPS * len(devices)
    mesh = make_mesh(config.mesh, devices)
    needed, estimate = total_or_need(config, target, mesh, program=PREDICT)
    chip = target_name.split(":")[1]
    return {
        f"{chip}: GB": f"{needed / 1e9:.2f}",
        f"{chip}: est. ms a clip": "-"
        if estimate is None
        else f"{1e3 * estimate.seconds / _CLIPS:.2f}",
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = Parser(
        "",
        usage="[--targets=TARGET,TARGET] [--only=NAMES]",
        summary="What Animal-CLIP and its rivals take at full size.",
        examples=("python -m benchmarks.models.sizes --only=x3d,evl",),
    )
    parser.prog = "python -m benchmarks.models.sizes"
    add = parser.add_argument
    add("--targets", default="", help="such as tpu:v5e:2x2,cuda:h100:1")
    add("--only", default="", help=f"some of {', '.join(MODELS)}")
    return command_line.run(lambda: _print(parser.parse(arguments)))


def _print(options: argparse.Namespace) -> None:
    jax.config.update("jax_platforms", "cpu")  # it would look for an accelerator
    names = [name for name in options.only.split(",") if name] or list(MODELS)
    for name in names:
        if name not in MODELS:
            raise UserError(f"--only: none is called {name!r}; there are {', '.join(MODELS)}")
    targets = [target for target in options.targets.split(",") if target]
    for target in targets:
        devices_of(parse_target(target))
    rows = []
    for name in names:
        print(f"compiling: {MODELS[name][0]}", file=sys.stderr)
        row = on_paper(name) | {"clips a core-second": f"{clips_per_core_second(name):.2f}"}
        for target in targets:
            row |= on_target(name, target)
        rows.append(row)
    print(format_table(rows))


if __name__ == "__main__":
    sys.exit(main())
