"""A converted dataset on disk: its files, and what can be known without reading a video.

Beside the shards, which `tfds.builder_from_directory` reads without this project, a folder holds

    dataset.json              name, sizes and the options of the conversion (`load_info`)
    actions.txt, animals.txt  labels, one a line, in the order of their ids
    clips.csv                 where the record of every clip lies, its frames and labels
                              (`load_index`)
    relation.csv              how many training clips show an animal performing an action
    counts.csv                clips of each class in each split
    failures.csv              clips that were left out, and why
    unannotated_videos.csv    videos that no annotation names
    shard_listings/           by which the conversion knows its finished shards

`dataset.json` has the SHA-256 of the other small files, and a digest of itself: what was changed or
damaged since is refused, and the conversion mends it when it is run again. Datasets of older
versions have none of these, and are believed.

TensorFlow is not needed here.
"""

import csv
import hashlib
import io
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from etils import epath

from animal_clip_jax.digests import seal_holds
from animal_clip_jax.errors import MissingFileError, UserError, quoted, shortened
from animal_clip_jax.files import as_path, cannot_read, is_file
from data_pipeline.limits import MOST_DIGITS, MOST_TEXT_BYTES
from data_pipeline.names import name_problem

FORMAT_VERSION = 2
# Those of before it may lack digests.
_FIRST_WITH_DIGESTS = 2
# A record is stored between its length with a checksum (12 bytes) and its own checksum (4 bytes).
RECORD_FRAMING = 12 + 4
TRAIN_SPLIT = "train"
DATASET_FILE = "dataset.json"
CLIPS_FILE = "clips.csv"
RELATION_FILE = "relation.csv"
ACTIONS_FILE = "actions.txt"
ANIMALS_FILE = "animals.txt"
COUNTS_FILE = "counts.csv"
FAILURES_FILE = "failures.csv"
UNANNOTATED_FILE = "unannotated_videos.csv"
CLIP_COLUMNS = (
    "split",
    "shard",
    "offset",
    "length",
    "clip_id",
    "video",
    "num_frames",
    "frame_rate",
    "height",
    "width",
    "stored_frames",
    "stored_height",
    "stored_width",
    "actions",
    "animals",
)
RELATION_COLUMNS = ("animal", "action", "clips")
# A field of its description: of the files beside it, by their names.
FILE_DIGESTS = "files_sha256"
SMALL_FILES = (
    *(ACTIONS_FILE, ANIMALS_FILE, CLIPS_FILE, RELATION_FILE),
    *(COUNTS_FILE, FAILURES_FILE, UNANNOTATED_FILE),
    # Of TensorFlow Datasets.
    *("dataset_info.json", "features.json", "actions.labels.txt", "animals.labels.txt"),
)
# They only describe the conversion: whoever notes something in one of them harms nothing.
UNCHECKED_FILES = frozenset((COUNTS_FILE, FAILURES_FILE, UNANNOTATED_FILE))
# What a dataset is, whatever folder it lies in: these files and fields of its description.
IDENTIFYING_FILES = (ACTIONS_FILE, ANIMALS_FILE, CLIPS_FILE)
IDENTIFYING_FIELDS = ("name", "multi_label", "short_side", "max_frames", "jpeg")


class DatasetError(UserError):
    """A folder that is not a whole converted dataset: what is wrong and what to do."""


@dataclass(frozen=True)
class DatasetInfo:
    """What a model or a report needs to know of a converted dataset.

    Attributes:
        name: such as "lote_animal".
        action_names: (C) in label order.
        animal_names: (A) in label order.
        relation_counts: int64 (A, C), training clips in which the animal performs the action.
        split_sizes: number of clips of each split.
        multi_label: whether a clip may show several actions.
        short_side: of the stored frames, in pixels.
        max_frames: the most frames stored of a clip; 0 if all are.
    """

    name: str
    action_names: tuple[str, ...]
    animal_names: tuple[str, ...]
    relation_counts: np.ndarray
    split_sizes: dict[str, int]
    multi_label: bool
    short_side: int
    max_frames: int


