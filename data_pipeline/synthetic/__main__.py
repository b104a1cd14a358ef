"""Writes the synthetic world: short videos of animals that act, listed for training and tests.

    python -m data_pipeline.synthetic --output=DIR

The folder then holds

    clips.csv                      `video,animals,actions,split` a line, as
                                   `animal-clip convert-videos --dataset=csv` reads it
    videos/StandingUp/Zebra_...mp4     H.264, 12 frames a second
    unseen_action/                 the same for the test of an action that training does not know
    pairs/                         captioned pictures, for `python -m animal_clip_jax.pretrain`
    descriptions/                  texts of the actions and animals, and the class of each animal
    synthetic.json                 the parameters of the set

What the splits ask is said in `plan`.
"""

import argparse
import sys
import time
from collections.abc import Sequence

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser, numeric
from data_pipeline.synthetic.dataset import Parameters, write_dataset


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
    default = Parameters()

    def number(name: str, metavar: str, text: str) -> None:
        value = getattr(default, name)
        add(f"--{name}", metavar=metavar, type=positive, default=value, help=f"{text} ({value})")

    add("--output", metavar="DIR", required=True, help="folder to write the set into")
    number("train_clips", "N", "training videos, about")
    number("test_clips", "N", "test videos of each unseen pair and action, others in proportion")
    add(
        "--seed", metavar="N", type=int, default=default.seed, help="another seed, other videos (0)"
    )
    number("size", "PIXELS", "height and width, even")
    number("num_frames", "N", "of each video")
    add(
        "--stills",
        metavar="N",
        type=numeric(int, least=0),
        default=default.stills,
        help=f"captioned pictures for training, 0 for none ({default.stills})",
    )
    number("test_stills", "N", "captioned pictures for the test")
    add("--workers", metavar="N", type=positive, help="processes (as many as there are cores)")
    return command_line.run(
        lambda: _render(parser.parse(arguments)),
        if_interrupted="run the same command again to go on",
    )


def _render(options: argparse.Namespace) -> None:
    start = time.perf_counter()
    parameters = Parameters(
        seed=options.seed,
        train_clips=options.train_clips,
        test_clips=options.test_clips,
        size=options.size,
        num_frames=options.num_frames,
        stills=options.stills,
        test_stills=options.test_stills,
    )
    done = write_dataset(options.output, parameters, workers=options.workers)
    seconds = time.perf_counter() - start
    print(
        f"rendered {done.videos} of {done.of_videos} clips and {done.pictures} of "
        f"{done.of_pictures} pictures (seed {options.seed}) in {seconds:.1f} s: {options.output}"
    )


if __name__ == "__main__":
    sys.exit(main())
