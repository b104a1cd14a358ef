"""What parts of the method are worth in the synthetic world, and how sure that is.

    make ablations

trains one model a variant and seed, as many at once as there are cores, tests each on every
question under every source of the animals, and writes tables and a figure into docs/results.md.
Interrupted, it goes on where it was; trainings that are done are not repeated.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser
from animal_clip_jax.files import write_whole
from benchmarks.ablations import page
from benchmarks.ablations.variants import VARIANTS
from benchmarks.trainings.many import add_options, train_kinds
from benchmarks.trainings.outcomes import Outcomes, put_into


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = Parser(
        "",
        usage="--world=DATA --new_action=DATA --new_texts=DIR --weights=CLIP --output=DIR",
        summary="What parts of the method are worth. Interrupted, it goes on.",
        examples=("make ablations",),
    )
    parser.prog = "python -m benchmarks.ablations"
    add_options(parser, VARIANTS)
    return command_line.run(
        lambda: _ablate(parser.parse(arguments)),
        if_interrupted="run the same command again to go on",
    )


def _ablate(options: argparse.Namespace) -> None:
    """Runs all trainings, and writes what came of them."""
    outcomes = Outcomes.of_trainings(train_kinds(options, VARIANTS))
    text = page.written(outcomes)
    write_whole(pathlib.Path(options.output) / "tables.md", text)
    print(text)
    if options.page:
        page.draw(outcomes, pathlib.Path(options.page).parent / page.FIGURE)
        put_into(pathlib.Path(options.page), text, "ablations")


if __name__ == "__main__":
    sys.exit(main())
