r"""Estimates steps on meshes of eight devices, as JSON.

A program of its own, because the number of devices is settled when JAX starts:

    python tests/eight_device_estimates.py tiny 8,1,1 1,8,1
    python tests/eight_device_estimates.py animal_kingdom 8,1,1 1,8,1

prints {"8,1,1": {"parameters": …}, …}, and the tables on the error stream.
"""

import dataclasses
import json
import pathlib
import sys

import jax
from ml_collections import ConfigDict

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from animal_clip_jax.command_line import collect_garbage_seldom
from animal_clip_jax.estimates.report import report
from animal_clip_jax.estimates.training_step import estimate_step
from animal_clip_jax.parallel.mesh import AXES, make_mesh
from animal_clip_jax.run.start import as_published
from configs import animal_kingdom, default


def tiny() -> ConfigDict:
    """A block a tower, and no augmentation, which takes long to compile."""
    config = default.get_config()
    config.model.architecture.update(
        dict(
            embed_dim=64,
            image_size=32,
            patch_size=8,
            vision_width=64,
            vision_layers=1,
            vision_heads=2,
            text_width=64,
            text_layers=1,
            text_heads=1,
            context_length=8,
            vocab_size=64,
        )
    )
    config.model.num_frames = 4
    config.model.prompt_layers = 1
    config.model.graph_width = 64
    config.data.num_actions, config.data.num_animals = 8, 6
    config.augmentation.update(dict(jitter_probability=0.0, grey_probability=0.0, mix=False))
    config.batch_size, config.accumulation = 16, 2
    return as_published(config)


def main(name: str, *meshes: str) -> None:
    collect_garbage_seldom()
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 8)
    # Compiling takes most of the time; a published setting's figures are those that users see.
    jax.config.update("jax_disable_most_optimizations", name == "tiny")
    config = as_published({"tiny": tiny, "animal_kingdom": animal_kingdom.get_config}[name]())
    estimates = {}
    for shape in meshes:
        sizes = [int(size) for size in shape.split(",")]
        mesh = make_mesh(dict(zip(AXES, sizes, strict=True)))
        estimate = estimate_step(config, mesh)
        print(report(config, {config.model.remat: estimate}, mesh), file=sys.stderr)
        estimates[shape] = dataclasses.asdict(estimate)
    print(json.dumps(estimates))


if __name__ == "__main__":
    main(*sys.argv[1:])
