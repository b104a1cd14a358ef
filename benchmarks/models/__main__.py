"""Animal-CLIP beside the models that it was published beside, in the synthetic world.

    make models

trains a small one of each with the same clips, frames and epochs, and three seeds, tests each on
clips whose frames are in order and in none, and writes a table and a figure into docs/results.md.
Interrupted, it goes on where it was. `benchmarks.models.sizes` has what the full models take.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser
from animal_clip_jax.files import write_whole
from benchmarks.models import page
from benchmarks.models.kinds import KINDS
from benchmarks.trainings.many import add_options, train_kinds
from benchmarks.trainings.outcomes import Outcomes, put_into


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = Parser(
        "",
        usage="--world=DATA --new_action=DATA --new_texts=DIR --weights=CLIP --output=DIR",
        summary="Animal-CLIP beside its rivals in the synthetic world. Interrupted, it goes on.",
        examples=("make models",),
    )
    parser.prog = "python -m benchmarks.models"
    add_options(parser, KINDS)
    return command_line.run(
        lambda: _compare(parser.parse(arguments)),
        if_interrupted="run the same command again to go on",
    )


def _compare(options: argparse.Namespace) -> None:
    """Runs all trainings, and writes what came of them."""
    outcomes = Outcomes.of_trainings(train_kinds(options, KINDS))
    text = page.written(outcomes)
    write_whole(pathlib.Path(options.output) / "table.md", text)
    print(text)
    if options.page:
        page.draw(outcomes, pathlib.Path(options.page).parent / page.FIGURE)
        put_into(pathlib.Path(options.page), text, "models")


if __name__ == "__main__":
    sys.exit(main())
