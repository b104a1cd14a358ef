"""LoTE-Animal: 21 actions, 11 animals, one of each a clip.

Lines are `Action/Video.avi <action id> <animal id>`.
"""

from pathlib import Path

from data_pipeline.annotations.label_files import find_file, find_folder, read_labels
from data_pipeline.annotations.record import Annotations
from data_pipeline.annotations.single_label import read_single_label_clips

SPLIT_FILES = {
    "train": ("train.txt", "train_list.txt", "lote_train.txt"),
    "val": ("val.txt", "val_list.txt", "lote_val.txt"),
    "test": ("test.txt", "test_list.txt", "lote_test.txt"),
}


def read_lote_animal(source: Path) -> Annotations:
    """Annotations of a LoTE-Animal folder.

    Args:
        source: holds `videos/` and, in `annotations/` or beside it, `train.txt`, `test.txt`,
            `label.csv` (actions) and `animal_label.csv`.

    Raises:
        FileNotFoundError: one of those is not there.
        AnnotationError: a line that does not parse or names an unknown label.
    """
    videos = find_folder(source, ("videos", "video"), "folder of videos")
    folders = [source / "annotations", source]
    return read_single_label_clips(
        folders,
        SPLIT_FILES,
        videos=videos,
        actions=read_labels(find_file(folders, ("label.csv", "lote_label.csv"), "list of actions")),
        animals=read_labels(
            find_file(folders, ("animal_label.csv", "lote_animal_label.csv"), "list of animals")
        ),
    )
