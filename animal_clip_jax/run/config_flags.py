"""A configuration from the command line: a file, and fields that are changed by flags."""

import importlib.util
import json
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from animal_clip_jax.command_line import did_you_mean
from animal_clip_jax.errors import UserError
from animal_clip_jax.files import as_local_path, check_is_file
from animal_clip_jax.run.architecture_flag import with_dimensions
from animal_clip_jax.run.config import complete, flat_config


def read_config_file(path: str | os.PathLike) -> ConfigDict:
    """The configuration in a file: `get_config()` of a Python file, or a run's `config.json`.

    Raises:
        MissingFileError: there is no such file; offers one of a name like it.
        UserError: the file is neither, or is wrong; names it, and the line.
    """
    found = check_is_file(path, "a configuration, such as configs/demo.py")
    if found.suffix == ".json":
        try:
            return complete(json.loads(found.read_text()))
        except (TypeError, AttributeError, KeyError, ValueError) as error:
            raise UserError(f"{path}: not the configuration of a run: {error}") from error
    if found.suffix != ".py":
        raise UserError(f"{path}: expected a Python file with get_config(), or a run's config.json")
    return _from_python(as_local_path(path, "a configuration in Python"))


def _from_python(path: pathlib.Path) -> ConfigDict:
    # A file of configs/ imports its neighbours as `configs.default`, from whatever folder it is
    # named; a file of one's own, from the folder that one is in.
    package = path.resolve().parent
    while (package / "__init__.py").exists():
        package = package.parent
    before = list(sys.path)
    sys.path[:0] = [str(package), os.getcwd()]
    try:
        spec = importlib.util.spec_from_file_location("config_of_the_command_line", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        config = module.get_config()
    except Exception as error:  # whatever a file of the user's own may raise
        raise UserError(f"{path}{_line_of(error, path)}: {_text_of(error)}") from error
    finally:
        sys.path[:] = before
    if not isinstance(config, ConfigDict):
        raise UserError(f"{path}: get_config() returns {type(config).__name__}, not a ConfigDict")
    return config


def _line_of(error: Exception, path: pathlib.Path) -> str:
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return "" if line is None else f", line {line}"


def _text_of(error: Exception) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}"


def with_fields(config: ConfigDict, fields: Sequence[str]) -> ConfigDict:
    """A configuration, locked, with fields changed.

    Args:
        config: is changed.
        fields: "--config.FIELD=VALUE" each.

    Raises:
        UserError: there is no such field, or the value is of another kind; names it.
    """
    fields = with_dimensions(fields)
    flat = flat_config(config)
    for field in fields:
        _check_name(field, flat, config)
    values = flags.FlagValues()
    config_flags.DEFINE_config_dict(
        "config", config, lock_config=True, flag_values=values, sys_argv=["", *fields]
    )
    try:
        values(["", *fields])
    except (flags.Error, ValueError, TypeError) as error:
        raise _wrong_value(fields, flat, error) from error
    return values.config


def _wrong_value(fields: Sequence[str], flat: Mapping[str, Any], error: Exception) -> UserError:
    for field in fields:
        name, _, text = field.lstrip("-").partition("=")
        if f"--{name}=" in str(error):
            current = flat[name.removeprefix("config.")]
            return UserError(f"--{name}={text}: expected a value such as {current!r}")
    return UserError(str(error))


def _check_name(field: str, flat: dict[str, Any], config: ConfigDict) -> None:
    name = field.lstrip("-").partition("=")[0]
    name = name.removeprefix("no").removeprefix("config.")
    if name in flat:
        return
    inside = [known for known in flat if known.startswith(f"{name}.")]
    if inside:
        raise UserError(f"config.{name} is a group of fields, such as config.{inside[0]}")
    offered = did_you_mean(name, flat)
    if not offered:
        # Perhaps right but for the group.
        leaf = name.rpartition(".")[2]
        offered = "".join(
            f"; did you mean {known}?" for known in flat if known.rpartition(".")[2] == leaf
        )
    offered = offered.replace("did you mean ", "did you mean config.")
    raise UserError(
        f"the configuration has no field config.{name}{offered or '; --list_fields lists them all'}"
    )


def list_of_fields(config: ConfigDict) -> str:
    """A line for every field, as it is given on the command line."""
    lines = []
    for name, value in flat_config(config).items():
        text = f'"{value}"' if isinstance(value, tuple) or value == "" else str(value)
        lines.append(f"--config.{name}={text}")
    return "\n".join([*lines, "", "configs/default.py says what each is."])
