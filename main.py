"""Trains, evaluates or uses a model: `python main.py --config=configs/demo.py --workdir=runs/demo`.

Every field of the configuration can be set on the command line, as `--config.batch_size=32`.
"""

import pathlib
import sys
from typing import NoReturn

from absl import app, flags, logging
from ml_collections import config_flags

_CONFIG = config_flags.DEFINE_config_file("config", None, "configuration file", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "folder of the run: checkpoints and metrics")
_COORDINATOR_ADDRESS = flags.DEFINE_string(
    "coordinator_address", None, "host:port of process 0, for a job of several processes"
)
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "processes of the job")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "number of this process, from 0")
_CLUSTER = flags.DEFINE_boolean(
    "cluster", False, "join the processes that the cluster started (TPU pod, Slurm, Open MPI)"
)
_MODE = flags.DEFINE_enum("mode", "train", ["train", "evaluate", "predict"], "what to do")


def main(argv: list[str]) -> None:
    """Runs the mode; what is wrong with the input is said in one line, with exit code 2."""
    if not flags.FLAGS["verbosity"].present:
        # Orbax raises what it also logs, over pages.
        logging.set_verbosity(logging.FATAL)
    if len(argv) > 1:
        _fail(f"unknown argument {argv[1]!r}; flags begin with --")
    config, workdir = _CONFIG.value, pathlib.Path(str(_WORKDIR.value))
    # Imported here: a mistyped flag is answered at once.
    try:
        from animal_clip_jax.parallel import distributed

        distributed.initialize(
            _COORDINATOR_ADDRESS.value,
            _NUM_PROCESSES.value,
            _PROCESS_ID.value,
            is_cluster=_CLUSTER.value,
        )
        if _MODE.value == "train":
            from animal_clip_jax.run import interruption
            from animal_clip_jax.run.train import train

            try:
                train(config, workdir)
            except interruption.Interrupted as notice:
                print(notice, file=sys.stderr)
                sys.exit(interruption.EXIT_CODE)
        elif _MODE.value == "evaluate":
            from animal_clip_jax.run.evaluator import evaluate_run

            report = evaluate_run(config, workdir)
            if distributed.is_first():
                print(report)
        else:
            from animal_clip_jax.inference.predictor import predict

            animals = tuple(
                name.strip() for name in config.predict.animals.split(";") if name.strip()
            )
            predictions = predict(config, workdir, config.predict.video, animals)
            told = [f"{name} {weight:.0%}" for name, weight in predictions.animals]
            print(f"animals ({predictions.animal_source}): {', '.join(told) or 'not told'}")
            for action, score in predictions.actions[: config.predict.top_k]:
                print(f"{score:7.2%}  {action}")
    except (ValueError, OSError, FloatingPointError) as error:
        logging.debug("failed", exc_info=True)
        _fail(str(error))


def parse_flags(argv: list[str]) -> list[str]:
    """Parses the command line; a flag or a configuration field that does not exist ends it.

    Returns:
        the arguments that are no flags.
    """
    # The configuration is loaded and overridden while the flags are parsed, so whatever its file
    # raises comes out here.
    try:
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
    flags.mark_flags_as_required(["config", "workdir"])
    app.run(main, flags_parser=parse_flags)
