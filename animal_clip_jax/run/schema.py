"""Whether a configuration is one: its fields are there, of their types, and in their ranges.

What is wrong is collected, each a sentence for a person, and said all at once.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict, config_dict

from animal_clip_jax.command_line import did_you_mean
from animal_clip_jax.errors import UserError, quoted, shortened
from animal_clip_jax.run.fields import FIELDS, NO_VALUE, nested

_LONGEST_COMPARED = 80  # characters
_MOST_UNKNOWN = 20  # fields that are named
_LARGEST_FILE = 1_000_000  # bytes; a run's is of 5000


def flat_config(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
    """The leaves of a configuration by dotted name; sequences are tuples."""
    flat: dict[str, Any] = {}
    for name in config:
        value = _value(config, name)
        if isinstance(value, ConfigDict):
            flat.update(flat_config(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = tuple(value) if isinstance(value, list) else value
    return flat


def problems_of_names(content: Mapping[str, Any] | ConfigDict) -> list[str]:
    """Fields that are unknown or missing.

    Args:
        content: a configuration, or nested dictionaries.
    """
    entries = dict(_entries(content))
    no_groups = [name for name in entries if name not in FIELDS and is_group(name)]
    problems = [
        f"config.{name} is {quoted(entries[name])}; expected a group of fields"
        for name in no_groups
    ]
    others = [name for name in entries if name not in FIELDS and name not in no_groups]
    problems += [unknown(name) for name in others[:_MOST_UNKNOWN]]
    if len(others) > _MOST_UNKNOWN:
        problems.append(f"nor {len(others) - _MOST_UNKNOWN} more that are given")
    missing = [
        name
        for name in FIELDS
        if name not in entries and not name.startswith(tuple(f"{group}." for group in no_groups))
    ]
    if missing:
        problems.append(f"the configuration lacks {_all_of(missing)}")
    return problems


def problems_of_values(
    content: Mapping[str, Any] | ConfigDict,
    is_looked_at: Callable[[str], bool] = lambda name: True,
) -> list[str]:
    """Fields that are of another type than theirs, or out of their ranges.

    Args:
        content: a configuration, or nested dictionaries; may lack fields, and have others.
        is_looked_at: by name.
    """
    return [
        unexpected(name, value)
        for name, value in _entries(content)
        if name in FIELDS and is_looked_at(name) and not is_expected(name, value)
    ]


def conformed(content: Mapping[str, Any] | ConfigDict, *, is_older: bool = False) -> ConfigDict:
    """A configuration with each field of its type: 1 becomes 1.0 and [1] becomes (1,) there.

    Fields may be out of their ranges, for others to be put in their place.

    Args:
        content: a configuration, or nested dictionaries as JSON holds them.
        is_older: fields may lack that have a value for runs that lack them.

    Raises:
        UserError: fields are unknown, missing or of other types. Names everything that is wrong.
    """
    if is_older:
        content = _with_fields_of_today(content)
    problems = problems_of_names(content)
    values = dict(_entries(content))
    if problems or not all(_is_of_type(name, values[name]) for name in FIELDS):
        refuse(problems + problems_of_values(content))
    return nested({name: FIELDS[name].accepts.convert(values[name]) for name in FIELDS})


def refuse(problems: Iterable[str]) -> None:
    """Raises UserError, with everything that is wrong, if anything is."""
    problems = list(dict.fromkeys(problems))
    if len(problems) == 1:
        raise UserError(problems[0])
    if problems:
        numbered = (f"({number}) {problem}" for number, problem in enumerate(problems, 1))
        raise UserError(f"{len(problems)} mistakes in the configuration: {'; '.join(numbered)}")


def from_json(text: str) -> ConfigDict:
    """The configuration that a run recorded, as one of this version.

    Raises:
        UserError: it is no JSON, or as `conformed`.
    """
    if len(text) > _LARGEST_FILE:
        raise UserError(f"it has {len(text)} characters; expected at most {_LARGEST_FILE}")
    try:
        content = json.loads(text, object_pairs_hook=_without_repetition, parse_int=_whole)
    except RecursionError as error:
        raise UserError("it is nested too deep") from error
    except ValueError as error:
        raise UserError(f"it cannot be read as JSON: {error}") from error
    if not isinstance(content, Mapping):
        raise UserError(f"it holds {quoted(content)}; expected an object with the fields")
    return conformed(content, is_older=True)


def _without_repetition(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{quoted(twice)} is there twice")
    return content


def _whole(digits: str) -> int:
    try:
        return int(digits)
    except ValueError as error:
        raise ValueError(f"a number has {len(digits)} digits") from error


def is_expected(name: str, value: Any) -> bool:
    """Whether a value is of a field's type, and in its range."""
    accepts = FIELDS[name].accepts
    return _is_of_type(name, value) and accepts.is_in(accepts.convert(value))


