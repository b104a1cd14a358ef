"""A training step on the devices at hand, beside what `animal-clip estimate` expects of it.

    python -m benchmarks.measured                           # configs/animal_kingdom.py in bfloat16
    python -m benchmarks.measured --accumulation=1 --batch_size=32
    python -m benchmarks.measured --layers=1 --batch_size=2 --accumulation=1 --steps=1  # by a CPU

Random clips, labels and weights, and the step that a training takes: compiled as it is there, and
again as the estimate compiles it. Of devices that the estimate does not know, a processor among
them, there is no time to compare. The first steps are not counted.
"""

import argparse
import statistics
import sys
import time
from typing import Any

_NOT_COUNTED = 3  # steps at the beginning


def chip_of(device_kind: str) -> Any:
    """The `Chip` that a driver calls so; None if estimates know none such."""
    from animal_clip_jax.estimates.cuda import GPUS
    from animal_clip_jax.estimates.tpu import TPUS
    from animal_clip_jax.parallel.accelerator import name_among

    named = {chip.kind: chip for chip in (*TPUS.values(), *GPUS.values())}
    kind = name_among(named, device_kind)
    return named[kind] if kind else None


def measured(config: Any, mesh: Any, *, steps: int) -> list[float]:
    """Seconds of the steps, one after another."""
    import jax
    import numpy as np

    from animal_clip_jax.estimates.training_step import step_inputs, step_of
    from animal_clip_jax.parallel import mesh as mesh_lib
    from animal_clip_jax.run import assembly
    from animal_clip_jax.training.state import create_state

    step = step_of(config, mesh)
    state, _ = create_state(
        assembly.random_parameters(config), step.groups, step.optimizer, seed=0, mesh=mesh
    )
    random = np.random.default_rng(0)
    shapes, class_shapes = step_inputs(config)

    def values(leaf: Any) -> Any:
        if np.issubdtype(leaf.dtype, np.integer):
            return random.integers(0, 256, leaf.shape).astype(leaf.dtype)
        return random.random(leaf.shape, np.float32).astype(leaf.dtype)

    batch = mesh_lib.put_batch(jax.tree.map(values, shapes), mesh)
    classes = jax.tree.map(values, class_shapes)
    seconds = []
    for _ in range(_NOT_COUNTED + steps):
        start = time.perf_counter()
        state, metrics = step.run(state, batch, classes)
        jax.block_until_ready((state, metrics))
        seconds.append(time.perf_counter() - start)
    return seconds[_NOT_COUNTED:]


def main() -> None:
    parser = argparse.ArgumentParser(description="A training step, measured and estimated.")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--batch_size", type=int, help="clips a step (as configured)")
    parser.add_argument("--accumulation", type=int, help="micro-batches (as configured)")
    parser.add_argument("--layers", type=int, help="of the video tower (as configured)")
    parser.add_argument("--steps", type=int, default=20, help="that are timed (20)")
    options = parser.parse_args()

    import jax

    from animal_clip_jax.estimates.training_step import check_step, estimate_step
    from animal_clip_jax.parallel.accelerator import peak_memory
    from animal_clip_jax.parallel.mesh import make_mesh
    from animal_clip_jax.run.start import as_published
    from animal_clip_jax.tables import format_table
    from configs import animal_kingdom

    config = as_published(animal_kingdom.get_config())
    config.model.dtype = options.dtype
    config.batch_size = options.batch_size or config.batch_size
    config.accumulation = options.accumulation or config.accumulation
    layers = options.layers or config.model.architecture.vision_layers
    config.model.architecture.vision_layers = layers
    mesh = make_mesh(config.mesh)
    check_step(config, mesh)
    kind = jax.devices()[0].device_kind
    chip = chip_of(kind)
    seconds = measured(config, mesh, steps=options.steps)
    held = peak_memory()
    print("compiling again, for the estimate", file=sys.stderr)
    estimate = estimate_step(config, mesh, chip)
    took = statistics.median(seconds)
    rows = [_row("ms a step", 1e3 * estimate.seconds, 1e3 * took)]
    if chip is not None:
        share = estimate.model_flops / chip.peak_flops
        rows.append(_row("MFU, %", 100 * share / max(estimate.seconds, 1e-12), 100 * share / took))
    rows.append(_row("GB a device", estimate.total / 1e9, held / 1e9 if held else 0.0))
    title = (
        f"{mesh.size} × {kind}, jax {jax.__version__}: ViT-B/16 with {layers} layers, "
        f"{config.batch_size} clips in {config.accumulation} micro-batch(es), {options.dtype}; "
        f"median of {len(seconds)} steps, {1e3 * min(seconds):.1f} to {1e3 * max(seconds):.1f} ms"
    )
    print(format_table(rows, title=title))


def _row(name: str, estimated: float, found: float) -> dict[str, str]:
    """Where there is no estimate, or no measurement, the figure is 0."""
    is_known = bool(estimated and found)
    return {
        "": name,
        "estimated": f"{estimated:,.2f}" if estimated else "",
        "measured": f"{found:,.2f}" if found else "",
        "estimated beside it": f"{estimated / found - 1:+.1%}" if is_known else "",
    }


if __name__ == "__main__":
    main()
