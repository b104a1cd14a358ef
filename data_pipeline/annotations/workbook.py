"""Rows of a workbook of Excel's that somebody else has made.

openpyxl reads it. Before that, its parts are looked through for what openpyxl would believe, lose
in silence or never come to an end of.
"""

import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from xml.parsers import expat

from animal_clip_jax.errors import quoted, shortened
from data_pipeline.annotations.label_files import check_regular, reading
from data_pipeline.annotations.record import AnnotationError
from data_pipeline.limits import (
    MOST_CELL_CHARACTERS,
    MOST_WORKBOOK_BYTES,
    MOST_WORKBOOK_COLUMNS,
    MOST_WORKBOOK_ROWS,
)

# What unpacking raises of an archive that is cut, damaged, encrypted or packed in a rare way.
DAMAGED_ARCHIVE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError)
CELL = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")


class Workbook:
    """A workbook whose sheets are read one after the other; it is checked and opened once.

    Attributes:
        path: the file.
        sheets: names of its sheets.
    """

    def __init__(self, path: Path) -> None:
        """Opens `path`.

        Raises:
            FileNotFoundError: there is no such file.
            AnnotationError: it is no workbook, damaged or very large.
        """
        # Here, not above: other data sets do without.
        import openpyxl

        self.path = path
        _check(path)
        try:
            self._book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        except Exception as error:  # it may be any: the file is not what openpyxl takes it for
            raise _damaged(path, error) from error
        self.sheets = tuple(self._book.sheetnames)

    def __enter__(self) -> "Workbook":
        return self

    def __exit__(self, *_: object) -> None:
        self._book.close()

    def rows(
        self, sheet: str, columns: Sequence[str], *, errors_in: Collection[str] = ()
    ) -> Iterator[tuple[str, dict[str, object]]]:
        """Yields (place, values of the columns) of every row after the header.

        Args:
            sheet: the name of one of the sheets.
            columns: headers, compared without regard to case.
            errors_in: columns in which Excel's errors, such as "#N/A", are values.

        Raises:
            AnnotationError: the sheet or a column is missing, a column is there twice, or a cell is
                damaged, very long or an error.
        """
        from openpyxl.cell.cell import ERROR_CODES

        if sheet not in self.sheets:
            raise AnnotationError(
                f"{self.path} has no sheet {sheet!r}; it has {shortened(', '.join(self.sheets))}"
            )
        numbered = _values(self._book, sheet, self.path)
        _, first = next(numbered, (1, ()))
        header = [cell_text(cell).casefold() for cell in first]
        for name in columns:
            if header.count(name) != 1:
                count = "no column" if name not in header else "more than one column"
                raise AnnotationError(
                    f"{self.path}, sheet {sheet}: {count} {name!r}; there are "
                    f"{shortened(', '.join(filter(None, header)))}"
                )
        position = {name: header.index(name) for name in columns}
        for number, row in numbered:
            place = f"{self.path}, sheet {sheet}, row {number}"
            values = {
                name: row[column] if column < len(row) else None
                for name, column in position.items()
            }
            for name, value in values.items():
                if not isinstance(value, str):
                    continue
                if value in ERROR_CODES and name not in errors_in:
                    raise AnnotationError(f"{place}: the {name} is Excel's error {value}")
                if len(value) > MOST_CELL_CHARACTERS:
                    raise AnnotationError(
                        f"{place}: the {name} has {len(value)} characters; "
                        f"{MOST_CELL_CHARACTERS} are the most"
                    )
            yield place, values


def sheet_rows(
    workbook: Path, sheet: str, columns: Sequence[str]
) -> Iterator[tuple[str, dict[str, object]]]:
    """`Workbook.rows` of one sheet of a file.

    Raises:
        FileNotFoundError, AnnotationError: as `Workbook` and its `rows`.
    """
    with Workbook(workbook) as book:
        yield from book.rows(sheet, columns)


def is_error(value: object) -> bool:
    """Whether a cell holds an error of Excel's, such as "#N/A"."""
    from openpyxl.cell.cell import ERROR_CODES

    return isinstance(value, str) and value in ERROR_CODES


