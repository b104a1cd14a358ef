"""`animal-clip calibrate RUN`: how sure the answers of a trained model are to be taken."""

import argparse
import sys
from collections.abc import Sequence

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser
from animal_clip_jax.run_arguments import RUN_AGAIN, add_config, config_of


def main(arguments: Sequence[str] | None = None) -> int:
    """`animal-clip calibrate`; returns the exit code."""
    parser = Parser(
        "calibrate",
        usage="RUN [--split=NAME] [--config.FIELD=VALUE ...]",
        summary="Makes the probabilities of a model honest: fits a temperature, and thresholds of\n"
        "the actions, on clips that it was not trained on. Predictions then use them.\n"
        "They are in RUN/calibration.json.",
        examples=(
            "animal-clip calibrate runs/footage",
            "animal-clip calibrate runs/demo/run --split=val \\",
            "  --config.data.directory=data/others",
        ),
        takes_fields=True,
    )
    add = parser.add_argument
    add("workdir", metavar="RUN", help="the run's folder")
    add(
        "--split",
        metavar="NAME",
        default="",
        help="clips to fit on (those that the best checkpoint is chosen on)",
    )
    add_config(parser)
    return command_line.run(lambda: _calibrate(parser.parse(arguments)), if_interrupted=RUN_AGAIN)


def _calibrate(options: argparse.Namespace) -> None:
    config = config_of(options, is_trained=True)
    if config is None:
        return
    command_line.need("tensorflow", "tensorflow_datasets")
    from animal_clip_jax.run.calibrate import calibrate

    print(calibrate(options.workdir, config, split=options.split))


if __name__ == "__main__":
    sys.exit(main())
