"""Reading the small files that annotations are distributed in."""

import csv
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from animal_clip_jax.errors import MissingFileError, UserError, quoted
from animal_clip_jax.files import cannot_read
from data_pipeline.annotations.layouts import check_source, find, folders_below
from data_pipeline.annotations.record import AnnotationError, check_name
from data_pipeline.limits import (
    MOST_CELL_CHARACTERS,
    MOST_DIGITS,
    MOST_LINE_CHARACTERS,
    MOST_TEXT_BYTES,
)
from data_pipeline.names import CONTROL_CHARACTER


def find_file(folders: Sequence[Path], names: Sequence[str], what: str) -> Path:
    """The first of `names` that is a file in one of `folders`, without regard to case.

    Raises:
        FileNotFoundError: there is none; the message lists the names and folders tried.
    """
    path = find(folders, names)
    if path is None:
        there = [folder for folder in folders if folder.is_dir()] or folders
        raise MissingFileError(
            f"no {what}: none of {', '.join(names)} is in {' or '.join(map(str, there))}"
        )
    return path


def has_file(folders: Sequence[Path], names: Sequence[str]) -> bool:
    """Whether `find_file` would find one."""
    return find(folders, names) is not None


def find_folder(source: Path, names: Sequence[str], what: str) -> Path:
    """The first of `names` that is a folder in `source`.

    Raises:
        FileNotFoundError: `source` is not a folder, or holds none of them.
    """
    check_source(source)
    folders = folders_below([source], names)
    if not folders:
        raise MissingFileError(f"no {what}: {source} has no folder {' or '.join(names)}")
    return folders[0]


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What goes wrong with the file while it is read becomes an error that names it.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: it cannot be read.
    """
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise MissingFileError(f"the file {path} does not exist", path) from error
    except OSError as error:
        raise cannot_read(path, error) from error


def check_regular(path: Path, most_bytes: int) -> None:
    """Checks that a path is of a file, and no pipe or device, which may never end.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: it is something else, or larger than `most_bytes`.
    """
    with reading(path):
        status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise AnnotationError(f"{path} is not a file")
    if status.st_size > most_bytes:
        raise AnnotationError(
            f"{path} has {status.st_size} bytes; {most_bytes} are the most that are read"
        )


def numbered_lines(
    path: Path, *, skip: Callable[[bytes], bool] | None = None
) -> Iterator[tuple[str, str]]:
    """Yields (place, text) of every line that is not blank, such as ("train.txt, line 3", "...").

    A byte-order mark, line ends of either kind and space around a line are dropped.

    Args:
        path: the file.
        skip: of a line as it is in the file, whether it need not be looked at.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: the file is not UTF-8 text, or a line is very long or holds a control
            character other than a tabulator.
    """
    for place, line in _physical_lines(path, skip):
        if line.strip():
            yield place, line.strip()


def lines_of_split(path: Path, split: str) -> list[tuple[str, str]]:
    """The `numbered_lines` of the file that lists a split, which are some.

    Raises:
        FileNotFoundError, AnnotationError: as there, or there is none: a download that failed, for
            instance, would become a data set that lacks the split.
    """
    lines = list(numbered_lines(path))
    if not lines:
        raise no_clips(path, split)
    return lines


def no_clips(place: str | Path, split: str) -> AnnotationError:
    """What to tell a person of a file that lists no clip of the split that it should."""
    return AnnotationError(
        f"{place} lists no clip of the split {split!r}; to convert other splits without it, list "
        "their clips in a CSV file (--dataset=csv)"
    )


def csv_rows(path: Path, *, delimiter: str = ",") -> Iterator[tuple[str, list[str]]]:
    """Yields (place, cells) of every row of a CSV that is not blank, without space around cells.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: as `numbered_lines`; or a quote opens or closes within a cell or never, or
            a cell is very long.
    """
    yield from _rows_of_lines(_physical_lines(path), delimiter)


def cells_of_line(line: str, place: str, *, delimiter: str) -> list[str]:
    """The cells of a row of a CSV that is one line, which is not blank.

    Raises:
        AnnotationError: as `csv_rows`.
    """
    return next(_rows_of_lines(iter([(place, line)]), delimiter))[1]


def _rows_of_lines(
    numbered: Iterator[tuple[str, str]], delimiter: str
) -> Iterator[tuple[str, list[str]]]:
    raw: list[str] = []  # the lines of the row that is being read
    places: list[str] = []

    def lines() -> Iterator[str]:
        for place, line in numbered:
            raw.append(line + "\n")
            places.append(place)
            yield raw[-1]

    reader = csv.reader(lines(), delimiter=delimiter, skipinitialspace=True, strict=True)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise AnnotationError(
                f"{places[0]}: not a row of a CSV ({error}); does a quote stand where none belongs?"
            ) from error
        if row is None:
            return
        text = "".join(raw)
        for cell in row:
            if len(cell) > MOST_CELL_CHARACTERS:
                raise AnnotationError(
                    f"{places[0]}: a cell has {len(cell)} characters; "
                    f"{MOST_CELL_CHARACTERS} are the most"
                )
            escaped = cell.replace('"', '""')
            if '"' in cell and f'"{escaped}"' not in text:
                raise AnnotationError(
                    f"{places[0]}: a quote within {quoted(cell)}; put the cell in quotes and "
                    "double those that it holds"
                )
        if text.strip():
            yield places[-1], [cell.strip() for cell in row]
        raw.clear()
        places.clear()


def _physical_lines(
    path: Path, skip: Callable[[bytes], bool] | None = None
) -> Iterator[tuple[str, str]]:
    """Yields (place, text) of every line, without its end."""
    check_regular(path, MOST_TEXT_BYTES)
    with reading(path), path.open("rb") as file:
        yield from _checked_lines(path, file, skip)


def _checked_lines(
    path: Path, file: IO[bytes], skip: Callable[[bytes], bool] | None
) -> Iterator[tuple[str, str]]:
    before = end = 0
    # One by one: a list of frames has millions of them.
    for number, ended in enumerate(file, start=1):
        before, end = end, end + len(ended)
        if skip is not None and skip(ended):
            continue
        place = f"{path}, line {number}"
        try:
            line = ended.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise AnnotationError(
                f"{path}: not UTF-8 text ({error.reason} at byte {before + error.start})"
            ) from error
        line = line.removesuffix("\n").removesuffix("\r")
        if len(line) > MOST_LINE_CHARACTERS:
            raise AnnotationError(
                f"{place}: {len(line)} characters; {MOST_LINE_CHARACTERS} are the most of a line"
            )
        found = CONTROL_CHARACTER.search(line.replace("\t", " "))
        if found:
            raise AnnotationError(
                f"{place}: the control character U+{ord(found[0]):04X} at column "
                f"{found.start() + 1}; remove it"
            )
        yield place, line


def read_labels(path: Path) -> tuple[str, ...]:
    """Names in label order from a CSV of `id,name` with a header line.

    Rows may stand in any order, and the file may begin with a byte-order mark and hold blank lines.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: a row without id or name or with more cells than the header, a name that
            repeats or that `check_name` refuses, or ids that are not 0 to n-1.
    """
    names: dict[int, str] = {}
    places: dict[str, str] = {}
    rows = csv_rows(path)
    _, header = next(rows, ("", []))
    if header and header[0].isdecimal():
        raise AnnotationError(f"{path}: the first line is {quoted(','.join(header))}, no header")
    if len(header) > 2 and [cell.casefold() for cell in header[:2]] != ["id", "name"]:
        # Or what is in the second column would be taken for the names.
        raise AnnotationError(
            f"{path}: the columns are {quoted(','.join(header))}; expected id,name"
        )
    for place, row in rows:
        if len(row) > max(len(header), 2):
            raise AnnotationError(
                f"{place}: {len(row)} cells, the header has {len(header)}; "
                "a cell that holds a comma needs quotes"
            )
        if len(row) < 2 or not row[0].isdecimal() or not row[1]:
            raise AnnotationError(f"{place}: expected `id,name`, found {quoted(','.join(row))}")
        number, name = read_number(row[0], place=place, what="id"), row[1]
        check_name(name, place, "label")
        if number in names:
            raise AnnotationError(
                f"{place}: the id {number} was given to {quoted(names[number])} before"
            )
        if name in places:
            raise AnnotationError(
                f"{place}: the name {quoted(name)} was given before, at {places[name]}"
            )
        names[number], places[name] = name, place
    if not names:
        raise AnnotationError(f"{path} holds no labels; expected a header line and rows `id,name`")
    if sorted(names) != list(range(len(names))):
        raise AnnotationError(
            f"{path}: the ids of {len(names)} labels are not 0 to {len(names) - 1}"
        )
    return tuple(names[number] for number in range(len(names)))


class Spelling:
    """How labels are spelled: finds a label by a name that may differ from it in case."""

    def __init__(self, names: Sequence[str] | None) -> None:
        """`names` of the labels; None takes every name as it is."""
        self._exact = frozenset(names or ())
        self._by_folded = {name.casefold(): name for name in names or ()}

    def __contains__(self, name: str) -> bool:
        return name in self._exact or name.casefold() in self._by_folded

    def of(self, name: str) -> str:
        """The label of this name, or the name itself where there is none."""
        return name if name in self._exact else self._by_folded.get(name.casefold(), name)

    def require(self, name: str, place: str, what: str) -> str:
        """The label of this name.

        Raises:
            AnnotationError: there is none.
        """
        if name not in self:
            raise AnnotationError(
                f"{place}: the {what} {quoted(name)} is not among the "
                f"{len(self._exact)} {what} labels"
            )
        return self.of(name)


def read_number(text: str, *, place: str, what: str) -> int:
    """The whole number that a text from an annotation is.

    Raises:
        AnnotationError: it is none, or a very large one.
    """
    if not text.isdecimal() or not text.isascii() or len(text) > MOST_DIGITS:
        raise AnnotationError(
            f"{place}: the {what} {quoted(text)} is not a number of at most {MOST_DIGITS} digits"
        )
    return int(text)


def label_at(names: Sequence[str], number: str, *, place: str, what: str) -> str:
    """The name with the id `number`, which is text from an annotation.

    Raises:
        AnnotationError: it is not a number, or no label has it.
    """
    wanted = read_number(number, place=place, what=f"{what} id")
    if wanted >= len(names):
        raise AnnotationError(
            f"{place}: the {what} id {wanted} is unknown; "
            f"there are {len(names)} (0 to {len(names) - 1})"
        )
    return names[wanted]