@dataclass(frozen=True)
class ClipIndex:
    """Where the N clips of a split lie and what they hold, one row a clip, in stored order.

    Attributes:
        clip_ids: their names.
        videos: the videos they were made of, relative to the folder of videos.
        shards: names of the shard files, relative to the dataset's folder.
        offsets: int64 (N), where each record begins in its shard, in bytes.
        lengths: int64 (N), bytes of the serialised example.
        num_frames: int64 (N), frames that are stored.
        heights: int64 (N), of the stored frames.
        widths: int64 (N), of the stored frames.
        original_num_frames: int64 (N), frames of the video.
        frame_rates: float64 (N), of the video, a second.
        original_heights: int64 (N), of the video.
        original_widths: int64 (N), of the video.
        actions: label ids of each clip.
        animals: label ids of each clip.
    """

    clip_ids: tuple[str, ...]
    videos: tuple[str, ...]
    shards: tuple[str, ...]
    offsets: np.ndarray
    lengths: np.ndarray
    num_frames: np.ndarray
    heights: np.ndarray
    widths: np.ndarray
    original_num_frames: np.ndarray
    frame_rates: np.ndarray
    original_heights: np.ndarray
    original_widths: np.ndarray
    actions: tuple[tuple[int, ...], ...]
    animals: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.clip_ids)

    def take(self, rows: np.ndarray) -> "ClipIndex":
        """Some of the clips, in the order asked for.

        Args:
            rows: int (n), positions in this index.

        Raises:
            ValueError: they are no whole numbers (a mask, for instance), or no clip is there.
        """
        rows = np.asarray(rows)
        if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
            raise ValueError(
                f"rows are positions of clips, int (n); found {rows.dtype} {rows.shape}"
            )
        if rows.size and not 0 <= rows.min() <= rows.max() < len(self):
            raise ValueError(
                f"rows are from 0 to below {len(self)}, the number of clips; "
                f"found {rows.min()} to {rows.max()}"
            )

        def chosen(values: Any) -> Any:
            if isinstance(values, np.ndarray):
                return values[rows]
            return tuple(values[row] for row in rows)

        columns = {field.name: chosen(getattr(self, field.name)) for field in fields(self)}
        return ClipIndex(**columns)


def load_info(directory: str | os.PathLike) -> DatasetInfo:
    """Reads the description of a converted dataset.

    Args:
        directory: the output folder of `animal-clip convert-videos`, or its URL.

    Raises:
        FileNotFoundError: there is no such folder.
        DatasetError: it holds something else, a conversion that has not finished, or a file that
            was changed since.
    """
    folder = as_path(directory)
    description = _read_description(folder)
    for name in description.get(FILE_DIGESTS, {}):
        if name not in UNCHECKED_FILES:
            _read(folder, name, description)
    action_names = _read_names(folder, ACTIONS_FILE, description)
    animal_names = _read_names(folder, ANIMALS_FILE, description)
    return DatasetInfo(
        name=description["name"],
        action_names=action_names,
        animal_names=animal_names,
        relation_counts=_read_relation(folder, description, action_names, animal_names),
        split_sizes=description["splits"],
        multi_label=description["multi_label"],
        short_side=description["short_side"],
        max_frames=description["max_frames"],
    )


