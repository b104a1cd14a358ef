"""Writes the demo's data set: short videos of drawn animals, in the layout of LoTE-Animal.

    python -m data_pipeline.synthetic --output=DIR

The folder then holds

    videos/StandingUp/Bear0001.mp4     H.264, 12 frames a second
    annotations/train.txt, test.txt    `StandingUp/Bear0001.mp4 <action id> <animal id>` a line,
                                       and a blank line at the end
    annotations/label.csv              `id,label` of the actions
    annotations/animal_label.csv       `id,label` of the animals
    synthetic.json                     the parameters of the set

Test clips are new clips of the animals and actions of the training set, and two harder kinds:
actions that training shows only in other animals (`UNSEEN_PAIRS`), and an animal that training does
not show at all (`UNSEEN_ANIMAL`). An action and its reverse are withheld together: were one of them
left in training, a single frame of it would give away its label.
"""

import argparse
import sys
import time
from collections.abc import Sequence

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser, numeric
from data_pipeline.synthetic.videos import plan, write_dataset


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = Parser(
        "",
        usage="--output=DIR [options]",
        summary="Renders the demo's videos. Interrupted, it goes on when it is run again.",
        examples=("python -m data_pipeline.synthetic --output=runs/demo/videos",),
    )
    parser.prog = "python -m data_pipeline.synthetic"
    add, positive = parser.add_argument, numeric(int, least=1)
    add("--output", metavar="DIR", required=True, help="folder to write the set into")
    add(
        "--clips_per_pair",
        metavar="N",
        type=positive,
        default=28,
        help="training videos of each animal and action (28)",
    )
    add(
        "--test_clips_per_pair",
        metavar="N",
        type=positive,
        default=4,
        help="test videos of each, and twice as many of unseen pairs (4)",
    )
    add("--seed", metavar="N", type=int, default=0, help="another seed, other videos (0)")
    add("--size", metavar="PIXELS", type=positive, default=64, help="height and width, even (64)")
    add("--num_frames", metavar="N", type=positive, default=16, help="of each video (16)")
    add("--workers", metavar="N", type=positive, help="processes (as many as there are cores)")
    return command_line.run(
        lambda: _render(parser.parse(arguments)),
        if_interrupted="run the same command again to go on",
    )


def _render(options: argparse.Namespace) -> None:
    start = time.perf_counter()
    rendered = write_dataset(
        options.output,
        clips_per_pair=options.clips_per_pair,
        test_clips_per_pair=options.test_clips_per_pair,
        seed=options.seed,
        size=options.size,
        num_frames=options.num_frames,
        workers=options.workers,
    )
    seconds = time.perf_counter() - start
    total = len(plan(options.clips_per_pair, options.test_clips_per_pair))
    print(
        f"rendered {rendered} of {total} clips (seed {options.seed}) in {seconds:.1f} s, "
        f"{rendered / seconds:.0f} clips/s: {options.output}"
    )


if __name__ == "__main__":
    sys.exit(main())
