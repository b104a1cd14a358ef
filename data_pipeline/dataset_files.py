"""The small files of a converted dataset: their names, and reading them checked.

TensorFlow is not needed here.
"""

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence

from etils import epath

from animal_clip_jax.digests import seal_holds
from animal_clip_jax.errors import MissingFileError, UserError, quoted, shortened
from animal_clip_jax.files import as_path, cannot_read, is_file
from data_pipeline.limits import MOST_TEXT_BYTES
from data_pipeline.names import name_problem

FORMAT_VERSION = 3
# Those of before it may lack digests.
_FIRST_WITH_DIGESTS = 2
# Those of before it know nothing of bouts, individuals and groups.
FIRST_WITH_BOUTS = 3
TRAIN_SPLIT = "train"
DATASET_FILE = "dataset.json"
CLIPS_FILE = "clips.csv"
RELATION_FILE = "relation.csv"
ACTIONS_FILE = "actions.txt"
ANIMALS_FILE = "animals.txt"
COUNTS_FILE = "counts.csv"
FAILURES_FILE = "failures.csv"
UNANNOTATED_FILE = "unannotated_videos.csv"
REPAIRS_FILE = "repairs.csv"
READ_ME_FILE = "README.txt"
RELATION_COLUMNS = ("animal", "action", "clips")
# A field of its description: of the files beside it, by their names.
FILE_DIGESTS = "files_sha256"
# Fields too: "head", "middle" or "tail" of each action, or none of any, and who says so.
ACTION_SEGMENTS = "action_segments"
SEGMENTS_SOURCE = "segments_source"
SMALL_FILES = (
    *(ACTIONS_FILE, ANIMALS_FILE, CLIPS_FILE, RELATION_FILE),
    *(COUNTS_FILE, FAILURES_FILE, UNANNOTATED_FILE, REPAIRS_FILE, READ_ME_FILE),
    # Of TensorFlow Datasets.
    *("dataset_info.json", "features.json", "actions.labels.txt", "animals.labels.txt"),
)
# They only describe the conversion: whoever notes something in one of them harms nothing.
UNCHECKED_FILES = frozenset(
    (COUNTS_FILE, FAILURES_FILE, UNANNOTATED_FILE, REPAIRS_FILE, READ_ME_FILE)
)


class DatasetError(UserError):
    """A folder that is not a whole converted dataset: what is wrong and what to do."""


def has_digests(directory: str | os.PathLike) -> bool:
    """Whether changes of its small files would be noticed: not in datasets of older versions.

    Raises:
        FileNotFoundError, DatasetError: the folder is no converted dataset.
    """
    return FILE_DIGESTS in read_description(as_path(directory))


def file_digests(directory: str | os.PathLike) -> dict[str, str]:
    """SHA-256 in hexadecimal of each of `SMALL_FILES` that is there."""
    paths = {name: as_path(directory) / name for name in SMALL_FILES}
    return {
        name: hashlib.sha256(read_whole(path)).hexdigest()
        for name, path in paths.items()
        if is_file(path)
    }


def changed_files(directory: str | os.PathLike) -> list[str]:
    """The small files of a finished conversion that are not, or not known to be, as it wrote them.

    Raises:
        DatasetError: it has no description.
    """
    folder = as_path(directory)
    path = folder / DATASET_FILE
    description = parse_description(read_whole(path), path)
    if FILE_DIGESTS not in description or not _is_as_written(description):
        return [DATASET_FILE]
    written, found = description[FILE_DIGESTS], file_digests(folder)
    return [name for name in written if written[name] != found.get(name)]


def _is_as_written(description: dict) -> bool:
    is_sealed = description["format_version"] >= _FIRST_WITH_DIGESTS
    return seal_holds(description, is_sealed=is_sealed)


def parse_description(text: bytes, path: str | os.PathLike) -> dict:
    """The content of a `dataset.json`, of a conversion that has finished or has not.

    Its digest is not looked at.

    Raises:
        DatasetError: it is something else, or of another version.
    """
    try:
        description = json.loads(text)
    except (ValueError, RecursionError):
        description = None
    if not isinstance(description, dict) or not {"format_version", "complete"} <= set(description):
        raise DatasetError(
            f"{path} is not the description of a converted dataset, or damaged: restore it, or "
            "remove the folder and convert again"
        )
    version = description["format_version"]
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise DatasetError(
            f"{path} has format version {quoted(version)}, this program reads up to "
            f"{FORMAT_VERSION}; convert again"
        )
    types: dict[str, type] = {
        **{"complete": bool, "name": str, "multi_label": bool, "short_side": int},
        "max_frames": int,
    }
    if description["complete"] is True:
        types["splits"] = dict
    if FILE_DIGESTS in description:
        types[FILE_DIGESTS] = dict
    if version >= FIRST_WITH_BOUTS:
        types |= {ACTION_SEGMENTS: list, SEGMENTS_SOURCE: str}
    for key, kind in types.items():
        if type(description.get(key)) is not kind:
            found = shortened(json.dumps(description[key])) if key in description else "nothing"
            raise DatasetError(
                f"{path}: {key} is {found}, expected {_IN_WORDS[kind]}; convert again"
            )
    splits = description.get("splits", {})
    if not all(type(size) is int and size > 0 for size in splits.values()):
        raise DatasetError(f"{path}: the splits are {shortened(str(splits))}; convert again")
    return description


