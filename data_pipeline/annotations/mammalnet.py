"""MammalNet: 12 behaviours, 173 genera, one of each a clip.

Lines are `video.mp4 <behaviour id> <animal id>`. In the compositional split, the test clips show
pairs of animal and behaviour that do not occur in training.
"""

from pathlib import Path

from data_pipeline.annotations.label_files import find_file, find_folder, read_labels
from data_pipeline.annotations.record import Annotations
from data_pipeline.annotations.single_label import read_single_label_clips

SPLIT_FILES = {
    "train": ("train.txt", "mammalnet_train.txt"),
    "val": ("val.txt", "mammalnet_val.txt"),
    "test": ("test.txt", "mammalnet_test.txt"),
}
COMPOSITIONAL_FOLDERS = ("annotations/compositional", "annotations/composition")


def read_mammalnet(source: Path) -> Annotations:
    """Annotations of a MammalNet folder.

    Args:
        source: holds `videos/` (or `trimmed_video/`) and, in `annotations/compositional/`,
            `annotations/` or beside it, `train.txt`, `test.txt`, `behavior_to_id.csv` and
            `genus_to_id.csv`.

    Raises:
        FileNotFoundError: one of those is not there.
        AnnotationError: a line that does not parse or names an unknown label.
    """
    videos = find_folder(source, ("videos", "video", "trimmed_video"), "folder of videos")
    folders = [source / name for name in (*COMPOSITIONAL_FOLDERS, "annotations", ".")]
    return read_single_label_clips(
        folders,
        SPLIT_FILES,
        videos=videos,
        actions=read_labels(
            find_file(folders, ("behavior_to_id.csv", "label.csv"), "list of behaviours")
        ),
        animals=read_labels(
            find_file(folders, ("genus_to_id.csv", "animal_label.csv"), "list of animals")
        ),
    )
