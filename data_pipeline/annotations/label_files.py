"""Reading the small files that annotations are distributed in."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from animal_clip_jax.errors import MissingFileError, UserError
from animal_clip_jax.files import cannot_read
from data_pipeline.annotations.record import AnnotationError


def find_file(folders: Sequence[Path], names: Sequence[str], what: str) -> Path:
    """The first of `names` that is a file in one of `folders`.

    Raises:
        FileNotFoundError: there is none; the message lists the names and folders tried.
    """
    for folder in folders:
        for name in names:
            if (folder / name).is_file():
                return folder / name
    raise MissingFileError(
        f"no {what}: none of {', '.join(names)} is in {' or '.join(map(str, folders))}"
    )


def has_file(folders: Sequence[Path], names: Sequence[str]) -> bool:
    """Whether `find_file` would find one."""
    return any((folder / name).is_file() for folder in folders for name in names)


def find_folder(source: Path, names: Sequence[str], what: str) -> Path:
    """The first of `names` that is a folder in `source`.

    Raises:
        FileNotFoundError: `source` is not a folder, or holds none of them.
    """
    if not source.is_dir():
        raise MissingFileError(f"the source folder {source} does not exist", source)
    for name in names:
        if (source / name).is_dir():
            return source / name
    raise MissingFileError(f"no {what}: {source} has no folder {' or '.join(names)}")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What goes wrong with the file while it is read becomes an error that names it.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: it is not UTF-8 text, or not the CSV that it is read as.
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
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"{path}: not UTF-8 text ({error.reason} at byte {error.start})"
        ) from error
    except csv.Error as error:
        raise AnnotationError(f"{path}: not a CSV ({error})") from error


def numbered_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yields (place, text) of every line that is not blank, such as ("train.txt, line 3", "...").

    A byte-order mark, line ends of either kind and space around a line are dropped.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: the file is not UTF-8 text.
    """
    with reading(path):
        text = path.read_text(encoding="utf-8-sig")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{path}, line {number}", line.strip()


def read_labels(path: Path) -> tuple[str, ...]:
    """Names in label order from a CSV of `id,name` with a header line.

    Rows may stand in any order, and the file may begin with a byte-order mark and hold blank lines.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: a row without id or name, a repeated name, or ids that are not 0 to n-1.
    """
    names: dict[int, str] = {}
    lines = numbered_lines(path)
    next(lines, None)  # the header
    for place, line in lines:
        with reading(path):
            row = [cell.strip() for cells in csv.reader([line]) for cell in cells]
        if len(row) < 2 or not row[0].isdecimal() or not row[1]:
            raise AnnotationError(f"{place}: expected `id,name`, found {line!r}")
        number, name = int(row[0]), row[1]
        if number in names:
            raise AnnotationError(f"{place}: the id {number} was given to {names[number]!r} before")
        if name in names.values():
            raise AnnotationError(f"{place}: the name {name!r} was given before")
        names[number] = name
    if sorted(names) != list(range(len(names))) or not names:
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
                f"{place}: the {what} {name!r} is not among the {len(self._exact)} {what} labels"
            )
        return self.of(name)


def label_at(names: Sequence[str], number: str, *, place: str, what: str) -> str:
    """The name with the id `number`, which is text from an annotation.

    Raises:
        AnnotationError: it is not a number, or no label has it.
    """
    if not number.isdecimal():
        raise AnnotationError(f"{place}: the {what} id {number!r} is not a number")
    if int(number) >= len(names):
        raise AnnotationError(
            f"{place}: the {what} id {number} is unknown; "
            f"there are {len(names)} (0 to {len(names) - 1})"
        )
    return names[int(number)]
