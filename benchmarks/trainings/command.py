"""What a command that trains many models is: its options, the trainings, and what it writes."""

import argparse
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser, numeric
from animal_clip_jax.files import write_whole
from benchmarks.trainings.many import Kind, train_kinds
from benchmarks.trainings.outcomes import Outcomes, put_into


class Comparison(NamedTuple):
    """Kinds that are trained, and how what came of them is written down.

    Attributes:
        name: of the module in benchmarks/, of the make target and of the place in the page.
        summary: what the comparison is about, in a line.
        kinds: what is trained.
        written: outcomes to Markdown.
        draw: outcomes and the path of an SVG file.
        figure: that path, beside the page.
    """

    name: str
    summary: str
    kinds: Sequence[Kind]
    written: Callable[[Outcomes], str]
    draw: Callable[[Outcomes, pathlib.Path], None]
    figure: str


def run(comparison: Comparison, arguments: Sequence[str] | None) -> int:
    """The command; returns the exit code."""
    parser = Parser(
        "",
        usage="--world=DATA --new_action=DATA --new_texts=DIR --weights=CLIP --output=DIR",
        summary=f"{comparison.summary} Interrupted, it goes on.",
        examples=(f"make {comparison.name}",),
    )
    parser.prog = f"python -m benchmarks.{comparison.name}"
    _add_options(parser, comparison.kinds)
    return command_line.run(
        lambda: _compare(comparison, parser.parse(arguments)),
        if_interrupted="run the same command again to go on",
    )


def _add_options(parser: Parser, kinds: Sequence[Kind]) -> None:
    add, positive = parser.add_argument, numeric(int, least=1)
    add("--world", metavar="DATA", required=True, help="the world's converted videos")
    add("--new_action", metavar="DATA", required=True, help="those with a new action")
    add("--new_texts", metavar="DIR", required=True, help="the descriptions of these")
    add("--weights", metavar="CLIP", required=True, help="pretrained on pictures of that world")
    add("--output", metavar="DIR", required=True, help="folder of the trainings")
    add("--page", metavar="FILE", help="page to write the tables into; not given, none is")
    add("--epochs", metavar="N", type=positive, default=10, help="of each training (10)")
    add("--seeds", metavar="N,N", default="0,1,2", help="of the trainings (0,1,2)")
    some = ", ".join(kind.name for kind in kinds[:2])
    add("--only", metavar="NAMES", default="", help=f"such as {some}; not given, all")
    cores = os.cpu_count() or 1
    add("--processes", metavar="N", type=positive, default=cores, help="trainings at once")


def _compare(comparison: Comparison, options: argparse.Namespace) -> None:
    """Runs all trainings, and writes what came of them."""
    outcomes = Outcomes.of_trainings(train_kinds(options, comparison.kinds))
    text = comparison.written(outcomes)
    write_whole(pathlib.Path(options.output) / "tables.md", text)
    print(text)
    if options.page:
        comparison.draw(outcomes, pathlib.Path(options.page).parent / comparison.figure)
        put_into(pathlib.Path(options.page), text, comparison.name)
