"""What a conversion writes beside its shards: lists and counts, as CSV and text."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from pathlib import Path

from animal_clip_jax.files import write_whole
from data_pipeline.annotations.record import Annotations, Clip
from data_pipeline.conversion.shards import FailedClip, StoredClip
from data_pipeline.dataset import (
    ACTIONS_FILE,
    ANIMALS_FILE,
    CLIP_COLUMNS,
    CLIPS_FILE,
    COUNTS_FILE,
    FAILURES_FILE,
    RELATION_FILE,
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


def write_lists(output: Path, annotations: Annotations, stored: Sequence[StoredClip]) -> None:
    """Writes the labels, the index of the clips, the counts of each class and the relations."""
    write_whole(output / ACTIONS_FILE, "".join(f"{name}\n" for name in annotations.action_names))
    write_whole(output / ANIMALS_FILE, "".join(f"{name}\n" for name in annotations.animal_names))
    clips = {clip.clip_id: clip for clip in annotations.clips}
    action_ids = {name: number for number, name in enumerate(annotations.action_names)}
    animal_ids = {name: number for number, name in enumerate(annotations.animal_names)}
    _write_csv(
        output / CLIPS_FILE,
        CLIP_COLUMNS,
        (
            (
                *astuple(row),
                " ".join(str(action_ids[name]) for name in clips[row.clip_id].actions),
                " ".join(str(animal_ids[name]) for name in clips[row.clip_id].animals),
            )
            for row in stored
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
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_whole(path, text.getvalue())
