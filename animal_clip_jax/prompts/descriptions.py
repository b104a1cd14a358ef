"""The texts that stand for each class: read from a file, from templates, or the name alone.

Every source returns one list of texts a class, in label order, all of the same length Q. The text
tower turns them into one feature a class: the elementwise maximum over its Q text features.
"""

import collections
import csv
import difflib
import io
import os
import pathlib
from collections.abc import Sequence
from typing import Literal

# "{}" is the class name as it is in the labels. Animal names come with and without a plural or a
# capital, so no template puts an indefinite article before one.
TEMPLATES = {
    "action": (
        "an animal {}.",
        "a video of an animal {}.",
        "wildlife footage that shows {}.",
        "what the animal does in this clip is {}.",
        "animal behaviour: {}.",
    ),
    "animal": (
        "the animal {}.",
        "a video of the {}.",
        "wildlife footage of the {} in its habitat.",
        "the animal that moves in this clip is the {}.",
        "animal species: {}.",
    ),
}


def name_texts(class_names: Sequence[str]) -> list[list[str]]:
    """Returns each class's name as its only text (Q = 1)."""
    _check_class_names(class_names)
    return [[name] for name in class_names]


def template_texts(
    class_names: Sequence[str], kind: Literal["action", "animal"]
) -> list[list[str]]:
    """Returns each class's name in every template of its kind, in the order of ``TEMPLATES``.

    Raises:
      ValueError: ``kind`` is neither "action" nor "animal", or the names are not usable labels.
    """
    if kind not in TEMPLATES:
        raise ValueError(f"kind must be one of {', '.join(TEMPLATES)}, got {kind!r}")
    _check_class_names(class_names)
    return [[template.format(name) for template in TEMPLATES[kind]] for name in class_names]


def read_descriptions(path: str | os.PathLike[str], class_names: Sequence[str]) -> list[list[str]]:
    """Reads a description file in the published format.

    The file is UTF-8 CSV: a header line, then two columns, class name and text, with Q rows a class
    (any Q ≥ 1, the same for all). The rows of a class stand together; the classes may come in any
    order. Names must be those of the labels, up to white space around them. Rows
    without any text are skipped.

      action,description
      Walking,"The animal moves at a steady pace, one foot always on the ground."

    Args:
      path: the CSV file.
      class_names: the C labels, in label order.

    Returns:
      C lists of Q texts, in label order; the texts of a class are in the order of the file.

    Raises:
      FileNotFoundError: there is no file at ``path``.
      ValueError: the file does not hold Q texts for exactly these classes. The message names the
        file, the line and the class.
    """
    _check_class_names(class_names)
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no description file at {path}")
    known = frozenset(class_names)
    texts: dict[str, list[str]] = {}
    first_line: dict[str, int] = {}
    previous = None
    for line, row in _rows(path, known):
        where = f"{path}, line {line}"
        if len(row) != 2:
            raise ValueError(
                f"{where}: expected 2 columns (class name, text), found {len(row)}; a text with a "
                "comma in it must be in double quotes"
            )
        name, text = (field.strip() for field in row)
        if name not in known:
            close = difflib.get_close_matches(name, class_names, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"{where}: class {name!r} is not one of the labels{hint}")
        if not text:
            raise ValueError(f"{where}: the text of class {name!r} is empty")
        if name != previous and name in texts:
            raise ValueError(
                f"{where}: class {name!r} appears a second time (first on line "
                f"{first_line[name]}); the rows of a class must stand together"
            )
        previous = name
        first_line.setdefault(name, line)
        texts.setdefault(name, []).append(text)
    _check_complete(path, texts, first_line, class_names)
    return [texts[name] for name in class_names]


def _rows(path: pathlib.Path, known: frozenset[str]) -> list[tuple[int, list[str]]]:
    """Returns the rows after the header, without blank ones, each with its first line's number."""
    content = path.read_bytes()
    try:
        decoded = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, line {line}: not UTF-8 ({error.reason}); save the file as UTF-8"
        ) from error
    # strict: else a quote that is never closed swallows the rest of the file without a word.
    reader = csv.reader(io.StringIO(decoded, newline=""), strict=True, skipinitialspace=True)
    rows = []
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise ValueError(
                f"{path}: the row that begins on line {line} is not valid CSV: {error}"
            ) from error
        if any(field.strip() for field in row):
            rows.append((line, row))
    if not rows:
        raise ValueError(f"{path} is empty: expected a header line, then rows of class name, text")
    line, header = rows.pop(0)
    if header[0].strip() in known:
        raise ValueError(
            f"{path}, line {line}: expected a header, found a row of class {header[0].strip()!r}; "
            "put a line with the two column names first"
        )
    return rows


def _check_complete(
    path: pathlib.Path,
    texts: dict[str, list[str]],
    first_line: dict[str, int],
    class_names: Sequence[str],
) -> None:
    missing = [name for name in class_names if name not in texts]
    if missing:
        shown = ", ".join(map(repr, missing[:5])) + (", ..." if len(missing) > 5 else "")
        raise ValueError(
            f"{path}: no text for {len(missing)} of the {len(class_names)} classes: {shown}"
        )
    counts = collections.Counter(len(texts[name]) for name in class_names)
    usual = counts.most_common(1)[0][0]
    example = next(name for name in class_names if len(texts[name]) == usual)
    for name in class_names:
        if len(texts[name]) != usual:
            raise ValueError(
                f"{path}, line {first_line[name]}: class {name!r} has {len(texts[name])} text(s), "
                f"expected {usual} as for {example!r}; every class needs the same number"
            )


def _check_class_names(class_names: Sequence[str]) -> None:
    if not class_names:
        raise ValueError("there are no class names")
    for index, name in enumerate(class_names):
        if not name.strip():
            raise ValueError(f"the name of class {index} is empty")
    name, count = collections.Counter(class_names).most_common(1)[0]
    if count > 1:
        raise ValueError(f"class name {name!r} occurs {count} times; names must be distinct")
