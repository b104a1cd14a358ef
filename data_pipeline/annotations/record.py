"""The one form into which every parser brings its annotations."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from animal_clip_jax.errors import UserError, quoted
from data_pipeline.names import name_problem, text_problem


class AnnotationError(UserError):
    """An annotation file that cannot be used as it is: which one, where, and why."""


@dataclass(frozen=True)
class Clip:
    """One annotated video, or a bout: a part of a longer recording.

    Attributes:
        clip_id: unique in its dataset: `path` without its suffix, and for a bout its times.
        path: the video, or the folder of its frames, relative to a folder of `Annotations.roots`,
            separated by `/`.
        actions: every action that somebody performs in it, without repetition.
        animals: every animal that is in it, without repetition.
        split: such as "train", "val" or "test".
        performed: the (animal, action) pairs that are known; where the annotation does not say
            which animal does what, every animal with every action.
        source: where the annotation stands, such as "train.txt, line 12"; for error messages.
        start: where the bout begins in the recording, in seconds; None for a whole video.
        stop: where it ends.
        individual: which animal it is, as the annotator calls it; "" where that is not known.
        group: of clips that are counted together in an evaluation, such as "bird"; "" for none.
    """

    clip_id: str
    path: str
    actions: tuple[str, ...]
    animals: tuple[str, ...]
    split: str
    performed: tuple[tuple[str, str], ...] = ()
    source: str = field(default="", compare=False)
    start: float | None = None
    stop: float | None = None
    individual: str = ""
    group: str = ""


@dataclass(frozen=True)
class Repair:
    """A place of an annotation that is not as it should be, and could be read all the same.

    Attributes:
        file: its name, such as "AR_metadata.xlsx".
        part: of the file, such as a workbook's sheet; "" where it has none.
        row: number of the row or line, from 1.
        kind: what is wrong with it, in a few words that are the same for all such rows.
        found: the text as it stands there.
        taken_as: what it was read as.
    """

    file: str
    part: str
    row: int
    kind: str
    found: str
    taken_as: str


def repair_at(place: str, file: Path, part: str, kind: str, found: str, taken_as: str) -> Repair:
    """The `Repair` of a place such as "train.txt, line 12", which ends with the number."""
    return Repair(file.name, part, int(place.rpartition(" ")[2]), kind, found, taken_as)


@dataclass(frozen=True)
class Annotations:
    """The clips of a dataset and its labels in the order of their ids.

    Attributes:
        clips: in the order of the annotation files.
        action_names: label order of the actions, (C).
        animal_names: label order of the animals, (A).
        roots: the folders that the paths of the clips are relative to; the first that has a video
            is the one that is meant.
        multi_label: whether a clip may show several actions.
        are_frames: whether the paths are those of folders of frames, not of videos.
        repairs: what was not as it should be and could be read.
        notes: what a person should know before a conversion, a line each: which of several forms
            was read, which columns were not used.
        action_segments: "head", "middle" or "tail" of each action, (C), where the distribution says
            so; else ().
        segments_source: which of its files does.
    """

    clips: tuple[Clip, ...]
    action_names: tuple[str, ...]
    animal_names: tuple[str, ...]
    roots: tuple[Path, ...]
    multi_label: bool
    are_frames: bool = False
    repairs: tuple[Repair, ...] = ()
    notes: tuple[str, ...] = ()
    action_segments: tuple[str, ...] = ()
    segments_source: str = ""


def make_clip(
    path: str,
    *,
    actions: Iterable[str],
    animals: Iterable[str],
    split: str,
    source: str,
    performed: Iterable[tuple[str, str]] | None = None,
    start: float | None = None,
    stop: float | None = None,
    individual: str = "",
    group: str = "",
) -> Clip:
    """A `Clip` with repeated labels dropped (the first mention keeps its place).

    Args:
        path: the video as annotated, relative to the folder of videos.
        actions: names of its actions.
        animals: names of its animals.
        split: the split it belongs to.
        source: where the annotation stands.
        performed: (animal, action) pairs; None pairs every animal with every action.
        start: of a bout, in seconds; None for a whole video.
        stop: of the bout.
        individual: which animal it is.
        group: of clips that are counted together.

    Raises:
        AnnotationError: the path is empty, absolute, leads out of the folder of videos or holds a
            control character; a name does not pass `check_name`; or the bout does not begin before
            it ends.
    """
    pure = PurePosixPath(path)
    if not pure.name or pure.is_absolute() or ".." in pure.parts or "\\" in path:
        raise AnnotationError(
            f"{source}: the video {quoted(path)} is not a path inside the folder of videos"
        )
    problem = text_problem(path, "video")
    if problem:
        raise AnnotationError(f"{source}: {problem}")
    actions, animals = tuple(dict.fromkeys(actions)), tuple(dict.fromkeys(animals))
    for name in actions:
        check_name(name, source, "action")
    for name in animals:
        check_name(name, source, "animal")
    for name, what in ((individual, "individual"), (group, "group")):
        if name:
            check_name(name, source, what)
    times = ""
    if start is not None or stop is not None:
        if start is None or stop is None or not 0 <= start < stop < math.inf:
            raise AnnotationError(
                f"{source}: the bout is from {start} to {stop} s; expected a start and a later stop"
            )
        times = f"@{_seconds(start)}-{_seconds(stop)}"
    if performed is None:
        performed = ((animal, action) for animal in animals for action in actions)
    return Clip(
        clip_id=pure.with_suffix("").as_posix() + times,
        path=pure.as_posix(),
        actions=actions,
        animals=animals,
        split=split,
        performed=tuple(dict.fromkeys(performed)),
        source=source,
        start=start,
        stop=stop,
        individual=individual,
        group=group,
    )


def _seconds(time: float) -> str:
    return f"{time:.3f}".rstrip("0").rstrip(".")


def check_name(name: str, place: str, what: str) -> None:
    """Checks that a label is one that can be written into a list of one name a line.

    Args:
        name: of an action or animal, without space around it.
        place: where it stands, for the message.
        what: "action" or "animal".

    Raises:
        AnnotationError: `names.name_problem` finds something.
    """
    problem = name_problem(name, what)
    if problem:
        raise AnnotationError(f"{place}: {problem}")


def make_annotations(
    clips: Iterable[Clip],
    *,
    roots: Sequence[Path],
    multi_label: bool,
    action_names: tuple[str, ...] | None = None,
    animal_names: tuple[str, ...] | None = None,
    are_frames: bool = False,
    repairs: Iterable[Repair] = (),
    notes: Iterable[str] = (),
    action_segments: tuple[str, ...] = (),
    segments_source: str = "",
) -> Annotations:
    """Puts the clips of a dataset together and checks them against each other and the labels.

    Args:
        clips: all clips of all splits.
        roots: the folders that their paths are relative to.
        multi_label: whether a clip may show several actions.
        action_names: label order; None sorts the names that occur.
        animal_names: the same for the animals.
        are_frames, repairs, notes, action_segments, segments_source: as in `Annotations`.

    Raises:
        AnnotationError: no clips, a clip id that occurs twice (in one split or in two) or also in
            another case, a clip without an action, or a label that is not in the pinned order.
    """
    clips = tuple(clips)
    videos = " or ".join(map(str, roots))
    if not clips:
        raise AnnotationError(f"no clip is annotated for the videos in {videos}")
    if action_names is None:
        action_names = tuple(sorted({name for clip in clips for name in clip.actions}))
    if animal_names is None:
        animal_names = tuple(sorted({name for clip in clips for name in clip.animals}))
    for what, names in (("action", action_names), ("animal", animal_names)):
        for name in names:
            check_name(name, f"the labels of the videos in {videos}", what)
    known_actions, known_animals = frozenset(action_names), frozenset(animal_names)
    first: dict[str, Clip] = {}
    for clip in clips:
        other = first.setdefault(clip.clip_id.casefold(), clip)
        if other.clip_id != clip.clip_id:
            raise AnnotationError(
                f"{clip.source}: the clip {quoted(clip.clip_id)} differs in case alone from "
                f"{quoted(other.clip_id)} ({other.source}); on many disks they are one file"
            )
        if other is not clip:
            where = (
                f"twice in the split {clip.split!r}"
                if other.split == clip.split
                else f"in the splits {other.split!r} and {clip.split!r}"
            )
            why = (
                f"; a clip is called by its path without the suffix, so {quoted(clip.path)} and "
                f"{quoted(other.path)} are one: rename one of them"
                if clip.path != other.path
                else ""
            )
            raise AnnotationError(
                f"{clip.source}: the clip {quoted(clip.clip_id)} is {where} "
                f"(before: {other.source}){why}"
            )
        if not clip.actions:
            raise AnnotationError(f"{clip.source}: the clip {quoted(clip.clip_id)} has no action")
        for name in clip.actions:
            if name not in known_actions:
                raise AnnotationError(
                    f"{clip.source}: the action {quoted(name)} is not among the "
                    f"{len(action_names)} action labels"
                )
        for name in clip.animals:
            if name not in known_animals:
                raise AnnotationError(
                    f"{clip.source}: the animal {quoted(name)} is not among the "
                    f"{len(animal_names)} animal labels"
                )
    if action_segments and len(action_segments) != len(action_names):
        raise AnnotationError(
            f"{segments_source}: {len(action_segments)} segments of {len(action_names)} actions"
        )
    return Annotations(
        clips,
        action_names,
        animal_names,
        tuple(roots),
        multi_label,
        are_frames=are_frames,
        repairs=tuple(repairs),
        notes=tuple(notes),
        action_segments=action_segments,
        segments_source=segments_source,
    )