_IN_WORDS: dict[type, str] = {
    bool: "true or false",
    str: "a text",
    int: "a whole number",
    dict: "values by name",
    list: "a list",
}


def read_whole(path: epath.Path) -> bytes:
    if not is_file(path):
        raise DatasetError(f"{path.parent} is not a converted dataset: it has no {path.name}")
    try:
        size = path.stat().length
        if size > MOST_TEXT_BYTES:
            raise DatasetError(f"{path} has {size} bytes; {MOST_TEXT_BYTES} are the most")
        return path.read_bytes()
    except OSError as error:
        raise cannot_read(path, error) from error


def read_file(folder: epath.Path, name: str, description: dict) -> bytes:
    """A file beside the shards, which is the one that the conversion has written."""
    digests = description.get(FILE_DIGESTS, {})
    if name != os.path.basename(name):
        raise DatasetError(f"{folder / DATASET_FILE}: {quoted(name)} is no name of a file")
    path = folder / name
    if not is_file(path):
        raise DatasetError(
            f"{folder} is not a whole converted dataset: it has no {name}; "
            "run the same conversion again to mend it"
        )
    content = read_whole(path)
    if FILE_DIGESTS in description and digests.get(name) != hashlib.sha256(content).hexdigest():
        raise DatasetError(
            f"{path} was changed or damaged after the conversion: its SHA-256 is not the one in "
            f"{DATASET_FILE}; run the same conversion again to mend it"
        )
    return content


def is_left_out(name: str, description: dict) -> bool:
    """Whether a conversion wrote no such file, having nothing to write into it."""
    is_new = description["format_version"] >= FIRST_WITH_BOUTS
    return is_new and FILE_DIGESTS in description and name not in description[FILE_DIGESTS]


def read_text(folder: epath.Path, name: str, description: dict) -> str:
    try:
        return read_file(folder, name, description).decode()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{folder / name} is not UTF-8 text; convert again") from error


def read_rows(
    folder: epath.Path, name: str, columns: Sequence[str], description: dict
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields (place, cells by column) of every row of a CSV beside the shards."""
    path = folder / name
    text = read_text(folder, name, description)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise DatasetError(
                f"{path}, line {reader.line_num}: not a row of a CSV ({error}); convert again"
            ) from error
        if row is None and header is not None:
            return
        if header is None:
            header = row or []
            if tuple(header) != tuple(columns):
                raise DatasetError(
                    f"{path}: the columns are {quoted(','.join(header))}, expected "
                    f"{','.join(columns)}; convert again"
                )
        elif row is not None:
            place = f"{path}, line {reader.line_num}"
            if len(row) != len(columns):
                raise DatasetError(
                    f"{place}: {len(row)} cells, expected {len(columns)}; convert again"
                )
            yield place, dict(zip(columns, row, strict=True))


def read_description(directory: epath.Path) -> dict:
    if not directory.is_dir():
        raise MissingFileError(
            f"the dataset folder {directory} does not exist; "
            "make it with `animal-clip convert-videos`",
            directory,
        )
    path = directory / DATASET_FILE
    if not is_file(path):
        raise DatasetError(
            f"{directory} is not a converted dataset: it has no {DATASET_FILE}; "
            "make one with `animal-clip convert-videos`"
        )
    description = parse_description(read_whole(path), path)
    if not _is_as_written(description):
        raise DatasetError(
            f"{path} was changed or damaged after the conversion; run the same conversion again to "
            "mend it"
        )
    if not description["complete"]:
        raise DatasetError(
            f"the conversion into {directory} has not finished; run the same command again to go on"
        )
    return description


def read_names(folder: epath.Path, name: str, description: dict) -> tuple[str, ...]:
    if is_left_out(name, description):
        return ()
    text = read_text(folder, name, description)
    names = tuple(text.removesuffix("\n").split("\n")) if text else ()
    for number, label in enumerate(names, start=1):
        problem = name_problem(label, "label")
        if problem:
            raise DatasetError(f"{folder / name}, line {number}: {problem}, and convert again")
    if len(set(names)) != len(names):
        raise DatasetError(f"{folder / name} holds a name twice; convert again")
    return names


def whole_number(row: dict[str, str], name: str, place: str, least: int) -> int:
    text = row[name]
    # Offsets have more digits than what people write.
    if not (text.isascii() and text.isdecimal() and len(text) <= 18 and int(text) >= least):
        raise DatasetError(
            f"{place}: the {name} {quoted(text)} is not a whole number from {least}; convert again"
        )
    return int(text)
