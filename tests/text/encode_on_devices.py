r"""Makes a class context on several devices or processes, and saves it.

A program of its own, because the number of devices is settled when JAX starts:

    XLA_FLAGS=--xla_force_host_platform_device_count=8 \
      python tests/prompts/encode_on_devices.py OUTPUT CACHE DATA,FSDP,MODEL [ADDRESS COUNT INDEX]

saves OUTPUT, an .npz file, and prints what a person should know.
"""

import math
import pathlib
import sys

import jax
import numpy as np

sys.path[:0] = [str(pathlib.Path(__file__).parents[level]) for level in (0, 1, 2)]
import small_tower  # noqa: E402

from animal_clip_jax.classes.context import class_context  # noqa: E402
from animal_clip_jax.parallel.distributed import initialize  # noqa: E402
from animal_clip_jax.parallel.mesh import AXES, make_mesh  # noqa: E402
from configs import default  # noqa: E402


def main(output, cache, mesh: str, *processes: str) -> None:
    if processes:
        address, count, index = processes
        initialize(address, int(count), int(index))
    sizes = [int(size) for size in mesh.split(",")]
    prompts = default.get_config().prompts
    prompts.cache = str(cache)
    classes = class_context(
        *small_tower.model(),
        small_tower.texts(37),
        small_tower.texts(5, seed=1),
        np.ones((37, 5), np.float32),
        prompts=prompts,
        mesh=make_mesh(dict(zip(AXES, sizes, strict=True)), jax.devices()[: math.prod(sizes)]),
        say=print,
    )
    np.savez(output, **classes._asdict())


if __name__ == "__main__":
    main(*sys.argv[1:])