def cell_text(cell: object) -> str:
    """A cell as text, without escapes such as _x000D_; a whole number has no decimal point."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    text = str(cell)
    if "_x" in text:
        from openpyxl.utils.escape import unescape

        text = unescape(text)
    return text.strip()


def _values(book, sheet: str, workbook: Path) -> Iterator[tuple[int, tuple]]:
    """Yields the number and the values of every row."""
    try:
        # Programs other than Excel write a dimension that is wrong, and rows beyond it are lost.
        book[sheet].reset_dimensions()
        rows = book[sheet].iter_rows(values_only=True, max_col=MOST_WORKBOOK_COLUMNS)
    except Exception as error:
        raise _damaged(workbook, error) from error
    number = 0
    while True:
        number += 1
        try:
            row = next(rows, None)
        except Exception as error:
            raise _damaged(f"{workbook}, sheet {sheet}, row {number}", error) from error
        if row is None:
            return
        yield number, row


def _check(workbook: Path) -> None:
    """Refuses what openpyxl would not notice; see `_check_part`.

    Raises:
        FileNotFoundError, AnnotationError: as `sheet_rows`.
    """
    check_regular(workbook, MOST_WORKBOOK_BYTES)
    with reading(workbook):
        workbook.open("rb").close()
    try:
        with zipfile.ZipFile(workbook) as archive:
            parts = archive.infolist()
            names = Counter(part.filename for part in parts)
            if len(names) < len(parts):
                # Programs differ in which of them they read.
                twice = names.most_common(1)[0][0]
                raise AnnotationError(f"{workbook} has the part {quoted(twice)} more than once")
            size = sum(part.file_size for part in parts)
            if size > MOST_WORKBOOK_BYTES:
                raise AnnotationError(
                    f"{workbook} unpacks to {size} bytes; {MOST_WORKBOOK_BYTES} are the most"
                )
            for part in parts:
                _check_part(archive, part, workbook)
    except AnnotationError:
        raise
    except DAMAGED_ARCHIVE as error:
        raise _damaged(workbook, error) from error


def _check_part(archive: zipfile.ZipFile, part: zipfile.ZipInfo, workbook: Path) -> None:
    """One part of a workbook: whole, well-formed, without entities, its rows and cells in order.

    openpyxl drops a row whose number is not larger than that of the row before it, and makes up all
    rows that are missing between two.
    """
    place = f"{workbook}, {quoted(part.filename)}"
    with archive.open(part) as file:
        start = file.read(64).lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")
    if not start.startswith(b"<") and not part.filename.endswith((".xml", ".rels")):
        return  # a picture, for instance
    row = column = 0

    def refuse_document_type(*_: object) -> None:
        raise AnnotationError(f"{place} declares a document type, which no workbook needs")

    def check_element(name: str, attributes: dict[str, str]) -> None:
        nonlocal row, column
        kind = name.rpartition(":")[2]
        if kind == "row":
            text = attributes.get("r", str(row + 1))
            if not text.isdecimal() or len(text) > 7 or not row < int(text) <= MOST_WORKBOOK_ROWS:
                raise AnnotationError(
                    f"{place}: the row {quoted(text)} comes after row {row}; expected a larger "
                    f"number, up to {MOST_WORKBOOK_ROWS}"
                )
            row, column = int(text), 0
        elif kind == "c" and "r" in attributes:
            match = CELL.fullmatch(attributes["r"])
            here = _column_number(match[1]) if match else 0
            if not match or int(match[2]) != row or here <= column:
                raise AnnotationError(
                    f"{place}: the cell {quoted(attributes['r'])} is out of order in row {row}"
                )
            column = here

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse_document_type
    if "worksheets" in part.filename:
        parser.StartElementHandler = check_element
    try:
        with archive.open(part) as file:
            parser.ParseFile(file)
    except expat.ExpatError as error:
        raise AnnotationError(f"{place} is damaged ({error})") from error


def _column_number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _damaged(place: str | Path, error: Exception) -> AnnotationError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return AnnotationError(f"{place} is not a workbook of Excel's, or damaged ({reason})")
