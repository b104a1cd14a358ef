"""The finished file of descriptions."""

import csv
import os
import pathlib
from collections.abc import Mapping, Sequence

from animal_clip_jax.classes.descriptions import read_descriptions
from animal_clip_jax.classes.writing.questions import Kind
from animal_clip_jax.errors import MissingFileError, UserError


def check_output(path: pathlib.Path, *, overwrite: bool) -> None:
    """Checks that a file can be written at `path`.

    Raises:
        FileNotFoundError: its folder does not exist.
        ValueError: it is a folder, or exists and may not be replaced.
    """
    if not path.parent.is_dir():
        raise MissingFileError(f"{path.parent}: no such folder; create it first")
    if path.is_dir():
        raise UserError(f"{path} is a folder; --output is the file to write")
    if path.exists() and not overwrite:
        raise UserError(f"{path}: already exists; --overwrite replaces it")


def write_descriptions(path: pathlib.Path, kind: Kind, texts: Mapping[str, Sequence[str]]) -> None:
    """Writes a description file whole: until it is, there is none (or the former) at `path`.

    Args:
        path: the CSV file.
        kind: "action" or "animal", the title of the first column.
        texts: class -> as many texts for each.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            # A reader takes a first line that begins with a class for a row.
            rows.writerow(["class name" if kind in texts else kind, "description"])
            rows.writerows([name, text] for name in texts for text in texts[name])
            file.flush()
            os.fsync(file.fileno())
        if read_descriptions(unfinished, list(texts)) != [list(rows) for rows in texts.values()]:
            raise UserError(f"{unfinished} does not read as it was written")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
