"""Lines of `video <action id> <animal id>`: the form of MammalNet and LoTE-Animal."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from animal_clip_jax.errors import quoted
from data_pipeline.annotations.label_files import find_file, has_file, label_at, lines_of_split
from data_pipeline.annotations.record import (
    AnnotationError,
    Annotations,
    Clip,
    make_annotations,
    make_clip,
)

REQUIRED_SPLITS = ("train", "test")


def read_single_label_clips(
    folders: Sequence[Path],
    split_files: Mapping[str, Sequence[str]],
    *,
    videos: Path,
    actions: tuple[str, ...],
    animals: tuple[str, ...],
) -> Annotations:
    """Clips with one action and one animal each.

    Args:
        folders: where to look for the files.
        split_files: the names that the file of each split may have; train and test must be there.
        videos: the folder of videos.
        actions: names in label order.
        animals: names in label order.

    Raises:
        FileNotFoundError: the file of a required split is not there.
        AnnotationError: a file without a line, or a line that does not parse or names an unknown
            label.
    """
    clips = []
    for split, names in split_files.items():
        if split in REQUIRED_SPLITS or has_file(folders, names):
            path = find_file(folders, names, f"annotation of the {split} split")
            clips += [
                _parse_line(line, place, split, actions, animals)
                for place, line in lines_of_split(path, split)
            ]
    return make_annotations(
        clips, videos=videos, multi_label=False, action_names=actions, animal_names=animals
    )


def _parse_line(
    line: str, place: str, split: str, actions: tuple[str, ...], animals: tuple[str, ...]
) -> Clip:
    fields = line.rsplit(maxsplit=2)  # a path may hold spaces
    if len(fields) != 3:
        raise AnnotationError(
            f"{place}: expected `video <action id> <animal id>`, found {quoted(line)}"
        )
    return make_clip(
        fields[0],
        actions=[label_at(actions, fields[1], place=place, what="action")],
        animals=[label_at(animals, fields[2], place=place, what="animal")],
        split=split,
        source=place,
    )
