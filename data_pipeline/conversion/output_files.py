"""What a conversion writes beside its shards: lists and counts, as CSV and text."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from animal_clip_jax.files import write_whole
from data_pipeline.annotations.record import Annotations, Clip, Repair
from data_pipeline.clip_index import CLIP_COLUMNS, STORAGE_COLUMNS
from data_pipeline.conversion.shards import FailedClip, StoredClip
from data_pipeline.dataset_files import (
    ACTIONS_FILE,
    ANIMALS_FILE,
    CLIPS_FILE,
    COUNTS_FILE,
    DATASET_FILE,
    FAILURES_FILE,
    READ_ME_FILE,
    RELATION_FILE,
    REPAIRS_FILE,
    TRAIN_SPLIT,
    UNANNOTATED_FILE,
)


def write_failures(output: Path, failed: Sequence[FailedClip], unannotated: Sequence[str]) -> None:
    """Lists the clips without a usable video, and the videos without an annotation."""
    _write_csv(
        output / FAILURES_FILE,
        ("split", "clip_id", "video", "reason"),
        ((clip.split, clip.clip_id, clip.video, clip.reason) for clip in failed),
    )
    _write_csv(output / UNANNOTATED_FILE, ("video",), ((video,) for video in unannotated))


def write_repairs(output: Path, repairs: Sequence[Repair]) -> None:
    """Lists what was irregular in the annotations, and what it was read as."""
    _write_csv(
        output / REPAIRS_FILE,
        ("file", "part", "row", "kind", "found", "taken_as"),
        (
            (repair.file, repair.part, repair.row, repair.kind, repair.found, repair.taken_as)
            for repair in repairs
        ),
    )


def write_read_me(output: Path, name: str) -> None:
    """Says what each file in the folder is."""
    files = [(file, text) for file, text in _FILES if (output / file).is_file()]
    width = max(len(file) for file, _ in files)
    lines = [
        f"Clips of the data set {name!r}, converted by `animal-clip convert-videos`.",
        "",
        *(f"{file:<{width}}  {text}" for file, text in files),
        f"{'*.tfrecord-*':<{width}}  the clips: frames as JPEG, and label numbers",
        f"{'shard_listings/':<{width}}  how a conversion that is run again knows what it has",
        "",
        "The files belong together. To change labels, change the annotations and convert again",
        "with --overwrite: frames of the same videos are kept.",
    ]
    write_whole(output / READ_ME_FILE, "".join(f"{line}\n" for line in lines))


_FILES = (
    (DATASET_FILE, "name, sizes and options of the conversion, and digests of these files"),
    (ACTIONS_FILE, "names of the actions, one a line, in the order of their numbers from 0"),
    (ANIMALS_FILE, "names of the animals, likewise"),
    (CLIPS_FILE, "every clip: video, split, frames, label numbers, and where it is stored"),
    (RELATION_FILE, "in how many training clips each animal performs each action"),
    (COUNTS_FILE, "clips of each action and animal in each split"),
    (FAILURES_FILE, "clips that were left out, and why"),
    (UNANNOTATED_FILE, "videos that no annotation names"),
    (REPAIRS_FILE, "what was irregular in the annotations, and what it was read as"),
    ("dataset_info.json", "for TensorFlow Datasets, with features.json and *.labels.txt"),
)


def write_lists(output: Path, annotations: Annotations, stored: Sequence[StoredClip]) -> None:
    """Writes the labels, the index of the clips, the counts of each class and the relations."""
    write_whole(output / ACTIONS_FILE, "".join(f"{name}\n" for name in annotations.action_names))
    animals = "".join(f"{name}\n" for name in annotations.animal_names)
    if animals:
        write_whole(output / ANIMALS_FILE, animals)
    else:
        (output / ANIMALS_FILE).unlink(missing_ok=True)
    clips = {clip.clip_id: clip for clip in annotations.clips}
    action_ids = {name: number for number, name in enumerate(annotations.action_names)}
    animal_ids = {name: number for number, name in enumerate(annotations.animal_names)}
    _write_csv(
        output / CLIPS_FILE,
        CLIP_COLUMNS,
        (
            (
                *(getattr(row, column) for column in STORAGE_COLUMNS),
                " ".join(str(action_ids[name]) for name in clip.actions),
                " ".join(str(animal_ids[name]) for name in clip.animals),
                "" if clip.start is None else clip.start,
                "" if clip.stop is None else clip.stop,
                clip.individual,
                clip.group,
            )
            for row, clip in ((row, clips[row.clip_id]) for row in stored)
        ),
    )
    of_split = [(row.split, clips[row.clip_id]) for row in stored]
    _write_counts(output, of_split, annotations)
    _write_relation(output, [clip for split, clip in of_split if split == TRAIN_SPLIT], annotations)


def _write_counts(
    output: Path, stored: Sequence[tuple[str, Clip]], annotations: Annotations
) -> None:
    actions = Counter((split, name) for split, clip in stored for name in clip.actions)
    animals = Counter((split, name) for split, clip in stored for name in clip.animals)
    _write_csv(
        output / COUNTS_FILE,
        ("split", "kind", "name", "clips"),
        (
            (split, kind, name, counts[split, name])
            for split in dict.fromkeys(split for split, _ in stored)
            for kind, names, counts in (
                ("action", annotations.action_names, actions),
                ("animal", annotations.animal_names, animals),
            )
            for name in names
        ),
    )


def _write_relation(output: Path, training: Sequence[Clip], annotations: Annotations) -> None:
    relation = Counter(pair for clip in training for pair in clip.performed)
    _write_csv(
        output / RELATION_FILE,
        ("animal", "action", "clips"),
        (
            (animal, action, relation[animal, action])
            for animal in annotations.animal_names
            for action in annotations.action_names
            if relation[animal, action]
        ),
    )


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    """Writes a table that has rows; of one that has none there is no file."""
    rows = list(rows)
    if not rows:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_whole(path, text.getvalue())
