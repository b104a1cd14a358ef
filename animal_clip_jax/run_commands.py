"""The commands over the folder of a run: train, evaluate, predict; and `main.py`, all three.

A run knows its own configuration: evaluation and prediction need none, and take the fields that may
differ as flags.
"""

import argparse
import os
from collections.abc import Sequence

from animal_clip_jax import command_line
from animal_clip_jax.command_line import Parser
from animal_clip_jax.errors import UserError
from data_pipeline.limits import MOST_WORKERS

# Flags that mean something where results are written.
_WITH_OUTPUT = ("window", "stride", "expected_bout", "save_embeddings", "recursive")
_AGAIN = "run the same command again to go on"
EXISTING = ("skip", "overwrite", "error")
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
    _add_config(parser)
    _add_extend(parser)
    _add_processes(parser)
    return command_line.run(lambda: _main(parser.parse(arguments)), if_interrupted=_AGAIN)


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
    _add_config(parser)
    _add_extend(parser)
    _add_processes(parser)
    return command_line.run(lambda: _train(parser.parse(arguments)), if_interrupted=_AGAIN)


def evaluate(arguments: Sequence[str] | None = None) -> int:
    """`animal-clip evaluate`; returns the exit code."""
    parser = Parser(
        "evaluate",
        usage="RUN [--config.FIELD=VALUE ...]",
        summary="Tests a trained model, on the clips of its own test split or on others.\n"
        "The result is in a folder of its own, RUN/evaluations/NAME.",
        examples=(
            "animal-clip evaluate runs/demo/run",
            "animal-clip evaluate runs/demo/run --config.evaluation.temporal_views=1",
        ),
        takes_fields=True,
    )
    parser.add_argument("workdir", metavar="RUN", help="the run's folder")
    _add_config(parser)
    _add_processes(parser)
    return command_line.run(lambda: _evaluate(parser.parse(arguments)), if_interrupted=_AGAIN)


def predict(arguments: Sequence[str] | None = None) -> int:
    """`animal-clip predict`; returns the exit code."""
    parser = Parser(
        "predict",
        usage="RUN VIDEO [VIDEO ...] [--output=DIR] ...",
        summary="Says what the animals in videos do. With --output, writes it; the same command\n"
        "again goes on where it stopped.",
        examples=(
            "animal-clip predict runs/demo/run clip.mp4",
            "animal-clip predict runs/demo/run footage --recursive --output=answers \\",
            "  --window=2 --stride=1",
        ),
        takes_fields=True,
    )
    add = parser.add_argument
    add("workdir", metavar="RUN", help="the run's folder")
    add(
        "videos",
        metavar="VIDEO",
        nargs="*",
        help="file, folder, 'pattern*.mp4', or list (CSV, txt)",
    )
    add("--output", metavar="DIR", help="folder for the results")
    group = parser.add_argument_group("with --output")
    add = group.add_argument
    seconds = command_line.numeric(float, above=0)
    add("--recursive", action="store_true", help="look into folders in folders, too")
    add("--window", metavar="SECONDS", type=seconds, help="look at pieces so long, make bouts")
    add("--stride", metavar="SECONDS", type=seconds, help="from piece to piece (half a window)")
    add("--expected_bout", metavar="SECONDS", type=seconds, help="mean length (two windows)")
    least = command_line.numeric(float)
    add("--least_bout", metavar="SECONDS", type=least, default=0.0, help="shorter ones go (0)")
    share = command_line.numeric(float, most=1)
    add("--threshold", metavar="P", type=share, default=0.0, help="of the probability of a bout")
    add("--format", metavar="NAMES", default="", help="for other tools: boris,… (docs/formats.md)")
    add("--deployments", metavar="CSV", help="where the cameras stood, for camtrap_dp")
    add("--scientific_names", metavar="CSV", help="of the animals, for camtrap_dp")
    add("--time_bin", metavar="SECONDS", type=seconds, help="of a time budget (each video is one)")
    add("--existing", choices=EXISTING, default="skip", help="results that are there (skip)")
    add("--save_embeddings", action="store_true", help="write the features of the videos, too")
    whole = command_line.numeric(int, least=1, most=MOST_WORKERS)
    add("--batch_size", metavar="N", type=whole, default=8, help="pieces at a time (8)")
    add("--workers", metavar="N", type=command_line.numeric(int, most=MOST_WORKERS),
        default=os.cpu_count() or 1, help="processes that decode (%(default)s)")  # fmt: skip
    add("--dry_run", action="store_true", help="only list the videos")
    _add_config(parser)
    failed: list[str] = []
    code = command_line.run(
        lambda: failed.extend(_predict_videos(parser.parse(arguments))),
        if_interrupted=_AGAIN,
    )
    return code or (1 if failed else code)


