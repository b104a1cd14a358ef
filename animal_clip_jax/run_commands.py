"""The commands over the folder of a run: train, evaluate; and `main.py`, which predicts too.

A run knows its own configuration: evaluation and prediction need none, and take the fields that may
differ as flags.
"""

import argparse
from collections.abc import Sequence

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser
from animal_clip_jax.errors import UserError
from animal_clip_jax.predict_command import print_predictions
from animal_clip_jax.run_arguments import RUN_AGAIN, add_config, config_of

MODES = ("train", "evaluate", "predict")


def main(arguments: Sequence[str] | None = None) -> int:
    """`main.py`; returns the exit code."""
    parser = Parser(
        "",
        usage="--workdir=RUN [--config=FILE] [--mode=MODE] [--config.FIELD=VALUE ...]",
        summary="Trains, evaluates or uses a model. Every field of its configuration is a flag.\n"
        "A run knows its own configuration: later, only its folder is needed.",
        examples=(
            "python main.py --config=configs/demo.py --workdir=runs/demo/run",
            "python main.py --workdir=runs/demo/run --mode=evaluate",
            "python main.py --workdir=RUN --mode=predict --config.predict.video=clip.mp4",
        ),
        takes_fields=True,
    )
    parser.prog = "main.py"
    parser.add_argument("--mode", choices=MODES, default="train", help="what to do (train)")
    parser.add_argument("--workdir", metavar="RUN", help="the run's folder")
    add_config(parser)
    _add_extend(parser)
    _add_processes(parser)
    return command_line.run(lambda: _main(parser.parse(arguments)), if_interrupted=RUN_AGAIN)


def train(arguments: Sequence[str] | None = None) -> int:
    """`animal-clip train`; returns the exit code."""
    parser = Parser(
        "train",
        usage="--config=FILE --workdir=RUN [--config.FIELD=VALUE ...]",
        summary="Trains a model, and tests it. The same command again goes on where it stopped.\n"
        "Every field of the configuration is a flag.",
        examples=("animal-clip train --config=configs/demo.py --workdir=runs/demo/run",),
        takes_fields=True,
    )
    parser.add_argument("--workdir", metavar="RUN", help="the run's folder")
    add_config(parser)
    _add_extend(parser)
    _add_processes(parser)
    return command_line.run(lambda: _train(parser.parse(arguments)), if_interrupted=RUN_AGAIN)


def evaluate(arguments: Sequence[str] | None = None) -> int:
    """`animal-clip evaluate`; returns the exit code."""
    parser = Parser(
        "evaluate",
        usage="RUN [--config.FIELD=VALUE ...]",
        summary="Tests a trained model, on the clips of its own test split or on others.\n"
        "The result is in a folder of its own, RUN/evaluations/NAME.",
        examples=(
            "animal-clip evaluate runs/demo/run --report",
            "animal-clip evaluate runs/demo/run --config.evaluation.temporal_views=1",
        ),
        takes_fields=True,
    )
    parser.add_argument("workdir", metavar="RUN", help="the run's folder")
    _add_report(parser)
    add_config(parser)
    _add_processes(parser)
    return command_line.run(lambda: _evaluate(parser.parse(arguments)), if_interrupted=RUN_AGAIN)


def _add_extend(parser: Parser) -> None:
    parser.add_argument(
        "--extend", action="store_true", help="train for more epochs than the run was planned for"
    )


def _add_report(parser: Parser) -> None:
    parser.add_argument(
        "--report",
        action="store_true",
        help="also write report.html: figures by action, confusions, mistakes with frames",
    )


def _add_processes(parser: Parser) -> None:
    group = parser.add_argument_group("several processes (docs/scaling.md)")
    group.add_argument(
        "--cluster", action="store_true", help="those that a TPU pod, Slurm or Open MPI started"
    )
    group.add_argument("--coordinator_address", metavar="HOST:PORT", help="of process 0")
    group.add_argument("--num_processes", metavar="N", type=int, help="processes of the job")
    group.add_argument("--process_id", metavar="I", type=int, help="number of this one, from 0")


def _main(options: argparse.Namespace) -> None:
    if options.workdir is None and not options.list_fields:
        raise UserError("missing: --workdir, the run's folder; see main.py -h")
    if options.mode == "train":
        _train(options)
    elif options.mode == "evaluate":
        options.report = False
        _evaluate(options)
    else:
        options.videos = []
        print_predictions(options)


def _train(options: argparse.Namespace) -> None:
    config = config_of(options, is_trained=False)
    if options.workdir is None and not options.list_fields:
        raise UserError("missing: --workdir, the run's folder; see animal-clip train -h")
    if config is None:
        return
    command_line.need("tensorflow", "tensorflow_datasets")
    _join_processes(options)
    from animal_clip_jax.run.train import train

    train(config, options.workdir, extends=options.extend)


def _evaluate(options: argparse.Namespace) -> None:
    config = config_of(options, is_trained=True)
    if config is None:
        return
    command_line.need("tensorflow", "tensorflow_datasets")
    if options.report:
        command_line.need("matplotlib")
    _join_processes(options)
    from animal_clip_jax.parallel import distributed
    from animal_clip_jax.run.evaluate import evaluate

    table = evaluate(options.workdir, config, report=options.report)
    if distributed.is_first():
        print(table)


def _join_processes(options: argparse.Namespace) -> None:
    from animal_clip_jax.parallel import distributed
    from animal_clip_jax.run.compiled_programs import keep_compiled_programs
    from data_pipeline.batches.freed_memory import keep_freed_memory

    keep_freed_memory()
    keep_compiled_programs()
    distributed.initialize(
        options.coordinator_address,
        options.num_processes,
        options.process_id,
        is_cluster=options.cluster,
    )
