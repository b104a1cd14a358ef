"""What a look through a data set has found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Row = Mapping[str, str | int]


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes:
        kind: which check, such as "clips_without_files".
        is_problem: whether it is probably a mistake; else it is something to know.
        summary: what was found, in one line.
        rows: all places of it; each has the same keys.
    """

    kind: str
    is_problem: bool
    summary: str
    rows: tuple[Row, ...] = ()


def problem(kind: str, summary: str, rows: Iterable[Row] = ()) -> Finding:
    """What is probably a mistake."""
    return Finding(kind, True, summary, tuple(rows))


def note(kind: str, summary: str, rows: Iterable[Row] = ()) -> Finding:
    """What a person should know and may well be meant."""
    return Finding(kind, False, summary, tuple(rows))


def count(number: int, singular: str, plural: str = "") -> str:
    """A number with its noun, such as "1 clip" or "1,200 clips"."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
