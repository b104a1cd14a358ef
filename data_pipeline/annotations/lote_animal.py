"""LoTE-Animal: 21 actions, 11 animals, one of each a clip.

Lines are `Action/Video.avi <action id> <animal id>`.
"""

from pathlib import Path

from data_pipeline.annotations.forms import Forms, choice_note, choose_form, sought_files
from data_pipeline.annotations.label_files import find_file, read_labels
from data_pipeline.annotations.layouts import (
    Sought,
    check_source,
    checked_notes,
    folder_of_videos,
    folders_below,
    sought,
)
from data_pipeline.annotations.read_options import DEFAULTS, ReadOptions
from data_pipeline.annotations.record import Annotations, make_annotations
from data_pipeline.annotations.single_label import read_single_label_clips

FORMS: Forms = {
    "text form": {
        "train": ("LoTE_train.txt", "train.txt", "train_list.txt"),
        "val": ("LoTE_val.txt", "val.txt", "val_list.txt"),
        "test": ("LoTE_test.txt", "test.txt", "test_list.txt"),
    },
}
ACTION_LABELS = ("LoTE_label.csv", "label.csv")
ANIMAL_LABELS = ("animal_label.csv", "LoTE_animal_label.csv")
BASES = (".", "LoTE", "LoTE-Animal", "LoTE_Animal")
ANNOTATION_FOLDERS = ("annotations", "annotation", ".")
VIDEO_FOLDERS = ("videos", "video")


def read_lote_animal(source: Path, options: ReadOptions = DEFAULTS) -> Annotations:
    """Annotations of a LoTE-Animal folder.

    Args:
        source: holds, in `annotation/`, `annotations/` or beside it, `LoTE_train.txt`,
            `LoTE_test.txt`, `LoTE_label.csv` (actions) and `animal_label.csv`; or the same without
            `LoTE_`. The folders of the actions, with the videos, lie in `videos/`, in another
            folder or directly in it.
        options: `annotations` is one of the files, if it is not to be found there.

    Raises:
        FileNotFoundError: one of those is not there.
        AnnotationError: a line that does not parse or names an unknown label.
    """
    check_source(source)
    bases = folders_below([source], BASES)
    folders = folders_below(bases, ANNOTATION_FOLDERS)
    form, others = choose_form(FORMS, folders, options.annotations, dataset="LoTE-Animal")
    actions = read_labels(find_file(folders, ACTION_LABELS, "list of actions"))
    animals = read_labels(find_file(folders, ANIMAL_LABELS, "list of animals"))
    clips, notes = read_single_label_clips(
        form, actions=actions, animals=animals, video_folders=VIDEO_FOLDERS
    )
    videos = folder_of_videos(
        [clip.path for clip in clips], bases, VIDEO_FOLDERS, look_everywhere=True
    )
    return make_annotations(
        clips,
        roots=[videos.folder],
        multi_label=False,
        action_names=actions,
        animal_names=animals,
        notes=[
            choice_note(form, others),
            *notes,
            *checked_notes(videos, may_be_missing=options.may_lack_videos),
        ],
    )


def files_of_lote_animal(source: Path) -> tuple[Sought, ...]:
    """The files of a distribution that are looked for."""
    folders = folders_below(folders_below([source], BASES), ANNOTATION_FOLDERS)
    return (
        *sought_files(FORMS, folders),
        sought("names of the actions", ACTION_LABELS, folders, is_needed=True),
        sought("names of the animals", ANIMAL_LABELS, folders, is_needed=True),
    )
