"""What the digests of arrays cost, beside the saving and the loading that they go with.

    python -m benchmarks.digests [--architecture=ViT-B/16] [--repeats=3] [--folder=/tmp]

Random values of an Animal-CLIP model are saved and loaded by Orbax alone, and digested; the median
of the repeats, by the clock and in processor time. What is loaded was written just before, so that
it comes from memory rather than from a disk: on a disk, loading takes longer, and digests do not.
"""

import argparse
import pathlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable

import numpy as np
import orbax.checkpoint as ocp

from animal_clip_jax.digests import digests_of
from animal_clip_jax.models import parameters
from animal_clip_jax.models.architectures import ARCHITECTURES
from animal_clip_jax.models.description import ModelDescription, build
from animal_clip_jax.tables import format_table


def description_of(architecture: str) -> ModelDescription:
    """An Animal-CLIP model of 8 frames, as published but for the architecture."""
    return ModelDescription(
        "animal_clip",
        ARCHITECTURES[architecture],
        num_frames=8,
        integration_layers=1,
        integration_heads=8,
        prompt_layers=3,
        prompt_heads=8,
        graph_width=256,
    )


def arrays_of(architecture: str) -> dict[str, np.ndarray]:
    """Random float32 parameters of an Animal-CLIP model."""
    description = description_of(architecture)
    _, shapes = parameters.abstract(lambda: build(description, rngs=parameters.rngs_for_shapes()))
    random = np.random.default_rng(0)
    return {path: random.standard_normal(shape.shape, np.float32) for path, shape in shapes.items()}


def median_seconds(function: Callable[[], object], repeats: int) -> tuple[float, float]:
    """By the clock, and of the processor."""
    durations = []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        function()
        durations.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    clock, processor = zip(*durations, strict=True)
    return statistics.median(clock), statistics.median(processor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", choices=list(ARCHITECTURES), default="ViT-B/16")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", help="on the disk to measure")
    options = parser.parse_args()
    arrays = arrays_of(options.architecture)
    folder = pathlib.Path(tempfile.mkdtemp(dir=options.folder))
    try:
        with ocp.PyTreeCheckpointer() as checkpointer:
            steps = {
                "saving": lambda: checkpointer.save(folder / "arrays", arrays, force=True),
                "loading": lambda: checkpointer.restore(folder / "arrays"),
                "digests": lambda: digests_of(arrays.items()),
            }
            seconds = {name: median_seconds(step, options.repeats) for name, step in steps.items()}
    finally:
        shutil.rmtree(folder)
    size = sum(array.nbytes for array in arrays.values())
    print(f"{options.architecture}: {len(arrays)} arrays, {size / 2**20:.0f} MiB")
    digests = seconds["digests"]
    rows = [
        {
            "": name,
            "seconds": clock,
            "processor_s": processor,
            "digests_are": f"{digests[0] / clock:.1%}",
            "by_processor": f"{digests[1] / processor:.1%}",
        }
        for name, (clock, processor) in seconds.items()
    ]
    print(format_table(rows))


if __name__ == "__main__":
    main()
