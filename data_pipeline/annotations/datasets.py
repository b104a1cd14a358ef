"""The datasets that can be converted, by name."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from animal_clip_jax.errors import UserError
from animal_clip_jax.files import as_local_path
from data_pipeline.annotations.action_folders import read_action_folders
from data_pipeline.annotations.animal_kingdom import files_of_animal_kingdom, read_animal_kingdom
from data_pipeline.annotations.animal_kingdom_unseen import (
    files_of_animal_kingdom_unseen,
    read_animal_kingdom_unseen,
)
from data_pipeline.annotations.boris import read_boris
from data_pipeline.annotations.clips_csv import read_clips_csv
from data_pipeline.annotations.cut_bouts import cut_bouts as cut
from data_pipeline.annotations.label_files import Spelling, read_labels
from data_pipeline.annotations.layouts import Sought
from data_pipeline.annotations.lote_animal import files_of_lote_animal, read_lote_animal
from data_pipeline.annotations.mammalnet import files_of_mammalnet, read_mammalnet
from data_pipeline.annotations.merge_labels import merge_labels as merged
from data_pipeline.annotations.read_options import DEFAULTS, ReadOptions
from data_pipeline.annotations.record import Annotations, Clip, make_annotations
from data_pipeline.annotations.splits import NO_SHARES, Shares, advice, with_splits


@dataclasses.dataclass(frozen=True)
class Reader:
    """How the annotations of a dataset are read.

    Attributes:
        read: takes the folder or file of the source, and the options.
        options: the fields of `ReadOptions` that mean something to it.
        files: finds the files that may be in the folder of a distribution.
        is_own: whether it is a person's own footage, which nobody has published settings for.
    """

    read: Callable[[Path, ReadOptions], Annotations]
    options: tuple[str, ...] = ()
    files: Callable[[Path], tuple[Sought, ...]] | None = None
    is_own: bool = False


READERS = {
    "animal_kingdom": Reader(
        read_animal_kingdom, ("annotations", "actions_from"), files_of_animal_kingdom
    ),
    "animal_kingdom_unseen": Reader(
        read_animal_kingdom_unseen,
        ("annotations", "train_group", "action_labels"),
        files_of_animal_kingdom_unseen,
    ),
    "mammalnet": Reader(read_mammalnet, ("annotations",), files_of_mammalnet),
    "lote_animal": Reader(read_lote_animal, ("annotations",), files_of_lote_animal),
    "csv": Reader(read_clips_csv, ("animal",), is_own=True),
    "folders": Reader(read_action_folders, ("animal",), is_own=True),
    "boris": Reader(read_boris, ("animal",), is_own=True),
}


def read_annotations(
    dataset: str,
    source: str | os.PathLike,
    *,
    options: ReadOptions = DEFAULTS,
    action_labels: str | os.PathLike | None = None,
    animal_labels: str | os.PathLike | None = None,
    merge_labels: str | os.PathLike | None = None,
    cut_bouts: float = 0.0,
    shares: Shares = NO_SHARES,
) -> Annotations:
    """The annotations of one of `READERS`.

    Args:
        dataset: its name.
        source: the folder of official files; the reader of the dataset says what is in it.
        options: choices that mean something to this dataset.
        action_labels: a CSV of `id,name` that pins the order of the actions, as a converted
            checkpoint may need it, and their case; None keeps the dataset's own. For a dataset
            with `action_labels` among its options: what its numbered actions are called.
        animal_labels: the same for the animals.
        merge_labels: a CSV of `from,to`: labels that become others.
        cut_bouts: about how long the pieces of a bout are to be, in seconds; 0 leaves bouts whole.
        shares: which clips are not to be trained on, where the annotation does not say it.

    Raises:
        UserError: there is no such dataset, its files are not on this machine, an option means
            nothing to it, or the shares are none.
        FileNotFoundError, AnnotationError: the files are missing or wrong.
    """
    if dataset not in READERS:
        raise UserError(f"the dataset {dataset!r} is not one of {', '.join(READERS)}")
    reader = READERS[dataset]
    for field in dataclasses.fields(options):
        if field.name in ("may_lack_videos", "roots", *reader.options):
            continue
        if getattr(options, field.name) != field.default:
            users = [name for name, other in READERS.items() if field.name in other.options]
            raise UserError(
                f"--{field.name} means nothing to --dataset={dataset}, only to {', '.join(users)}"
            )
    if action_labels is not None and "action_labels" in reader.options:
        labels = as_local_path(action_labels, "the list of actions")
        options, action_labels = dataclasses.replace(options, action_labels=labels), None
    if options.roots and not reader.is_own:
        # Where the videos are on another disk, there need be no folder of them in the source.
        options = dataclasses.replace(options, may_lack_videos=True)
    annotations = reader.read(as_local_path(source, "the source of the annotations"), options)
    others = (root for root in options.roots if root not in annotations.roots)
    annotations = dataclasses.replace(annotations, roots=(*annotations.roots, *others))
    if merge_labels is not None:
        annotations = merged(annotations, merge_labels)
    if action_labels is not None or animal_labels is not None:
        actions, animals = annotations.action_names, annotations.animal_names
        if action_labels is not None:
            actions = read_labels(as_local_path(action_labels, "the list of actions"))
        if animal_labels is not None:
            animals = read_labels(as_local_path(animal_labels, "the list of animals"))
        annotations = with_labels(annotations, actions, animals)
    if cut_bouts:
        annotations = cut(annotations, cut_bouts)
    if shares:
        annotations = with_splits(annotations, shares)
    if reader.is_own:
        notes = (*annotations.notes, *advice(annotations))
        annotations = dataclasses.replace(annotations, notes=notes)
    return annotations


def with_labels(
    annotations: Annotations, actions: tuple[str, ...], animals: tuple[str, ...]
) -> Annotations:
    """The annotations with labels in another order or case, or more of them.

    Args:
        annotations: of a dataset.
        actions: names in the order of their new ids.
        animals: the same.

    Raises:
        AnnotationError: a label of a clip is not among them.
    """
    action_spelling, animal_spelling = Spelling(actions), Spelling(animals)
    segments = annotations.action_segments
    if segments:
        of_action = dict(
            zip(map(action_spelling.of, annotations.action_names), segments, strict=True)
        )
        segments = tuple(of_action.get(name, "tail") for name in actions)
    return make_annotations(
        [_spelled(clip, action_spelling, animal_spelling) for clip in annotations.clips],
        **{
            field.name: getattr(annotations, field.name)
            for field in dataclasses.fields(annotations)
            if field.name not in ("clips", "action_names", "animal_names", "action_segments")
        },
        action_names=actions,
        animal_names=animals,
        action_segments=segments,
    )


def _spelled(clip: Clip, actions: Spelling, animals: Spelling) -> Clip:
    return dataclasses.replace(
        clip,
        actions=tuple(dict.fromkeys(map(actions.of, clip.actions))),
        animals=tuple(dict.fromkeys(map(animals.of, clip.animals))),
        performed=tuple(
            dict.fromkeys(
                (animals.of(animal), actions.of(action)) for animal, action in clip.performed
            )
        ),
    )