def unexpected(name: str, value: Any) -> str:
    """What to tell a person of a value that is not of a field's type, or not in its range."""
    accepts = FIELDS[name].accepts
    offered = nearest(value, accepts.names) if isinstance(value, str) else ""
    return f"config.{name} is {quoted(value)}; expected {accepts.expected}{offered}"


def unknown(name: str) -> str:
    """What to tell a person of a field that there is not."""
    offered = nearest(name, FIELDS)
    if not offered:
        # Perhaps right but for the group.
        leaf = name.rpartition(".")[2]
        offered = "".join(
            f"; did you mean {known}?" for known in FIELDS if known.rpartition(".")[2] == leaf
        )
    offered = offered.replace("did you mean ", "did you mean config.")
    hint = offered or "; --list_fields lists them all"
    return f"the configuration has no field config.{shortened(name)}{hint}"


def nearest(name: str, known: Iterable[str]) -> str:
    """`did_you_mean`, for names that may be of any length."""
    return did_you_mean(name, known) if len(name) <= _LONGEST_COMPARED else ""


def is_group(name: str) -> bool:
    """Whether a name is that of a group of fields."""
    return any(known.startswith(f"{name}.") for known in FIELDS)


def _is_of_type(name: str, value: Any) -> bool:
    try:
        FIELDS[name].accepts.convert(value)
    except TypeError:
        return False
    return True


def _entries(
    content: Mapping[str, Any] | ConfigDict, prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """The fields by dotted name, and whatever else is there where a field or a group could be."""
    for key in content:
        name, value = f"{prefix}{key}", _value(content, key)
        if "." in str(key):
            yield f"{name} (with a dot in it)", value
        elif isinstance(value, Mapping | ConfigDict) and is_group(name):
            yield from _entries(value, f"{name}.")
        else:
            yield name, value


def _value(content: Mapping[str, Any] | ConfigDict, key: str) -> Any:
    try:
        return content[key]
    except config_dict.RequiredValueError:
        return None  # a placeholder that nobody has filled


def _with_fields_of_today(content: Mapping[str, Any]) -> dict[str, Any]:
    """With values for the fields that were not there yet; where their group is none, without."""
    content = dict(content)
    for name, field in FIELDS.items():
        if field.older is NO_VALUE:
            continue
        *groups, leaf = name.split(".")
        branch = content
        for group in groups:
            inner = branch.get(group)
            if not isinstance(inner, Mapping):
                break
            branch[group] = branch = dict(inner)
        else:
            branch.setdefault(leaf, field.older)
    return content


def _all_of(missing: Sequence[str]) -> str:
    """Names of fields; of a group of which none is there, the group's."""
    names = list(dict.fromkeys(_outermost(name, missing) for name in missing))
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    listed = ", ".join(f"config.{name}" for name in names[:5])
    return f"{listed}{more}; configs/default.py has all fields"


def _outermost(name: str, missing: Sequence[str]) -> str:
    """The group of a field of which none is there, or else the field."""
    parts = name.split(".")
    for length in range(1, len(parts)):
        group = ".".join(parts[:length])
        if all(known in missing for known in FIELDS if known.startswith(f"{group}.")):
            return group
    return name
