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

TensorFlow is not needed here.
"""

import csv
import hashlib
import io
import json
import os
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from etils import epath

from animal_clip_jax.errors import MissingFileError, UserError
from animal_clip_jax.files import as_path, cannot_read

FORMAT_VERSION = 1
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
        DatasetError: it holds something else, or a conversion that has not finished.
    """
    folder = as_path(directory)
    description = _read_description(folder)
    action_names = _read_names(folder / ACTIONS_FILE)
    animal_names = _read_names(folder / ANIMALS_FILE)
    return DatasetInfo(
        name=description["name"],
        action_names=action_names,
        animal_names=animal_names,
        relation_counts=_read_relation(folder / RELATION_FILE, action_names, animal_names),
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
        DatasetError: it is no converted dataset, or has no such split.
    """
    folder = as_path(directory)
    sizes = _read_description(folder)["splits"]
    if split not in sizes:
        raise DatasetError(f"{folder} has no split {split!r}; it has {', '.join(sizes)}")
    path = folder / CLIPS_FILE
    reader = csv.DictReader(io.StringIO(_read_text(path), newline=""))
    if tuple(reader.fieldnames or ()) != CLIP_COLUMNS:
        raise DatasetError(f"{path}: the columns are {reader.fieldnames}, not {CLIP_COLUMNS}")
    rows = [row for row in reader if row["split"] == split]
    if len(rows) != sizes[split]:
        raise DatasetError(
            f"{path} lists {len(rows)} clips of the split {split!r}, "
            f"but {DATASET_FILE} says {sizes[split]}; convert again"
        )
    columns = {name: [row[name] for row in rows] for name in CLIP_COLUMNS}

    def integers(name: str) -> np.ndarray:
        return np.array([int(value) for value in columns[name]], np.int64)

    def labels(name: str) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(map(int, value.split())) for value in columns[name])

    return ClipIndex(
        clip_ids=tuple(columns["clip_id"]),
        videos=tuple(columns["video"]),
        shards=tuple(columns["shard"]),
        offsets=integers("offset"),
        lengths=integers("length"),
        num_frames=integers("stored_frames"),
        heights=integers("stored_height"),
        widths=integers("stored_width"),
        original_num_frames=integers("num_frames"),
        frame_rates=np.array([float(value) for value in columns["frame_rate"]]),
        original_heights=integers("height"),
        original_widths=integers("width"),
        actions=labels("actions"),
        animals=labels("animals"),
    )


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
        DatasetError: it is no converted dataset.
    """
    folder = as_path(directory)
    description = _read_description(folder)
    content = {name: description.get(name) for name in IDENTIFYING_FIELDS}
    for name in IDENTIFYING_FILES:
        content[name] = hashlib.sha256(_read(folder / name)).hexdigest()
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
        found = path.stat().length if path.is_file() else None
        if found != expected:
            raise DatasetError(
                f"the shard {path} is {'missing' if found is None else f'{found} bytes long'}, it "
                f"should have {expected} bytes; restore it, or run the conversion again to write it"
            )


def _read(path: epath.Path) -> bytes:
    if not path.is_file():
        raise DatasetError(f"{path.parent} is not a converted dataset: it has no {path.name}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise cannot_read(path, error) from error


def _read_text(path: epath.Path) -> str:
    try:
        return _read(path).decode()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text; convert again") from error


def _read_description(directory: epath.Path) -> dict:
    if not directory.is_dir():
        raise MissingFileError(
            f"the dataset folder {directory} does not exist; "
            "make it with `animal-clip convert-videos`",
            directory,
        )
    path = directory / DATASET_FILE
    if not path.is_file():
        raise DatasetError(
            f"{directory} is not a converted dataset: it has no {DATASET_FILE}; "
            "make one with `animal-clip convert-videos`"
        )
    try:
        description = json.loads(_read(path))
        version, complete = description["format_version"], description["complete"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} is not the description of a converted dataset") from error
    if version != FORMAT_VERSION:
        raise DatasetError(
            f"{path} has format version {version}, this program reads {FORMAT_VERSION}; "
            "convert again"
        )
    if not complete:
        raise DatasetError(
            f"the conversion into {directory} has not finished; run the same command again to go on"
        )
    return description


def _read_names(path: epath.Path) -> tuple[str, ...]:
    text = _read_text(path)
    return tuple(text.removesuffix("\n").split("\n")) if text else ()


def _read_relation(
    path: epath.Path, action_names: tuple[str, ...], animal_names: tuple[str, ...]
) -> np.ndarray:
    actions = {name: number for number, name in enumerate(action_names)}
    animals = {name: number for number, name in enumerate(animal_names)}
    counts = np.zeros((len(animal_names), len(action_names)), np.int64)
    rows = csv.DictReader(io.StringIO(_read_text(path), newline=""))
    for number, row in enumerate(rows, start=2):
        try:
            counts[animals[row["animal"]], actions[row["action"]]] = int(row["clips"])
        except (KeyError, ValueError, TypeError) as error:
            raise DatasetError(
                f"{path}, line {number}: expected a known animal, a known action and a number "
                f"of clips, found {row}"
            ) from error
    return counts
