"""The datasets that can be converted, by name."""

import os

from animal_clip_jax.errors import UserError
from animal_clip_jax.files import as_local_path
from data_pipeline.annotations.animal_kingdom import (
    read_animal_kingdom,
    read_animal_kingdom_unseen,
)
from data_pipeline.annotations.clips_csv import read_clips_csv
from data_pipeline.annotations.label_files import Spelling, read_labels
from data_pipeline.annotations.lote_animal import read_lote_animal
from data_pipeline.annotations.mammalnet import read_mammalnet
from data_pipeline.annotations.record import Annotations, Clip, make_annotations, make_clip

READERS = {
    "animal_kingdom": read_animal_kingdom,
    "animal_kingdom_unseen": read_animal_kingdom_unseen,
    "mammalnet": read_mammalnet,
    "lote_animal": read_lote_animal,
    "csv": read_clips_csv,
}


def read_annotations(
    dataset: str,
    source: str | os.PathLike,
    *,
    action_labels: str | os.PathLike | None = None,
    animal_labels: str | os.PathLike | None = None,
) -> Annotations:
    """The annotations of one of `READERS`.

    Args:
        dataset: its name.
        source: the folder of official files; the reader of the dataset says what is in it.
        action_labels: a CSV of `id,name` that pins the order of the actions, as a converted
            checkpoint may need it, and their case; None keeps the dataset's own.
        animal_labels: the same for the animals.

    Raises:
        UserError: there is no such dataset, or its files are not on this machine.
        FileNotFoundError, AnnotationError: the files are missing or wrong.
    """
    if dataset not in READERS:
        raise UserError(f"the dataset {dataset!r} is not one of {', '.join(READERS)}")
    annotations = READERS[dataset](as_local_path(source, "the folder of official files"))
    if action_labels is None and animal_labels is None:
        return annotations
    actions, animals = annotations.action_names, annotations.animal_names
    if action_labels is not None:
        actions = read_labels(as_local_path(action_labels, "the list of actions"))
    if animal_labels is not None:
        animals = read_labels(as_local_path(animal_labels, "the list of animals"))
    action_spelling, animal_spelling = Spelling(actions), Spelling(animals)
    return make_annotations(
        [_spelled(clip, action_spelling, animal_spelling) for clip in annotations.clips],
        videos=annotations.videos,
        multi_label=annotations.multi_label,
        action_names=actions,
        animal_names=animals,
    )


def _spelled(clip: Clip, actions: Spelling, animals: Spelling) -> Clip:
    return make_clip(
        clip.path,
        actions=map(actions.of, clip.actions),
        animals=map(animals.of, clip.animals),
        split=clip.split,
        source=clip.source,
        performed=[(animals.of(animal), actions.of(action)) for animal, action in clip.performed],
    )
