"""ViT-B/32, B/16 and L/14 with 8 and 16 frames, compiled for devices that need not be there.

    python -m benchmarks.architectures
    python -m benchmarks.architectures --program=predict --models=ViT-L/14 --target=tpu:v6e:2x2
    python -m benchmarks.architectures --frames=8 --largest

Prints of each what a device computes, beside the paper, its estimated MFU and its memory; with
`--largest` also how many clips a step fit, and how many do not, each compiled to know. Nothing is
run. A training step of 12 layers takes six to nine minutes of one core for a TPU and two to three
for a GPU, a prediction one and a half. `--largest` compiles several more of each, and near the
limit of a TPU's memory each takes about twice as long.

Needs the extra of the target's compiler, as `animal-clip estimate` does.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any

from absl import app, flags
from ml_collections import ConfigDict

from animal_clip_jax.estimates.program import Estimate

ARCHITECTURES = ("ViT-B/32", "ViT-B/16", "ViT-L/14")
_CLIPS = 64
_MULTIPLE = 16  # four devices with four micro-batches

_TARGET = flags.DEFINE_string("target", "tpu:v5e:2x2", "as for animal-clip estimate")
_PROGRAM = flags.DEFINE_enum("program", "train", ["train", "predict"], "what is compiled")
_MODELS = flags.DEFINE_list("models", list(ARCHITECTURES), "architectures")
_FRAMES = flags.DEFINE_list("frames", ["8", "16"], "frames a clip")
_LARGEST = flags.DEFINE_bool("largest", False, "look for the largest batch that fits")
_ACCUMULATION = flags.DEFINE_integer("accumulation", 0, "micro-batches a step (0: as configured)")


def largest_batch(
    needed: Callable[[int], float],
    *,
    memory: float,
    known: Mapping[int, float],
    guess: int,
    multiple: int,
) -> tuple[int, int]:
    """How many clips fit, and how many do not, no further apart than an eighth or one multiple.

    What a program needs does not grow in proportion to its clips: a compiler computes some values
    again where memory is short. So it is compiled.

    Args:
        needed: bytes of memory of a device, of a number of clips.
        memory: what a device has.
        known: what is needed of some numbers of clips, compiled before.
        guess: where to go on from there, about.
        multiple: the number of clips is one of these.

    Returns:
        the largest number that is known to fit, 0 if there is none, and the smallest that is known
        not to.
    """
    needs = dict(known)
    while True:
        fit = max((clips for clips in needs if needs[clips] <= memory), default=0)
        do_not = min((clips for clips in needs if needs[clips] > memory), default=None)
        stride = max(fit // 8 // multiple, 1) * multiple
        if do_not is not None and do_not - fit <= stride:
            return fit, do_not
        if do_not is None:
            clips = max(_by_a_line(needs, memory) if len(needs) > 1 else guess, fit + stride)
        elif len(needs) == 1:
            clips = min(max(guess, multiple), do_not - multiple)
        else:
            clips = (fit + do_not) // 2
        clips = clips // multiple * multiple
        needs[clips] = needed(clips)


def _by_a_line(needs: Mapping[int, float], memory: float) -> int:
    """How many clips need all of the memory, by a line through the two largest that are known;
    twice as many as the second, where that needs no more than the first."""
    first, second = sorted(needs)[-2:]
    slope = (needs[second] - needs[first]) / (second - first)
    return int(second + (memory - needs[second]) / slope) if slope > 0 else 2 * second


def _guess(estimate: Estimate, memory: float) -> int:
    """About how many clips fit, if what is neither state nor gradients grows with them."""
    state = 1.5 * estimate.optimizer + estimate.parameters  # a gradient is as large as a moment
    return int(_CLIPS * (memory - state) / (estimate.total - state))


def row(architecture: str, frames: int) -> dict[str, Any]:
    """One line of the table."""
    from animal_clip_jax.estimates.fit import total_or_need
    from animal_clip_jax.estimates.report import utilisation
    from animal_clip_jax.estimates.targets import devices_of, parse_target
    from animal_clip_jax.parallel.mesh import make_mesh

    target = parse_target(_TARGET.value)
    assert target.chip is not None
    memory = target.chip.memory

    def compiled(clips: int) -> tuple[float, Estimate | None]:
        print(f"compiling: {architecture}, {frames} frames, {clips} clips", file=sys.stderr)
        config = _config(architecture, frames, clips)
        mesh = make_mesh(config.mesh, devices_of(target))
        needed, estimate = total_or_need(config, target, mesh, program=_PROGRAM.value)
        print(f"{needed / 1e9:.2f} of {memory / 1e9:.2f} GB", file=sys.stderr)
        return needed, estimate

    needed, estimate = compiled(_CLIPS)
    found: dict[str, Any] = {"model": architecture, "frames": frames, "clips": _CLIPS}
    if estimate is not None:
        found |= {
            "TFLOP": f"{estimate.flops / 1e12:.2f}",
            "on paper": f"{estimate.model_flops / 1e12:.2f}",
            "compiled beside it": f"{estimate.flops / estimate.model_flops - 1:+.1%}",
            "est. ms": f"{1e3 * estimate.seconds:.1f}",
            "est. MFU": f"{utilisation(estimate, target.chip):.1%}",
        }
    found["GB a device"] = f"{needed / 1e9:.2f}"
    if _LARGEST.value:
        guess = _guess(estimate, memory) if estimate else int(_CLIPS * memory / needed)
        fit, do_not = largest_batch(
            lambda clips: compiled(clips)[0],
            memory=memory,
            known={_CLIPS: needed},
            guess=guess,
            multiple=_MULTIPLE,
        )
        found |= {"clips that fit": fit, "that do not": do_not}
    return found


def _config(architecture: str, frames: int, clips: int) -> ConfigDict:
    """configs/animal_kingdom.py with these, of the program that is asked for."""
    from animal_clip_jax.estimates.fit import PREDICT
    from animal_clip_jax.estimates.prediction import of_prediction
    from animal_clip_jax.run.start import as_published
    from configs import animal_kingdom, default

    config = animal_kingdom.get_config()
    config.model.architecture = default.architecture(architecture)
    config.model.num_frames = frames
    config.model.dtype, config.model.attention = "bfloat16", "fused"
    config = as_published(config)
    config.accumulation = _ACCUMULATION.value or config.accumulation
    config.batch_size = config.evaluation.batch_size = clips
    return of_prediction(config) if _PROGRAM.value == PREDICT else config


def main(argv: list[str]) -> None:
    del argv
    import jax

    from animal_clip_jax.tables import format_table

    jax.config.update("jax_platforms", "cpu")  # it would look for an accelerator
    rows = []
    for architecture in _MODELS.value:
        for frames in map(int, _FRAMES.value):
            rows.append(row(architecture, frames))
    title = f"{_PROGRAM.value}, bfloat16, attention=fused, compiled for {_TARGET.value}, estimated"
    print(format_table(rows, title=f"{title}; one device, one step"))


if __name__ == "__main__":
    app.run(main)
