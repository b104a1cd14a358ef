"""A converted dataset on disk: its files, and what can be known without reading a video.

Beside the shards, which `tfds.builder_from_directory` reads without this project, a folder holds

    dataset.json              name, sizes and the options of the conversion (`load_info`)
    actions.txt, animals.txt  labels, one a line, in the order of their ids
    clips.csv                 where the record of every clip lies, its frames and labels
                              (`clip_index.load_index`)
    relation.csv              how many training clips show an animal performing an action
    counts.csv                clips of each class in each split
    failures.csv              clips that were left out, and why
    unannotated_videos.csv    videos that no annotation names
    repairs.csv               what was irregular in the annotations, and what it was read as
    README.txt                says what each file is
    shard_listings/           by which the conversion knows its finished shards

`dataset.json` has the SHA-256 of the other small files, and a digest of itself: what was changed or
damaged since is refused, and the conversion mends it when it is run again. Datasets of older
versions have none of these, and are believed.

TensorFlow is not needed here.
"""

import hashlib
import json
import os
from dataclasses import dataclass

import numpy as np
from etils import epath

from animal_clip_jax.errors import quoted
from animal_clip_jax.files import as_path
from data_pipeline.clip_index import LATER_COLUMNS
from data_pipeline.dataset_files import (
    ACTION_SEGMENTS,
    ACTIONS_FILE,
    ANIMALS_FILE,
    CLIPS_FILE,
    DATASET_FILE,
    FILE_DIGESTS,
    RELATION_COLUMNS,
    RELATION_FILE,
    SEGMENTS_SOURCE,
    UNCHECKED_FILES,
    DatasetError,
    is_left_out,
    read_description,
    read_file,
    read_names,
    read_rows,
    whole_number,
)
from data_pipeline.long_tail import SEGMENTS

# What a dataset is, whatever folder it lies in: these files and fields of its description.
IDENTIFYING_FILES = (ACTIONS_FILE, ANIMALS_FILE, CLIPS_FILE)
IDENTIFYING_FIELDS = ("name", "multi_label", "short_side", "max_frames", "jpeg")


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
        action_segments: "head", "middle" or "tail" of each action, (C), where the distribution of
            the data says so; else ().
        segments_source: which of its files does; "" for none.
    """

    name: str
    action_names: tuple[str, ...]
    animal_names: tuple[str, ...]
    relation_counts: np.ndarray
    split_sizes: dict[str, int]
    multi_label: bool
    short_side: int
    max_frames: int
    action_segments: tuple[str, ...] = ()
    segments_source: str = ""


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
    description = read_description(folder)
    for name in description.get(FILE_DIGESTS, {}):
        if name not in UNCHECKED_FILES:
            read_file(folder, name, description)
    action_names = read_names(folder, ACTIONS_FILE, description)
    animal_names = read_names(folder, ANIMALS_FILE, description)
    segments = tuple(description.get(ACTION_SEGMENTS, ()))
    if segments and (len(segments) != len(action_names) or not set(segments) <= set(SEGMENTS)):
        raise DatasetError(
            f"{folder / DATASET_FILE}: {ACTION_SEGMENTS} is not one of {', '.join(SEGMENTS)} for "
            f"each of the {len(action_names)} actions; convert again"
        )
    return DatasetInfo(
        name=description["name"],
        action_names=action_names,
        animal_names=animal_names,
        relation_counts=_read_relation(folder, description, action_names, animal_names),
        split_sizes=description["splits"],
        multi_label=description["multi_label"],
        short_side=description["short_side"],
        max_frames=description["max_frames"],
        action_segments=segments,
        segments_source=description.get(SEGMENTS_SOURCE, ""),
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
        DatasetError: it is no converted dataset, or one of its lists was changed.
    """
    folder = as_path(directory)
    description = read_description(folder)
    content = {name: description.get(name) for name in IDENTIFYING_FIELDS}
    for name in IDENTIFYING_FILES:
        text = b"" if is_left_out(name, description) else read_file(folder, name, description)
        content[name] = hashlib.sha256(_without_empty_columns(text)).hexdigest()
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _without_empty_columns(text: bytes) -> bytes:
    """A list of clips as those of older versions are, where it says nothing that they cannot."""
    header, _, rows = text.partition(b"\n")
    later = ",".join(("", *LATER_COLUMNS)).encode()
    empty = b"," * len(LATER_COLUMNS)
    if not header.endswith(later) or not all(row.endswith(empty) for row in rows.splitlines()):
        return text
    lines = [header.removesuffix(later), *(row.removesuffix(empty) for row in rows.splitlines())]
    return b"".join(line + b"\n" for line in lines)


def _read_relation(
    folder: epath.Path,
    description: dict,
    action_names: tuple[str, ...],
    animal_names: tuple[str, ...],
) -> np.ndarray:
    actions = {name: number for number, name in enumerate(action_names)}
    animals = {name: number for number, name in enumerate(animal_names)}
    counts = np.zeros((len(animal_names), len(action_names)), np.int64)
    if is_left_out(RELATION_FILE, description):
        return counts
    for place, row in read_rows(folder, RELATION_FILE, RELATION_COLUMNS, description):
        if row["animal"] not in animals or row["action"] not in actions:
            raise DatasetError(
                f"{place}: expected a known animal, a known action and a number "
                f"of clips, found {quoted(','.join(row.values()))}"
            )
        pair = animals[row["animal"]], actions[row["action"]]
        if counts[pair]:
            raise DatasetError(f"{place}: the pair is there twice; convert again")
        counts[pair] = whole_number(row, "clips", place, 1)
    return counts
