"""A configuration from the command line: a file, and fields that are changed by flags."""

import functools
import importlib.util
import os
import pathlib
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from animal_clip_jax.errors import UserError, shortened
from animal_clip_jax.files import as_local_path, check_is_file
from animal_clip_jax.run import schema
from animal_clip_jax.run.architecture_flag import with_dimensions
from animal_clip_jax.run.config import problems_in_training
from animal_clip_jax.run.fields import FIELDS, GROUPS


def read_config_file(path: str | os.PathLike) -> ConfigDict:
    """The configuration in a file: `get_config()` of a Python file, or a run's `config.json`.

    Raises:
        MissingFileError: there is no such file; offers one of a name like it.
        UserError: the file is neither, or is wrong; names it, and the line or the fields.
    """
    found = check_is_file(path, "a configuration, such as configs/demo.py")
    if found.suffix not in (".json", ".py"):
        raise UserError(f"{path}: expected a Python file with get_config(), or a run's config.json")
    try:
        if found.suffix == ".json":
            return schema.from_json(found.read_text())
        config = _from_python(as_local_path(path, "a configuration in Python"))
        schema.conformed(config)
    except (UserError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from error
    return config


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
        _of_the_user(path, functools.partial(spec.loader.exec_module, module))
        config = _of_the_user(path, _get_config(module))
    finally:
        sys.path[:] = before
    if not isinstance(config, ConfigDict):
        raise UserError(f"get_config() returns {type(config).__name__}, not a ConfigDict")
    return config


def _get_config(module: ModuleType) -> Callable[[], Any]:
    get_config = getattr(module, "get_config", None)
    if not callable(get_config):
        raise UserError("it has no function get_config()")
    return get_config


def _of_the_user(path: pathlib.Path, run: Callable[[], Any]) -> Any:
    """What a file of the user's own gives; whatever it raises is the user's to mend."""
    try:
        return run()
    except (Exception, SystemExit) as error:
        line = _line_of(error, path)
        place = "" if line is None else f"line {line}: "
        text = error.msg if isinstance(error, SyntaxError) else error
        raise UserError(f"{place}{type(error).__name__}: {shortened(text)}") from error


def _line_of(error: BaseException, path: pathlib.Path) -> int | None:
    if isinstance(error, SyntaxError):
        return error.lineno
    lines = [
        line
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename == str(path)
    ]
    return lines[-1] if lines else None


def with_fields(
    config: ConfigDict,
    fields: Sequence[str],
    problems_of: Callable[[ConfigDict], list[str]] = problems_in_training,
) -> ConfigDict:
    """A configuration, locked, with fields changed.

    Args:
        config: is changed.
        fields: "--config.FIELD=VALUE" each.
        problems_of: what else is wrong with it, to be said in the same message.

    Raises:
        UserError: there is no such field, or the value is of another type or out of its range.
    """
    problems, known = [], []
    for field in fields:
        try:
            with_dimensions([field])
        except UserError as error:
            problems.append(str(error))
        else:
            known.append(field)
    named = [(field, _name_of(field)) for field in with_dimensions(known)]
    problems += [_no_field(name) for _, name in named if name not in FIELDS]
    unreadable = _change(config, [field for field, name in named if name in FIELDS])
    problems += [_unreadable(field) for field in unreadable]
    if problems or schema.problems_of_values(config, {name for _, name in named}.__contains__):
        schema.refuse(problems + schema.problems_of_values(config) + problems_of(config))
    config = schema.conformed(config)
    config.lock()
    return config


def _name_of(field: str) -> str:
    """The dotted name in "--config.NAME=VALUE", "--config.NAME" or "--noconfig.NAME"."""
    return field.lstrip("-").partition("=")[0].removeprefix("no").removeprefix("config.")


def _change(config: ConfigDict, fields: Sequence[str]) -> list[str]:
    """Changes fields; gives those back whose values cannot be read."""
    arguments, values = ["", *fields], flags.FlagValues()
    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=arguments)
        values(arguments)
    except (flags.Error, ValueError, TypeError):
        if len(fields) == 1:
            return list(fields)
        # One by one, for all of them to be named.
        return [wrong for field in fields for wrong in _change(config, [field])]
    return []


def _unreadable(field: str) -> str:
    flag, _, text = field.partition("=")
    expected = FIELDS[_name_of(field)].accepts.expected
    return f"{flag}={shortened(text)}: expected {expected}"


def _no_field(name: str) -> str:
    if not schema.is_group(name):
        return schema.unknown(name)
    inside = next(known for known in FIELDS if known.startswith(f"{name}."))
    return f"config.{name} is a group of fields, such as config.{inside}"


def list_of_fields(config: ConfigDict) -> str:
    """Every field as it is given on the command line, below what it means and may be."""
    flat = schema.flat_config(config)
    lines = []
    for group in GROUPS:
        lines += ["", *_comment(f"{group.name}: {group.meaning}")] if group.meaning else [""]
        for field in group.fields:
            name = f"{group.name}.{field.name}".lstrip(".")
            value = flat[name]
            text = f'"{value}"' if isinstance(value, tuple) or value == "" else str(value)
            lines += _comment(f"{field.meaning}. Expected: {field.accepts.expected}")
            lines.append(f"--config.{name}={text}")
    return "\n".join(lines[1:])


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent="# ", subsequent_indent="#   ")
