"""ViT-B/32, B/16 and L/14 with 8 and 16 frames, compiled for devices that need not be there.

    python -m benchmarks.architectures
    python -m benchmarks.architectures --program=predict --models=ViT-L/14 --target=tpu:v6e:2x2

Prints of each what a device computes, beside the paper, its estimated MFU, its memory and about how
many clips a step would fit. Nothing is run. Each is compiled as a whole: of a training step of 12
layers that takes about five minutes of one core, half as much again as of 3 layers, of a prediction
one.

Needs the extra of the target's compiler, as `animal-clip estimate` does.
"""

import sys
from typing import Any

from absl import app, flags

ARCHITECTURES = ("ViT-B/32", "ViT-B/16", "ViT-L/14")

_TARGET = flags.DEFINE_string("target", "tpu:v5e:2x2", "as for animal-clip estimate")
_PROGRAM = flags.DEFINE_enum("program", "train", ["train", "predict"], "what is compiled")
_MODELS = flags.DEFINE_list("models", list(ARCHITECTURES), "architectures")
_FRAMES = flags.DEFINE_list("frames", ["8", "16"], "frames a clip")
_ACCUMULATION = flags.DEFINE_integer("accumulation", 0, "micro-batches a step (0: as configured)")


def largest_batch(
    *, memory: float, state: float, gradients: float, beside: float, clips: int, step: int
) -> int:
    """About how many clips would fit, if what is neither state nor gradients grows with them.

    Args:
        memory: of a device, bytes, as all that follow.
        state: parameters and what the optimizer keeps.
        gradients: what does not grow either.
        beside: all else that `clips` clips take.
        step: the number is a multiple of it.
    """
    fitting = clips * (memory - state - gradients) / beside
    return max(int(fitting) // step * step, 0)


def row(architecture: str, frames: int) -> dict[str, Any]:
    """One line of the table."""
    from animal_clip_jax.estimates.fit import PREDICT, total_or_need
    from animal_clip_jax.estimates.prediction import of_prediction
    from animal_clip_jax.estimates.report import utilisation
    from animal_clip_jax.estimates.targets import devices_of, parse_target
    from animal_clip_jax.parallel.mesh import make_mesh
    from animal_clip_jax.run.start import as_published
    from configs import animal_kingdom, default

    config = animal_kingdom.get_config()
    config.model.architecture = default.architecture(architecture)
    config.model.num_frames = frames
    config.model.dtype, config.model.attention = "bfloat16", "fused"
    config = as_published(config)
    config.accumulation = _ACCUMULATION.value or config.accumulation
    config.evaluation.batch_size = config.batch_size
    if _PROGRAM.value == PREDICT:
        config = of_prediction(config)
    target = parse_target(_TARGET.value)
    mesh = make_mesh(config.mesh, devices_of(target))
    needed, estimate = total_or_need(config, target, mesh, program=_PROGRAM.value)
    assert target.chip is not None
    named: dict[str, Any] = {"model": architecture, "frames": frames, "clips": config.batch_size}
    if estimate is None:
        return {**named, "GB a device": f"{needed / 1e9:.2f}"}
    state = estimate.parameters + estimate.optimizer
    gradients = estimate.optimizer / 2  # as large as one of the two moments of each
    return {
        **named,
        "TFLOP": f"{estimate.flops / 1e12:.2f}",
        "on paper": f"{estimate.model_flops / 1e12:.2f}",
        "compiled beside it": f"{estimate.flops / estimate.model_flops - 1:+.1%}",
        "est. ms": f"{1e3 * estimate.seconds:.1f}",
        "est. MFU": f"{utilisation(estimate, target.chip):.1%}",
        "GB a device": f"{needed / 1e9:.2f}",
        "clips that fit, about": largest_batch(
            memory=target.chip.memory,
            state=state,
            gradients=gradients,
            beside=estimate.total - state - gradients,
            clips=config.batch_size,
            step=config.accumulation * mesh.size,
        ),
    }


def main(argv: list[str]) -> None:
    del argv
    import jax

    from animal_clip_jax.tables import format_table

    jax.config.update("jax_platforms", "cpu")  # it would look for an accelerator
    rows = []
    for architecture in _MODELS.value:
        for frames in map(int, _FRAMES.value):
            print(f"compiling: {architecture}, {frames} frames", file=sys.stderr)
            rows.append(row(architecture, frames))
    title = f"{_PROGRAM.value}, bfloat16, attention=fused, compiled for {_TARGET.value}, estimated"
    print(format_table(rows, title=f"{title}; one device, one step"))


if __name__ == "__main__":
    app.run(main)
