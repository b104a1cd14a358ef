"""The header of a table that a person made: how its columns are separated, and what they are."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from animal_clip_jax.errors import quoted
from data_pipeline.annotations.label_files import csv_rows, numbered_lines
from data_pipeline.annotations.record import AnnotationError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}

# What people call the columns.
_OTHERWISE = {
    "video": ("file", "filename", "file name", "filepath", "path", "clip", "media", "media file")
    + ("video file", "video name", "video path"),
    "actions": ("behaviour", "behavior", "behaviours", "behaviors", "activity", "label", "labels"),
    "animals": ("species", "taxon", "scientific name"),
    "start": ("begin", "beginning", "from", "onset"),
    "stop": ("end", "to", "offset"),
    "individual": ("subject", "animal id", "individual id", "indiv"),
}
# What a column of times may say beside that.
_OF_TIME = frozenset(("time", "times", "s", "sec", "secs", "second", "seconds", "frame", "at"))


def separator_of(path: Path) -> str:
    """What separates the columns, by the header: `,`, `;` or a tab; `,` if there is one column.

    Raises:
        FileNotFoundError, AnnotationError: as `numbered_lines`; or there are several.
    """
    place, line = next(numbered_lines(path), ("", ""))
    if line.casefold().startswith("sep="):
        raise AnnotationError(
            f"{place}: {quoted(line)} is a note for Excel; remove this line, so that the header is "
            "the first"
        )
    outside = re.sub(r'"(?:[^"]|"")*"', "", line)
    found = [separator for separator in SEPARATORS if separator in outside]
    if len(found) > 1:
        kinds = " and ".join(SEPARATORS[separator] for separator in found)
        raise AnnotationError(
            f"{place}: the columns in the header {quoted(line)} are separated by {kinds}; use one"
        )
    return found[0] if found else ","


def table_rows(path: Path, separator: str) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The header, and (place, cells) of every row below it that has something in it.

    Raises:
        FileNotFoundError, AnnotationError: as `csv_rows`; or a row has more or fewer cells than the
            header.
    """
    rows = csv_rows(path, delimiter=separator)
    _, header = next(rows, ("", []))
    found = []
    for place, cells in rows:
        if not any(cells):
            continue
        if len(cells) != len(header):
            others = [
                name
                for other, name in SEPARATORS.items()
                if other != separator and any(other in cell for cell in cells)
            ]
            hint = (
                f"there are {' and '.join(others)} in it, and {SEPARATORS[separator]} in the header"
                if others
                else f"a cell that holds one of the {SEPARATORS[separator]} needs quotes"
            )
            raise AnnotationError(
                f"{place}: found {len(cells)} cells, expected {len(header)}, one for each of "
                f"{quoted(','.join(header))}; {hint}"
            )
        found.append((place, cells))
    return header, found


def meant_by(name: str, known: Sequence[str]) -> str | None:
    """Which of the known columns a column of another name may be; None if it is like none.

    Args:
        name: of a column, in small letters.
        known: columns that are not there under their names.
    """
    words = re.findall(r"[^\W_]+", name)
    plain = " ".join(words)
    for column in known:
        others = _OTHERWISE.get(column, ())
        if plain in others or (
            column in ("start", "stop")
            and words[:1]
            and words[0] in (column, *others)
            and _OF_TIME.issuperset(words[1:])
        ):
            return column
        is_alike = difflib.SequenceMatcher(None, name, column).ratio() > 0.75
        if is_alike and name[:1] == column[:1]:
            return column
    return None
