"""Files of class names."""

import os
import pathlib
import re

from animal_clip_jax.errors import MissingFileError, UserError
from animal_clip_jax.files import check_is_file
from data_pipeline.annotations.label_files import numbered_lines, read_labels
from data_pipeline.names import name_problem


def read_names(path: str | os.PathLike[str]) -> list[str]:
    """Class names, in label order.

    Args:
        path: a file of one name a line, such as `actions.txt` and `animals.txt` of a converted
            dataset; or, if it ends in .csv, of `id,name` with a header line.

    Raises:
        MissingFileError: there is no such file.
        UserError: it is not UTF-8, holds no name, a name several times, or one that cannot be a
            label; one line for each.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise MissingFileError(f"there is no file of labels at {path}", path)
    check_is_file(path, "a file of labels")
    if path.suffix.lower() == ".csv":
        return list(read_labels(path))
    places: dict[str, str] = {}
    problems = []
    for place, name in numbered_lines(path):
        problem = name_problem(name, "label")
        if problem:
            problems.append(f"{place}: {problem}")
        elif not places and re.fullmatch(r"id\s*,\s*name", name, re.IGNORECASE):
            raise UserError(
                f"{place}: {name!r} is the header of a CSV file, which is read as one if its name "
                "ends in .csv; expected one name a line"
            )
        elif name in places:
            problems.append(f"{place}: the name {name!r} was given before, at {places[name]}")
        else:
            places[name] = place
    if problems:
        raise UserError("\n".join(problems))
    if not places:
        raise UserError(f"{path} holds no names; expected one a line")
    return list(places)