def load_index(directory: str | os.PathLike, split: str) -> ClipIndex:
    """Reads which clips a split has and where their records are.

    Args:
        directory: a converted dataset.
        split: one of its splits.

    Raises:
        FileNotFoundError: there is no such folder.
        DatasetError: it is no converted dataset, has no such split, or its list of clips is
            damaged or was changed.
    """
    folder = as_path(directory)
    description = _read_description(folder)
    sizes = description["splits"]
    if split not in sizes:
        raise DatasetError(
            f"{folder} has no split {quoted(split)}; it has {shortened(', '.join(sizes))}"
        )
    path = folder / CLIPS_FILE
    rows = [
        (place, row)
        for place, row in _read_rows(folder, CLIPS_FILE, CLIP_COLUMNS, description)
        if row["split"] == split
    ]
    if len(rows) != sizes[split]:
        raise DatasetError(
            f"{path} lists {len(rows)} clips of the split {split!r}, "
            f"but {DATASET_FILE} says {sizes[split]}; convert again"
        )
    if len({row["clip_id"] for _, row in rows}) != len(rows):
        raise DatasetError(f"{path} lists a clip of the split {split!r} twice; convert again")
    for place, row in rows:
        if not row["shard"] or "/" in row["shard"] or "\\" in row["shard"]:
            raise DatasetError(f"{place}: the shard {quoted(row['shard'])} is no name of a file")

    def integers(name: str, least: int = 0) -> np.ndarray:
        return np.array([_whole(row, name, place, least) for place, row in rows], np.int64)

    def rates() -> np.ndarray:
        return np.array([_rate(row["frame_rate"], place) for place, row in rows])

    def labels(column: str, file: str, least: int) -> tuple[tuple[int, ...], ...]:
        most = len(_read_names(folder, file, description))
        return tuple(_label_ids(row[column], column, place, least, most) for place, row in rows)

    return ClipIndex(
        clip_ids=tuple(row["clip_id"] for _, row in rows),
        videos=tuple(row["video"] for _, row in rows),
        shards=tuple(row["shard"] for _, row in rows),
        offsets=integers("offset"),
        lengths=integers("length", 1),
        num_frames=integers("stored_frames", 1),
        heights=integers("stored_height", 1),
        widths=integers("stored_width", 1),
        original_num_frames=integers("num_frames", 1),
        frame_rates=rates(),
        original_heights=integers("height", 1),
        original_widths=integers("width", 1),
        actions=labels("actions", ACTIONS_FILE, least=1),
        animals=labels("animals", ANIMALS_FILE, least=0),
    )


def _whole(row: dict[str, str], name: str, place: str, least: int) -> int:
    text = row[name]
    # Offsets have more digits than what people write.
    if not (text.isascii() and text.isdecimal() and len(text) <= 18 and int(text) >= least):
        raise DatasetError(
            f"{place}: the {name} {quoted(text)} is not a whole number from {least}; convert again"
        )
    return int(text)


