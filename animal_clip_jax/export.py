"""Exports the model of a run for other programs: `animal-clip export RUN --output=DIR`."""

import argparse
import sys
from collections.abc import Sequence

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser


def main(arguments: Sequence[str] | None = None) -> int:
    """`animal-clip export`; returns the exit code."""
    parser = Parser(
        "export",
        usage="RUN --output=DIR [options]",
        summary="Writes the model of a run as files that other programs run, with jax alone.\n"
        "How they call it is in DIR/README.txt.",
        examples=("animal-clip export runs/demo/run --output=exported",),
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="the run's folder")
    add("--output", metavar="DIR", required=True, help="folder to write")
    add("--checkpoint", metavar="STEP", default="latest", help="latest, best or a step (latest)")
    add("--saved_model", action="store_true", help="write a SavedModel of TensorFlow, too")
    add("--overwrite", action="store_true", help="replace an exported model that is there")
    return command_line.run(lambda: _export(parser.parse(arguments)))


def _export(options: argparse.Namespace) -> None:
    from animal_clip_jax.files import as_path
    from animal_clip_jax.inference.exported_model import check_output, export
    from animal_clip_jax.run.trained_run import TrainedRun

    if options.saved_model:
        command_line.need("tensorflow")
    check_output(as_path(options.output), overwrite=options.overwrite)
    run = TrainedRun.open(options.run, options.checkpoint)
    export(run, options.output, overwrite=options.overwrite, saved_model=options.saved_model)
    print(f"{options.output}: the model of step {run.step}; README.txt there says how to call it")


if __name__ == "__main__":
    sys.exit(main())
