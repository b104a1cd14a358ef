"""Where the clips of a converted dataset lie and what they hold.

TensorFlow is not needed here.
"""

import itertools
import math
import os
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from etils import epath

from animal_clip_jax.errors import quoted, shortened
from animal_clip_jax.files import as_path, is_file
from data_pipeline.dataset_files import (
    ACTIONS_FILE,
    ANIMALS_FILE,
    CLIPS_FILE,
    DATASET_FILE,
    FIRST_WITH_BOUTS,
    DatasetError,
    read_description,
    read_names,
    read_rows,
    whole_number,
)
from data_pipeline.limits import MOST_DIGITS

# A record is stored between its length with a checksum (12 bytes) and its own checksum (4 bytes).
RECORD_FRAMING = 12 + 4
# Those of older versions lack these.
LATER_COLUMNS = ("start", "stop", "individual", "group")
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
    *LATER_COLUMNS,
)
# What is known of a clip once it is stored; the other columns are of its annotation.
STORAGE_COLUMNS = CLIP_COLUMNS[: CLIP_COLUMNS.index("actions")]
_OLDER_COLUMNS = CLIP_COLUMNS[: -len(LATER_COLUMNS)]


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
        starts: float64 (N), where a bout begins in its recording, in seconds; 0 if it is all of it.
        stops: float64 (N), where it ends; infinity: at the end.
        individuals: which animal it is; "" where that is not known.
        groups: of clips that are counted together, such as "bird"; "" for none.
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
    starts: np.ndarray
    stops: np.ndarray
    individuals: tuple[str, ...]
    groups: tuple[str, ...]

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


def load_index(directory: str | os.PathLike, split: str) -> ClipIndex:
    """Reads which clips a split has and where their records are.

    Args:
        directory: a converted dataset.
        split: one of its splits, or several, such as "test+test_unseen_animals": the clips of one
            after those of the other, and each in the group of its split where it has no other.

    Raises:
        FileNotFoundError: there is no such folder.
        DatasetError: it is no converted dataset, has no such split, a split is named twice, or its
            list of clips is damaged or was changed.
    """
    names = split_names(split)
    if len(set(names)) < len(names):
        raise DatasetError(f"the splits {quoted(split)} name one twice; name each once")
    parts = [_index_of_split(as_path(directory), name) for name in names]
    if len(parts) == 1:
        return parts[0]
    parts = [
        replace(part, groups=tuple(group or name for group in part.groups))
        for name, part in zip(names, parts, strict=True)
    ]

    def joined(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        if isinstance(values[0], np.ndarray):
            return np.concatenate(values)
        return tuple(itertools.chain.from_iterable(values))

    return ClipIndex(**{field.name: joined(field.name) for field in fields(ClipIndex)})


def split_names(split: str) -> list[str]:
    """The splits that "test+test_unseen_animals" names."""
    return split.split("+")


def _index_of_split(folder: epath.Path, split: str) -> ClipIndex:
    description = read_description(folder)
    sizes = description["splits"]
    if split not in sizes:
        raise DatasetError(
            f"{folder} has no split {quoted(split)}; it has {shortened(', '.join(sizes))}"
        )
    path = folder / CLIPS_FILE
    is_older = description["format_version"] < FIRST_WITH_BOUTS
    columns = _OLDER_COLUMNS if is_older else CLIP_COLUMNS
    later = {} if columns is CLIP_COLUMNS else dict.fromkeys(LATER_COLUMNS, "")
    rows = [
        (place, row | later)
        for place, row in read_rows(folder, CLIPS_FILE, columns, description)
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
        return np.array([whole_number(row, name, place, least) for place, row in rows], np.int64)

    def numbers(name: str, empty: float | None = None) -> np.ndarray:
        return np.array([_number(row, name, place, empty) for place, row in rows], np.float64)

    def labels(column: str, file: str, least: int) -> tuple[tuple[int, ...], ...]:
        most = len(read_names(folder, file, description))
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
        frame_rates=numbers("frame_rate"),
        original_heights=integers("height", 1),
        original_widths=integers("width", 1),
        actions=labels("actions", ACTIONS_FILE, least=1),
        animals=labels("animals", ANIMALS_FILE, least=0),
        starts=numbers("start", empty=0.0),
        stops=numbers("stop", empty=math.inf),
        individuals=tuple(row["individual"] for _, row in rows),
        groups=tuple(row["group"] for _, row in rows),
    )


def _number(row: dict[str, str], name: str, place: str, empty: float | None) -> float:
    text = row[name]
    if not text and empty is not None:
        return empty
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise DatasetError(
            f"{place}: the {name} {quoted(text)} is not a number from 0; convert again"
        )
    return number


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