def _rate(text: str, place: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 <= rate < math.inf:
        raise DatasetError(f"{place}: the frame_rate {quoted(text)} is no rate; convert again")
    return rate


def _label_ids(text: str, column: str, place: str, least: int, most: int) -> tuple[int, ...]:
    numbers = text.split()
    known = all(
        number.isascii()
        and number.isdecimal()
        and len(number) <= MOST_DIGITS
        and int(number) < most
        for number in numbers
    )
    if len(numbers) < least or not known:
        raise DatasetError(
            f"{place}: the {column} {quoted(text)} are not ids below {most}; convert again"
        )
    return tuple(map(int, numbers))


def dataset_digest(directory: str | os.PathLike) -> str:
    """What identifies the data of a converted dataset, whatever folder it lies in.

    It differs when labels, their order, splits, clips, the sizes of their records or the options of
    the conversion do. Shards are not read: it does not notice that frames are corrupt.

    Args:
        directory: a converted dataset.

    Returns:
        SHA-256 in hexadecimal.

    Raises:
        FileNotFoundError: there is no such folder.
        DatasetError: it is no converted dataset, or one of its lists was changed.
    """
    folder = as_path(directory)
    description = _read_description(folder)
    content = {name: description.get(name) for name in IDENTIFYING_FIELDS}
    for name in IDENTIFYING_FILES:
        content[name] = hashlib.sha256(_read(folder, name, description)).hexdigest()
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def check_shards(directory: str | os.PathLike, index: ClipIndex) -> None:
    """Checks that the shards of a split are there and have the size that the index gives them.

    Raises:
        DatasetError: one is missing, cut short or replaced.
    """
    folder = as_path(directory)
    ends: dict[str, int] = {}
    for shard, offset, length in zip(index.shards, index.offsets, index.lengths, strict=True):
        ends[shard] = max(ends.get(shard, 0), int(offset + length) + RECORD_FRAMING)
    for shard, expected in ends.items():
        path = folder / shard
        found = path.stat().length if is_file(path) else None
        if found != expected:
            raise DatasetError(
                f"the shard {path} is {'missing' if found is None else f'{found} bytes long'}, it "
                f"should have {expected} bytes; restore it, or run the conversion again to write it"
            )


def has_digests(directory: str | os.PathLike) -> bool:
    """Whether changes of its small files would be noticed: not in datasets of older versions.

    Raises:
        FileNotFoundError, DatasetError: the folder is no converted dataset.
    """
    return FILE_DIGESTS in _read_description(as_path(directory))


def file_digests(directory: str | os.PathLike) -> dict[str, str]:
    """SHA-256 in hexadecimal of each of `SMALL_FILES` that is there."""
    paths = {name: as_path(directory) / name for name in SMALL_FILES}
    return {
        name: hashlib.sha256(_read_whole(path)).hexdigest()
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
    description = parse_description(_read_whole(path), path)
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
}


def _read_whole(path: epath.Path) -> bytes:
    if not is_file(path):
        raise DatasetError(f"{path.parent} is not a converted dataset: it has no {path.name}")
    try:
        size = path.stat().length
        if size > MOST_TEXT_BYTES:
            raise DatasetError(f"{path} has {size} bytes; {MOST_TEXT_BYTES} are the most")
        return path.read_bytes()
    except OSError as error:
        raise cannot_read(path, error) from error


def _read(folder: epath.Path, name: str, description: dict) -> bytes:
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
    content = _read_whole(path)
    if FILE_DIGESTS in description and digests.get(name) != hashlib.sha256(content).hexdigest():
        raise DatasetError(
            f"{path} was changed or damaged after the conversion: its SHA-256 is not the one in "
            f"{DATASET_FILE}; run the same conversion again to mend it"
        )
    return content


def _read_text(folder: epath.Path, name: str, description: dict) -> str:
    try:
        return _read(folder, name, description).decode()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{folder / name} is not UTF-8 text; convert again") from error


def _read_rows(
    folder: epath.Path, name: str, columns: Sequence[str], description: dict
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yields (place, cells by column) of every row of a CSV beside the shards."""
    path = folder / name
    text = _read_text(folder, name, description)
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


def _read_description(directory: epath.Path) -> dict:
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
    description = parse_description(_read_whole(path), path)
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


def _read_names(folder: epath.Path, name: str, description: dict) -> tuple[str, ...]:
    text = _read_text(folder, name, description)
    names = tuple(text.removesuffix("\n").split("\n")) if text else ()
    for number, label in enumerate(names, start=1):
        problem = name_problem(label, "label")
        if problem:
            raise DatasetError(f"{folder / name}, line {number}: {problem}, and convert again")
    if len(set(names)) != len(names):
        raise DatasetError(f"{folder / name} holds a name twice; convert again")
    return names


def _read_relation(
    folder: epath.Path,
    description: dict,
    action_names: tuple[str, ...],
    animal_names: tuple[str, ...],
) -> np.ndarray:
    actions = {name: number for number, name in enumerate(action_names)}
    animals = {name: number for number, name in enumerate(animal_names)}
    counts = np.zeros((len(animal_names), len(action_names)), np.int64)
    for place, row in _read_rows(folder, RELATION_FILE, RELATION_COLUMNS, description):
        if row["animal"] not in animals or row["action"] not in actions:
            raise DatasetError(
                f"{place}: expected a known animal, a known action and a number "
                f"of clips, found {quoted(','.join(row.values()))}"
            )
        pair = animals[row["animal"]], actions[row["action"]]
        if counts[pair]:
            raise DatasetError(f"{place}: the pair is there twice; convert again")
        counts[pair] = _whole(row, "clips", place, 1)
    return counts
