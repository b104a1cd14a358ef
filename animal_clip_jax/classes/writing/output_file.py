"""The finished file of descriptions."""

import csv
import io
import pathlib
from collections.abc import Mapping, Sequence

from animal_clip_jax.classes.descriptions import read_descriptions
from animal_clip_jax.classes.writing.questions import Kind
from animal_clip_jax.errors import AlreadyThereError, MissingFileError, UserError
from animal_clip_jax.files import Path, write_whole


def check_output(path: pathlib.Path, *, overwrite: bool) -> None:
    """Checks that a file can be written at `path`.

    Raises:
        MissingFileError: its folder does not exist.
        UserError: it is a folder, or exists and may not be replaced.
    """
    if not path.parent.is_dir():
        raise MissingFileError(f"{path.parent}: no such folder; create it first", path.parent)
    if path.is_dir():
        raise UserError(f"{path} is a folder; --output is the file to write")
    if path.exists() and not overwrite:
        raise AlreadyThereError(f"{path}: already exists; --overwrite replaces it")


def write_descriptions(path: pathlib.Path, kind: Kind, texts: Mapping[str, Sequence[str]]) -> None:
    """Writes a description file whole, and only if it reads as it was written.

    Args:
        path: the CSV file.
        kind: "action" or "animal", the title of the first column.
        texts: class -> as many texts for each.
    """
    content = io.StringIO()
    rows = csv.writer(content, lineterminator="\n")
    # A reader takes a first line that begins with a class for a row.
    rows.writerow(["class name" if kind in texts else kind, "description"])
    rows.writerows([name, text] for name in texts for text in texts[name])

    def check(written: Path) -> None:
        if read_descriptions(written, list(texts)) != [list(rows) for rows in texts.values()]:
            raise ValueError(f"{written} does not read as it was written")

    write_whole(path, content.getvalue(), check=check)
