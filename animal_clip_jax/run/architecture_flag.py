"""`--config.model.architecture=ViT-B/32`: an architecture by its name, on the command line."""

import difflib
import re
from collections.abc import Sequence

from animal_clip_jax.errors import UserError
from animal_clip_jax.models.architectures import ARCHITECTURES, dimensions

_FLAG = "--config.model.architecture"


def with_dimensions(fields: Sequence[str]) -> list[str]:
    """Fields with the name of an architecture replaced by a field for each of its dimensions.

    Examples:
        >>> with_dimensions(["--config.model.architecture=ViT-B/32", "--config.seed=1"])
        ['--config.model.architecture.embed_dim=512', ..., '--config.seed=1']

    They come before all other fields, so that a flag for a single one of them has the last word.
    The activation, which is not part of the name, is left as it is.

    Args:
        fields: "--config.FIELD=VALUE" each.

    Raises:
        UserError: no architecture has that name; offers the nearest.
    """
    named: list[str] = []
    others: list[str] = []
    for field in fields:
        flag, _, name = field.partition("=")
        if f"--{flag.lstrip('-')}" != _FLAG:
            others.append(field)
            continue
        named += [
            f"{_FLAG}.{dimension}={value}"
            for dimension, value in dimensions(ARCHITECTURES[_known(name)]).items()
            if dimension != "activation"
        ]
    return [*named, *others]


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
