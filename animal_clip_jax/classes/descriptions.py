"""The texts that stand for each class: read from a file, from templates, or the name alone.

Every source returns one list of texts a class, in label order, all of the same length Q. The text
tower turns them into one feature a class: the elementwise maximum over its Q text features.
"""

import collections
import difflib
import os
from collections.abc import Sequence
from typing import Literal

from animal_clip_jax.classes.file_errors import SHOWN, FileErrors, csv_rows
from animal_clip_jax.errors import LONGEST_QUOTE, MissingFileError, UserError, quoted
from data_pipeline.names import shows_nothing

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
        raise UserError(f"kind must be one of {', '.join(TEMPLATES)}, got {kind!r}")
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
      ValueError: the file does not hold Q texts for exactly these classes. The message lists all
        that is wrong (the first 20), each with its line.
    """
    _check_class_names(class_names)
    errors = FileErrors(path)
    if not errors.path.exists() or errors.path.is_dir():
        raise MissingFileError(f"there is no description file at {errors.path}")
    known = frozenset(class_names)
    rows, is_whole = csv_rows(errors)
    if not rows and is_whole:
        raise UserError(
            f"{errors.path} is empty: expected a header line, then rows of class name, text"
        )
    if rows and rows[0][1][0] in known:
        line, row = rows[0]
        errors.add(
            f"expected a header, found a row of class {row[0]!r}, put a line with the two column "
            "names first",
            line,
        )
    else:
        del rows[:1]
    texts: dict[str, list[str]] = {}
    first_line: dict[str, int] = {}
    previous = None
    for line, row in rows:
        name = row[0]
        if name not in known:
            # Once for rows that stand together.
            if name != previous:
                close = (
                    []
                    if errors.are_many or len(name) > LONGEST_QUOTE
                    else difflib.get_close_matches(name, class_names, n=1)
                )
                hint = f", did you mean {close[0]!r}?" if close else ""
                errors.add(f"class {quoted(name)} is not one of the labels{hint}", line)
            previous = name
            continue
        if name != previous and name in texts:
            errors.add(
                f"class {name!r} appears again (first on line {first_line[name]}), the rows of a "
                "class must stand together",
                line,
            )
        previous = name
        first_line.setdefault(name, line)
        # A row with an error of its own is no missing row.
        texts.setdefault(name, []).append(row[1] if len(row) > 1 else "")
        if len(row) != 2:
            errors.add(
                f"expected 2 columns (class name, text), found {len(row)}, a text with a comma in "
                "it must be in double quotes",
                line,
            )
        elif shows_nothing(row[1]):
            errors.add(f"the text of class {name!r} is empty", line)
    if is_whole:
        _check_complete(errors, texts, first_line, class_names)
    errors.check()
    return [texts[name] for name in class_names]


def _check_complete(
    errors: FileErrors,
    texts: dict[str, list[str]],
    first_line: dict[str, int],
    class_names: Sequence[str],
) -> None:
    missing = [name for name in class_names if name not in texts]
    if missing:
        shown = ", ".join(map(repr, missing[:SHOWN]))
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        errors.add(f"no text for {len(missing)} of the {len(class_names)} classes: {shown}{more}")
    if not texts:
        return
    counts = collections.Counter(map(len, texts.values()))
    usual = counts.most_common(1)[0][0]
    example = next(name for name in texts if len(texts[name]) == usual)
    for name, of_class in texts.items():
        if len(of_class) != usual:
            errors.add(
                f"class {name!r} has {len(of_class)} text(s), expected {usual} as for "
                f"{example!r}, every class needs the same number",
                first_line[name],
            )


def _check_class_names(class_names: Sequence[str]) -> None:
    if not class_names:
        raise UserError("there are no class names")
    for index, name in enumerate(class_names):
        if not name.strip():
            raise UserError(f"the name of class {index} is empty")
    name, count = collections.Counter(class_names).most_common(1)[0]
    if count > 1:
        raise UserError(f"class name {name!r} occurs {count} times; names must be distinct")
