"""LoTE-Animal: 21 actions, 11 animals, one of each a clip.

Lines are `Action/Video.avi <action id> <animal id>`.
"""

from pathlib import Path

from data_pipeline.annotations.files import (
    find_file,
    find_folder,
    label_at,
    numbered_lines,
    read_labels,
)
from data_pipeline.annotations.record import (
    AnnotationError,
    Annotations,
    Clip,
    make_annotations,
    make_clip,
)

SPLIT_FILES = {
    "train": ("train.txt", "train_list.txt", "lote_train.txt"),
    "val": ("val.txt", "val_list.txt", "lote_val.txt"),
    "test": ("test.txt", "test_list.txt", "lote_test.txt"),
}
OPTIONAL_SPLITS = ("val",)


def read_lote_animal(source: Path) -> Annotations:
    """Annotations of a LoTE-Animal folder.

    Args:
        source: holds `videos/` and, in `annotations/` or beside it, `train.txt`, `test.txt`,
            `label.csv` (actions) and `animal_label.csv`.

    Raises:
        FileNotFoundError: one of those is not there.
        AnnotationError: a line that does not parse or names an unknown label.
    """
    videos = find_folder(source, ("videos", "video", "Videos"), "folder of videos")
    folders = (source / "annotations", source)
    actions = read_labels(
        find_file(folders, ("label.csv", "lote_label.csv", "action_label.csv"), "list of actions")
    )
    animals = read_labels(
        find_file(folders, ("animal_label.csv", "lote_animal_label.csv"), "list of animals")
    )
    clips = []
    for split, names in SPLIT_FILES.items():
        if split in OPTIONAL_SPLITS and not any((f / n).is_file() for f in folders for n in names):
            continue
        path = find_file(folders, names, f"annotation of the {split} split")
        clips += [
            _parse_line(line, place, split, actions, animals)
            for place, line in numbered_lines(path)
        ]
    return make_annotations(
        clips, videos=videos, multi_label=False, action_names=actions, animal_names=animals
    )


def _parse_line(
    line: str, place: str, split: str, actions: tuple[str, ...], animals: tuple[str, ...]
) -> Clip:
    fields = line.rsplit(maxsplit=2)  # a path may hold spaces
    if len(fields) != 3:
        raise AnnotationError(f"{place}: expected `video <action id> <animal id>`, found {line!r}")
    return make_clip(
        fields[0],
        actions=[label_at(actions, fields[1], place=place, what="action")],
        animals=[label_at(animals, fields[2], place=place, what="animal")],
        split=split,
        source=place,
    )
