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

from animal_clip_jax.errors import UserError
from data_pipeline.synthetic.videos import plan, write_dataset


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m data_pipeline.synthetic",
        description="Renders the demo's videos. Run again to go on.",
    )
    parser.add_argument("--output", required=True, help="folder to write the set into")
    parser.add_argument(
        "--clips_per_pair", type=int, default=28, help="training videos of each animal and action"
    )
    parser.add_argument(
        "--test_clips_per_pair", type=int, default=4, help="of each; twice as many of unseen ones"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed, other videos")
    parser.add_argument("--size", type=int, default=64, help="height and width in pixels, even")
    parser.add_argument("--num_frames", type=int, default=16, help="of each video")
    parser.add_argument("--workers", type=int, help="processes; all available cores if not given")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parsed = _parse_arguments(arguments)
    print(f"seed {parsed.seed}")
    start = time.perf_counter()
    try:
        rendered = write_dataset(
            parsed.output,
            clips_per_pair=parsed.clips_per_pair,
            test_clips_per_pair=parsed.test_clips_per_pair,
            seed=parsed.seed,
            size=parsed.size,
            num_frames=parsed.num_frames,
            workers=parsed.workers,
        )
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; run again to go on", file=sys.stderr)
        return 130
    seconds = time.perf_counter() - start
    total = len(plan(parsed.clips_per_pair, parsed.test_clips_per_pair))
    print(
        f"rendered {rendered} of {total} clips in {seconds:.1f} s, "
        f"{rendered / seconds:.0f} clips/s: {parsed.output}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
