"""Everything that is wrong with a file of texts, in one error."""

import codecs
import csv
import io
import os
import pathlib
import re

from animal_clip_jax.errors import UserError, quoted
from animal_clip_jax.files import read_at_most

SHOWN = 20
# Bytes of a file; the largest that people write have a few million. The csv module bounds a field,
# to 131 072 characters.
_LARGEST = 64 * 2**20
# All of Unicode's but white space, which is cut off around fields and counts as a space in texts;
# and what turns the direction of writing or is never seen.
_CONTROL_CHARACTER = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)


class FileErrors:
    """Errors of one file, gathered so that they can be mended in one go."""

    def __init__(self, path: str | os.PathLike[str]):
        self.path = pathlib.Path(path)
        self._errors: list[tuple[float, str]] = []

    def add(self, message: str, line: int | None = None) -> None:
        """Notes an error, in a line of the file or in the whole of it."""
        self._errors.append((float("inf") if line is None else line, message))

    @property
    def are_many(self) -> bool:
        """Whether there are more than will be shown."""
        return len(self._errors) > SHOWN

    def check(self) -> None:
        """Raises UserError if there are errors: the first 20 by line, and how many more."""
        if not self._errors:
            return
        errors = sorted(self._errors, key=lambda error: error[0])
        shown = [
            message if line == float("inf") else f"line {int(line)}: {message}"
            for line, message in errors[:SHOWN]
        ]
        if len(errors) == 1:
            separator = ": " if errors[0][0] == float("inf") else ", "
            raise UserError(f"{self.path}{separator}{shown[0]}")
        if len(errors) > SHOWN:
            shown.append(f"and {len(errors) - SHOWN} more")
        raise UserError(f"{self.path}: {len(errors)} errors: {'; '.join(shown)}")


def csv_rows(errors: FileErrors) -> tuple[list[tuple[int, list[str]]], bool]:
    """Reads a CSV file.

    Lines that are not UTF-8, rows that are not CSV and rows with control characters are noted as
    errors and left out; a byte-order mark is dropped.

    Returns:
        the rows that are not blank, each with the number of its first line, their fields without
        the white space around them; and whether none was left out.

    Raises:
        UserError: it is no regular file, cannot be read, or is larger than 64 MiB.
    """
    content = read_at_most(errors.path, _LARGEST, "a CSV file")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        errors.add("not UTF-8 but UTF-16, save the file as UTF-8", 1)
        return [], False
    lines = []
    damaged = set()
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            lines.append(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            errors.add(f"not UTF-8 ({error.reason}), save the file as UTF-8", number)
            damaged.add(number)
            lines.append(line.decode("utf-8", errors="replace"))
    # strict: else a quote that is never closed swallows the rest of the file without a word.
    reader = csv.reader(
        io.StringIO("\n".join(lines), newline=""), strict=True, skipinitialspace=True
    )
    rows: list[tuple[int, list[str]]] = []
    is_whole = not damaged
    while True:
        first = reader.line_num + 1
        try:
            row = [field.strip() for field in next(reader)]
        except StopIteration:
            return rows, is_whole
        except csv.Error as error:
            is_whole = False
            if damaged.isdisjoint(range(first, reader.line_num + 1)):
                errors.add(f"the row that begins here is not valid CSV ({error})", first)
            continue
        if not any(row) or not damaged.isdisjoint(range(first, reader.line_num + 1)):
            continue
        control = next(filter(None, map(_CONTROL_CHARACTER.search, row)), None)
        if control and rows:  # what a header calls its columns is nobody's name
            is_whole = False
            errors.add(
                f"a control character, U+{ord(control[0]):04X}, in {quoted(control.string)}", first
            )
        else:
            rows.append((first, row))
