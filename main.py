"""Trains, evaluates or uses a model: `python main.py --config=configs/demo.py --workdir=runs/demo`.

Every field of the configuration can be set on the command line, as `--config.batch_size=32`. A run
knows its own configuration: evaluation and prediction need none, and take the fields that may
differ as flags.
"""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from absl import app, flags, logging
from ml_collections import config_flags

_WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run: checkpoints and metrics")
_EXTEND = flags.DEFINE_boolean(
    "extend", False, "go on with more epochs than the run was planned for"
)
_COORDINATOR_ADDRESS = flags.DEFINE_string(
    "coordinator_address", None, "host:port of process 0, for a job of several processes"
)
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "processes of the job")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "number of this process, from 0")
_CLUSTER = flags.DEFINE_boolean(
    "cluster", False, "join the processes that the cluster started (TPU pod, Slurm, Open MPI)"
)
_MODE = flags.DEFINE_enum("mode", "train", ["train", "evaluate", "predict"], "what to do")


def define_config(arguments: Sequence[str]) -> None:
    """Defines the flag --config: a configuration file; or without one, the run's own.

    Args:
        arguments: of the command line.

    Raises:
        UserError: the configuration of the run in --workdir is damaged.
    """
    given = {name: value for name, value in map(_parse, _joined(arguments)) if name}
    workdir = given.get("workdir")
    if "config" not in given and workdir:
        from animal_clip_jax.files import as_path
        from animal_clip_jax.run.workdir import check_is_run, read_config

        if given.get("mode", "train") != "train":
            check_is_run(as_path(workdir))
        own = read_config(as_path(workdir))
        if own is not None:
            config_flags.DEFINE_config_dict("config", own, "the run's own", lock_config=True)
            return
    config_flags.DEFINE_config_file("config", None, "configuration file", lock_config=True)
    flags.mark_flag_as_required("config")


def _joined(arguments: Sequence[str]) -> list[str]:
    """Flags with their values, also where these are arguments of their own."""
    joined = []
    for index, argument in enumerate(arguments):
        following = arguments[index + 1] if index + 1 < len(arguments) else "-"
        is_split = "=" not in argument and not following.startswith("-")
        joined.append(f"{argument}={following}" if is_split else argument)
    return joined


def _parse(argument: str) -> tuple[str, str]:
    name, _, value = argument.partition("=")
    return (name.lstrip("-"), value) if name.startswith("-") else ("", "")


def main(argv: list[str]) -> None:
    """Runs the mode; a mistake in what was given is said in one line, with exit code 2."""
    if not flags.FLAGS["verbosity"].present:
        # Orbax raises what it also logs, over pages.
        logging.set_verbosity(logging.FATAL)
    if len(argv) > 1:
        _fail(f"unknown argument {argv[1]!r}; flags begin with --")
    # Imported here: a mistyped flag is answered at once.
    from animal_clip_jax.errors import UserError
    from animal_clip_jax.run.interruption import EXIT_CODE, Interrupted

    try:
        _run()
    except Interrupted as notice:
        print(notice, file=sys.stderr)
        # All is saved. Ending in the usual way would wait for what the devices still compute.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(EXIT_CODE)
    except UserError as error:
        logging.debug("failed", exc_info=True)
        _fail(str(error))


def _run() -> None:
    from animal_clip_jax.parallel import distributed

    config, workdir = flags.FLAGS.config, str(_WORKDIR.value)
    distributed.initialize(
        _COORDINATOR_ADDRESS.value,
        _NUM_PROCESSES.value,
        _PROCESS_ID.value,
        is_cluster=_CLUSTER.value,
    )
    if _MODE.value == "train":
        from animal_clip_jax.run.train import train

        train(config, workdir, extends=_EXTEND.value)
    elif _MODE.value == "evaluate":
        from animal_clip_jax.run.evaluate import evaluate

        report = evaluate(workdir, config)
        if distributed.is_first():
            print(report)
    else:
        from animal_clip_jax.inference.predict import predict

        print(predict(workdir, config))


def parse_flags(argv: list[str]) -> list[str]:
    """Parses the command line; a flag or a configuration field that does not exist ends it.

    Returns:
        the arguments that are no flags.
    """
    # The configuration is loaded and overridden while the flags are parsed, so whatever its file
    # raises comes out here.
    try:
        define_config(argv[1:])
        flags.mark_flag_as_required("workdir")
        return flags.FLAGS(argv)
    except AttributeError as error:
        name = str(error).strip("'\"")
        given = [argument.lstrip("-").partition("=")[0] for argument in argv]
        fields = [field for field in given if field.split(".")[-1] == name] or [name]
        _fail(f"the configuration has no field {fields[0]}; configs/default.py lists them all")
    except (flags.Error, ValueError, TypeError, KeyError, OSError) as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