def _add_config(parser: Parser) -> None:
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="configs/NAME.py, or a run's config.json; by default RUN's",
    )
    parser.add_argument(
        "--list_fields", action="store_true", help="print the fields of the configuration, and end"
    )


def _add_extend(parser: Parser) -> None:
    parser.add_argument(
        "--extend", action="store_true", help="train for more epochs than the run was planned for"
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
        _evaluate(options)
    else:
        options.videos = []
        _predict(options)


def _train(options: argparse.Namespace) -> None:
    config = _config(options, is_trained=False)
    if options.workdir is None and not options.list_fields:
        raise UserError("missing: --workdir, the run's folder; see animal-clip train -h")
    if config is None:
        return
    command_line.need("tensorflow", "tensorflow_datasets")
    _join_processes(options)
    from animal_clip_jax.run.train import train

    train(config, options.workdir, extends=options.extend)


def _evaluate(options: argparse.Namespace) -> None:
    config = _config(options, is_trained=True)
    if config is None:
        return
    command_line.need("tensorflow", "tensorflow_datasets")
    _join_processes(options)
    from animal_clip_jax.parallel import distributed
    from animal_clip_jax.run.evaluate import evaluate

    report = evaluate(options.workdir, config)
    if distributed.is_first():
        print(report)


def _predict_videos(options: argparse.Namespace) -> Sequence[str]:
    """Predicts videos; the names of those that failed."""
    if not options.videos and not options.list_fields:
        raise UserError("missing: VIDEO; see animal-clip predict -h")
    if options.output is None and not options.dry_run:
        given = [name for name in _WITH_OUTPUT if getattr(options, name)]
        if given:
            raise UserError(f"--{given[0]} is for --output=DIR; give a folder for the results")
        _predict(options)
        return ()
    from animal_clip_jax.inference.inputs import find_inputs

    videos = find_inputs(options.videos, recursive=options.recursive)
    if options.dry_run:
        for video in videos:
            print(f"{video.name}\t{video.path}\t{video.problem}".rstrip())
        return tuple(video.name for video in videos if video.problem)
    config = _config(options, is_trained=True)
    if config is None:
        return ()
    from animal_clip_jax.inference.predict import predict_into

    return predict_into(options.workdir, config, videos, options)


def _predict(options: argparse.Namespace) -> None:
    config = _config(options, is_trained=True)
    if config is None:
        return
    from animal_clip_jax.inference.predict import predict

    with command_line.ended_at_once_by_ctrl_c():
        print(predict(options.workdir, config, options.videos))


def _config(options: argparse.Namespace, *, is_trained: bool):
    """The configuration of the command line; None if it was only to be listed.

    Args:
        is_trained: the run must be there.
    """
    # Imported here, as everything heavy: a mistyped flag is answered at once.
    from animal_clip_jax.run import config_flags
    from animal_clip_jax.run.config import problems_in_training, problems_in_use

    if options.config is not None:
        config = config_flags.read_config_file(options.config)
    else:
        config = _config_of_run(options.workdir, is_trained=is_trained)
    problems_of = problems_in_use if is_trained else problems_in_training
    config = config_flags.with_fields(config, options.fields, problems_of)
    if options.list_fields:
        print(config_flags.list_of_fields(config))
        return None
    return config


def _config_of_run(workdir: str | None, *, is_trained: bool):
    from animal_clip_jax.files import as_path
    from animal_clip_jax.run.workdir import check_is_run, read_config

    if workdir is not None:
        if is_trained:
            check_is_run(as_path(workdir))
        own = read_config(as_path(workdir))
        if own is not None:
            return own
    raise UserError("missing: --config, a configuration such as configs/demo.py")


def _join_processes(options: argparse.Namespace) -> None:
    from animal_clip_jax.parallel import distributed

    distributed.initialize(
        options.coordinator_address,
        options.num_processes,
        options.process_id,
        is_cluster=options.cluster,
    )
