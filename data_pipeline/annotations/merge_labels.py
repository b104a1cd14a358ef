"""Several names of an action or animal become one, as a file says."""

import dataclasses
import os
from collections.abc import Mapping

from animal_clip_jax.command_line import did_you_mean
from animal_clip_jax.errors import quoted
from animal_clip_jax.files import as_local_path
from data_pipeline.annotations.columns import separator_of, table_rows
from data_pipeline.annotations.places import missing
from data_pipeline.annotations.record import (
    AnnotationError,
    Annotations,
    Clip,
    check_name,
    make_annotations,
)


def merge_labels(annotations: Annotations, file: str | os.PathLike[str]) -> Annotations:
    """The annotations with the labels of a file by other names.

    Args:
        annotations: of a dataset.
        file: a CSV with the columns `from` and `to`; a row is of an action, of an animal, or of
            both if both have that name.

    Returns:
        the annotations; a label that others became stands where the first of them stood.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: a name is unknown, becomes two others, itself, or one that becomes another.
    """
    of_name = _read(file, {*annotations.action_names, *annotations.animal_names})
    actions, animals = (
        {name: of_name.get(name, name) for name in names}
        for names in (annotations.action_names, annotations.animal_names)
    )
    clips = [_merged(clip, actions, animals) for clip in annotations.clips]
    had_several, has_several = (
        any(len(clip.actions) > 1 for clip in some) for some in (annotations.clips, clips)
    )
    names = ", ".join(f"{name!r} -> {to!r}" for name, to in of_name.items())
    notes = [*annotations.notes, f"labels merged: {names}"]
    segments = annotations.action_segments
    if segments and len(set(actions.values())) < len(actions):
        segments = ()
        notes.append("the official head, middle and tail classes are not used: actions were merged")
    return make_annotations(
        clips,
        roots=annotations.roots,
        multi_label=annotations.multi_label and (has_several or not had_several),
        action_names=tuple(dict.fromkeys(actions.values())),
        animal_names=tuple(dict.fromkeys(animals.values())),
        are_frames=annotations.are_frames,
        repairs=annotations.repairs,
        notes=notes,
        action_segments=segments,
        segments_source=annotations.segments_source if segments else "",
    )


def _read(file: str | os.PathLike[str], known: set[str]) -> dict[str, str]:
    path = as_local_path(file, "the list of labels to merge")
    if not path.exists():
        raise missing(path, "--merge_labels: the file")
    header, lines = table_rows(path, separator_of(path))
    if sorted(name.casefold() for name in header) != ["from", "to"]:
        raise AnnotationError(
            f"{path}, line 1: the columns are {quoted(','.join(header))}; expected from,to"
        )
    of_name: dict[str, str] = {}
    places: dict[str, str] = {}
    for place, cells in lines:
        row = dict(zip(map(str.casefold, header), cells, strict=True))
        name, to = row["from"], row["to"]
        check_name(to, place, "label")
        if name not in known:
            raise AnnotationError(
                f"{place}: there is no action or animal {quoted(name)}{did_you_mean(name, known)}"
            )
        if name == to:
            raise AnnotationError(f"{place}: {quoted(name)} becomes itself; leave the row out")
        if name in of_name:
            raise AnnotationError(
                f"{place}: {quoted(name)} becomes {quoted(to)} here, and {quoted(of_name[name])} "
                f"before ({places[name]})"
            )
        of_name[name], places[name] = to, place
    for name, to in of_name.items():
        if to in of_name:
            raise AnnotationError(
                f"{places[name]}: {quoted(name)} becomes {quoted(to)}, which becomes "
                f"{quoted(of_name[to])} ({places[to]}); write what it is to be in the end"
            )
    if not of_name:
        raise AnnotationError(f"{path} lists no label; expected rows from,to")
    return of_name


def _merged(clip: Clip, actions: Mapping[str, str], animals: Mapping[str, str]) -> Clip:
    return dataclasses.replace(
        clip,
        actions=tuple(dict.fromkeys(actions[name] for name in clip.actions)),
        animals=tuple(dict.fromkeys(animals[name] for name in clip.animals)),
        performed=tuple(
            dict.fromkeys((animals[animal], actions[action]) for animal, action in clip.performed)
        ),
    )
