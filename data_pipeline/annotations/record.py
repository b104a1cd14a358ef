"""The one form into which every parser brings its annotations."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from animal_clip_jax.errors import UserError, quoted
from data_pipeline.names import name_problem, text_problem


class AnnotationError(UserError):
    """An annotation file that cannot be used as it is: which one, where, and why."""


@dataclass(frozen=True)
class Clip:
    """One annotated video.

    Attributes:
        clip_id: unique in its dataset: `path` without its suffix.
        path: the video, relative to the folder of videos, separated by `/`.
        actions: every action that somebody performs in it, without repetition.
        animals: every animal that is in it, without repetition.
        split: such as "train", "val" or "test".
        performed: the (animal, action) pairs that are known; where the annotation does not say
            which animal does what, every animal with every action.
        source: where the annotation stands, such as "train.txt, line 12"; for error messages.
    """

    clip_id: str
    path: str
    actions: tuple[str, ...]
    animals: tuple[str, ...]
    split: str
    performed: tuple[tuple[str, str], ...] = ()
    source: str = field(default="", compare=False)


@dataclass(frozen=True)
class Annotations:
    """The clips of a dataset and its labels in the order of their ids.

    Attributes:
        clips: in the order of the annotation files.
        action_names: label order of the actions, (C).
        animal_names: label order of the animals, (A).
        videos: the folder that the paths of the clips are relative to.
        multi_label: whether a clip may show several actions.
    """

    clips: tuple[Clip, ...]
    action_names: tuple[str, ...]
    animal_names: tuple[str, ...]
    videos: Path
    multi_label: bool


def make_clip(
    path: str,
    *,
    actions: Iterable[str],
    animals: Iterable[str],
    split: str,
    source: str,
    performed: Iterable[tuple[str, str]] | None = None,
) -> Clip:
    """A `Clip` with repeated labels dropped (the first mention keeps its place).

    Args:
        path: the video as annotated, relative to the folder of videos.
        actions: names of its actions.
        animals: names of its animals.
        split: the split it belongs to.
        source: where the annotation stands.
        performed: (animal, action) pairs; None pairs every animal with every action.

    Raises:
        AnnotationError: the path is empty, absolute, leads out of the folder of videos or holds a
            control character; or a name does not pass `check_name`.
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
    if performed is None:
        performed = ((animal, action) for animal in animals for action in actions)
    return Clip(
        clip_id=pure.with_suffix("").as_posix(),
        path=pure.as_posix(),
        actions=actions,
        animals=animals,
        split=split,
        performed=tuple(dict.fromkeys(performed)),
        source=source,
    )


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
    videos: Path,
    multi_label: bool,
    action_names: tuple[str, ...] | None = None,
    animal_names: tuple[str, ...] | None = None,
) -> Annotations:
    """Puts the clips of a dataset together and checks them against each other and the labels.

    Args:
        clips: all clips of all splits.
        videos: the folder that their paths are relative to.
        multi_label: whether a clip may show several actions.
        action_names: label order; None sorts the names that occur.
        animal_names: the same for the animals.

    Raises:
        AnnotationError: no clips, a clip id that occurs twice (in one split or in two), a clip
            without an action, or a label that is not in the pinned order.
    """
    clips = tuple(clips)
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
        other = first.setdefault(clip.clip_id, clip)
        if other is not clip:
            where = (
                f"twice in the split {clip.split!r}"
                if other.split == clip.split
                else f"in the splits {other.split!r} and {clip.split!r}"
            )
            raise AnnotationError(
                f"{clip.source}: the clip {quoted(clip.clip_id)} is {where} "
                f"(before: {other.source})"
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
    return Annotations(clips, action_names, animal_names, videos, multi_label)
