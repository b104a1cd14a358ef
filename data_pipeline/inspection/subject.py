"""What is looked through: annotations, before or after the conversion of their videos."""

import csv
import os
from dataclasses import dataclass
from itertools import product

import numpy as np
from etils import epath

from animal_clip_jax.files import as_path, is_file
from data_pipeline.annotations.record import Annotations, Clip
from data_pipeline.clip_index import ClipIndex, load_index
from data_pipeline.dataset import load_info
from data_pipeline.dataset_files import (
    DATASET_FILE,
    FAILURES_FILE,
    REPAIRS_FILE,
    TRAIN_SPLIT,
    UNANNOTATED_FILE,
    read_whole,
)


@dataclass(frozen=True)
class Length:
    """How long a clip is and how large its picture.

    Attributes:
        name: of the clip or of the video, for a list.
        seconds: its duration; None where the file does not say.
        num_frames: as the file says, or counted in a conversion; 0 where neither is known.
        height: in pixels, upright.
        width: in pixels, upright.
    """

    name: str
    seconds: float | None
    num_frames: int
    height: int
    width: int


@dataclass(frozen=True)
class Subject:
    """A data set to be looked through.

    Attributes:
        source: where it lies, as it was named.
        dataset: its name, such as "lote_animal".
        is_converted: whether it is the output of a conversion.
        annotations: its clips and labels. Of a converted one, `performed` has every animal of a
            clip with every action of it.
        training_pairs: int64 (A, C), training clips in which the animal performs the action.
        failures: of a conversion: clips that were left out, as rows of its list.
        unannotated: of a conversion: videos without an annotation.
        repairs: of a conversion: kinds of repairs, one for each repair.
        lengths: of a converted one: of each clip; else empty.
    """

    source: str
    dataset: str
    is_converted: bool
    annotations: Annotations
    training_pairs: np.ndarray
    failures: tuple[dict[str, str], ...] = ()
    unannotated: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    lengths: tuple[Length, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have clips, training first."""
        found = dict.fromkeys(clip.split for clip in self.annotations.clips)
        return tuple(sorted(found, key=lambda split: split != TRAIN_SPLIT))


def of_annotations(dataset: str, source: str | os.PathLike, annotations: Annotations) -> Subject:
    """What the annotations say that are not converted yet.

    Args:
        dataset: its name in the table of readers.
        source: the folder or file that they were read from.
        annotations: all of them.
    """
    return Subject(
        source=os.fspath(source),
        dataset=dataset,
        is_converted=False,
        annotations=annotations,
        training_pairs=_training_pairs(annotations),
        repairs=tuple(repair.kind for repair in annotations.repairs),
    )


def of_converted(directory: str | os.PathLike) -> Subject:
    """What a converted folder says of itself.

    Raises:
        FileNotFoundError, DatasetError: it is no whole converted dataset.
    """
    folder = as_path(directory)
    info = load_info(folder)
    clips: list[Clip] = []
    lengths: list[Length] = []
    for split in info.split_sizes:
        index = load_index(folder, split)
        clips.extend(
            _clip(index, row, split, info.action_names, info.animal_names)
            for row in range(len(index))
        )
        lengths.extend(_length(index, row) for row in range(len(index)))
    annotations = Annotations(
        clips=tuple(clips),
        action_names=info.action_names,
        animal_names=info.animal_names,
        roots=(),
        multi_label=info.multi_label,
        action_segments=info.action_segments,
        segments_source=info.segments_source,
    )
    return Subject(
        source=os.fspath(directory),
        dataset=info.name,
        is_converted=True,
        annotations=annotations,
        training_pairs=info.relation_counts,
        failures=tuple(_rows(folder / FAILURES_FILE)),
        unannotated=tuple(row.get("video", "") for row in _rows(folder / UNANNOTATED_FILE)),
        repairs=tuple(row.get("kind", "") for row in _rows(folder / REPAIRS_FILE)),
        lengths=tuple(lengths),
    )


def _training_pairs(annotations: Annotations) -> np.ndarray:
    actions = {name: number for number, name in enumerate(annotations.action_names)}
    animals = {name: number for number, name in enumerate(annotations.animal_names)}
    counts = np.zeros((len(animals), len(actions)), np.int64)
    for clip in annotations.clips:
        if clip.split == TRAIN_SPLIT:
            for animal, action in clip.performed:
                # The other of two columns that contradict each other may have what is no label.
                if animal in animals and action in actions:
                    counts[animals[animal], actions[action]] += 1
    return counts


def _clip(
    index: ClipIndex, row: int, split: str, actions: tuple[str, ...], animals: tuple[str, ...]
) -> Clip:
    shown = tuple(actions[k] for k in index.actions[row])
    there = tuple(animals[k] for k in index.animals[row])
    is_bout = bool(np.isfinite(index.stops[row]))
    return Clip(
        clip_id=index.clip_ids[row],
        path=index.videos[row],
        actions=shown,
        animals=there,
        split=split,
        performed=tuple(product(there, shown)),
        start=float(index.starts[row]) if is_bout else None,
        stop=float(index.stops[row]) if is_bout else None,
        individual=index.individuals[row],
        group=index.groups[row],
    )


def _length(index: ClipIndex, row: int) -> Length:
    rate, frames = float(index.frame_rates[row]), int(index.original_num_frames[row])
    seconds = frames / rate if rate > 0 else None
    if np.isfinite(index.stops[row]):
        seconds = float(index.stops[row] - index.starts[row])
    return Length(
        name=index.clip_ids[row],
        seconds=seconds,
        num_frames=frames,
        height=int(index.original_heights[row]),
        width=int(index.original_widths[row]),
    )


def _rows(path: epath.Path) -> list[dict[str, str]]:
    """Of a list that only describes a conversion, and that folders of older versions may lack."""
    if not is_file(path):
        return []
    text = read_whole(path).decode(errors="replace")
    return [
        {key: value or "" for key, value in row.items() if key}
        for row in csv.DictReader(text.splitlines())
    ]


def is_converted(source: str | os.PathLike) -> bool:
    """Whether there is a folder that `animal-clip convert-videos` has written, or begun to."""
    return is_file(as_path(source) / DATASET_FILE)
