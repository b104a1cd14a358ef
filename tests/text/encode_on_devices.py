r"""Makes a class context on several devices or processes, and saves it.

A program of its own, because the number of devices is settled when JAX starts:

    XLA_FLAGS=--xla_force_host_platform_device_count=8 \
      python tests/text/encode_on_devices.py OUTPUT CACHE DATA,FSDP,MODEL [ADDRESS COUNT INDEX]

saves OUTPUT, an .npz file, and prints what a person should know. "flops" are the operations of one
device for 16 texts.
"""

import math
import pathlib
import sys

import jax
import numpy as np
from jax.sharding import Mesh

sys.path[:0] = [str(pathlib.Path(__file__).parents[level]) for level in (1, 2)]
import small_tower  # noqa: E402

from animal_clip_jax.classes.context import ClassTexts, class_context, text_tower  # noqa: E402
from animal_clip_jax.command_line import collect_garbage_seldom  # noqa: E402
from animal_clip_jax.models.text import TextTower  # noqa: E402
from animal_clip_jax.parallel.distributed import initialize  # noqa: E402
from animal_clip_jax.parallel.mesh import AXES, make_mesh  # noqa: E402
from animal_clip_jax.text.encoding import compiled_for  # noqa: E402


def main(output, cache, mesh: str, *processes: str) -> None:
    collect_garbage_seldom()
    if processes:
        address, count, index = processes
        initialize(address, int(count), int(index))
    sizes = [int(size) for size in mesh.split(",")]
    _, values = small_tower.model()
    texts = [[[text] for text in small_tower.texts(*which)] for which in ((37,), (5, 40, 1))]
    tower = text_tower(small_tower.ARCHITECTURE, values)
    devices = make_mesh(dict(zip(AXES, sizes, strict=True)), jax.devices()[: math.prod(sizes)])
    classes = class_context(
        tower,
        ClassTexts(*texts),
        np.ones((37, 5), np.float32),
        cache=str(cache),
        mesh=devices,
        say=print,
    )
    np.savez(output, flops=flops_of_a_device(tower, devices), **classes._asdict())


def flops_of_a_device(tower: TextTower, mesh: Mesh) -> float:
    """Of the compiled program for 16 texts of 8 tokens."""
    return compiled_for(tower, mesh, texts=16, length=8).cost_analysis()["flops"]


if __name__ == "__main__":
    main(*sys.argv[1:])
