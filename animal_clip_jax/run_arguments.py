"""What the commands over the folder of a run have in common: its configuration as flags."""

import argparse

from animal_clip_jax.command_line import Parser
from animal_clip_jax.errors import UserError

RUN_AGAIN = "run the same command again to go on"


def add_config(parser: Parser) -> None:
    """Adds the flags that say which configuration is meant."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="configs/NAME.py or a config.json (RUN's)",
    )
    parser.add_argument(
        "--list_fields", action="store_true", help="print the fields of the configuration, and end"
    )


def config_of(options: argparse.Namespace, *, is_trained: bool):
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
