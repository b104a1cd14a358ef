"""`--config.model.architecture=ViT-B/32`: an architecture by its name, on the command line."""

import difflib
import re
from collections.abc import Sequence

from animal_clip_jax.errors import UserError
from animal_clip_jax.models.architectures import ARCHITECTURES, dimensions

_FLAG = "--config.model.architecture"


def with_dimensions(arguments: Sequence[str]) -> list[str]:
    """Arguments with the name of an architecture replaced by a flag for each of its dimensions.

    Example:
        >>> with_dimensions(["--config.model.architecture=ViT-B/32", "--config.seed=1"])
        ['--config.model.architecture.embed_dim=512', ..., '--config.seed=1']

    They come before all other fields, so that a flag for a single one of them has the last word.
    The activation, which is not part of the name, is left as it is.

    Raises:
        UserError: no architecture has that name; offers the nearest.
    """
    named: list[str] = []
    others: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        flag, has_value, name = argument.partition("=")
        if f"--{flag.lstrip('-')}" != _FLAG or not flag.startswith("-"):
            others.append(argument)
            continue
        if not has_value:
            name = waiting.pop(0) if waiting else ""
        named += [
            f"{_FLAG}.{field}={value}"
            for field, value in dimensions(ARCHITECTURES[_known(name)]).items()
            if field != "activation"
        ]
    fields = [index for index, argument in enumerate(others) if _is_field(argument)]
    first = fields[0] if fields else len(others)
    return [*others[:first], *named, *others[first:]]


def _is_field(argument: str) -> bool:
    return re.match(r"--?(no)?config\.", argument) is not None


def _known(name: str) -> str:
    if name in ARCHITECTURES:
        return name
    plain = {re.sub(r"\W", "", known).lower(): known for known in ARCHITECTURES}
    near = difflib.get_close_matches(re.sub(r"\W", "", name).lower(), plain, n=1)
    offered = f"; did you mean {plain[near[0]]}?" if near else ""
    raise UserError(
        f"config.model.architecture is {name!r}; expected one of {', '.join(ARCHITECTURES)}"
        f"{offered}"
    )
