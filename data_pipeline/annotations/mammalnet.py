"""MammalNet: 12 behaviours, 173 genera, one of each a clip.

The paper's release lists them as `video.mp4 <behaviour id> <animal id>`, the official distribution
in CSV files. In the compositional split, most test clips show pairs of animal and behaviour that do
not occur in training.
"""

from pathlib import Path

from data_pipeline.annotations.forms import (
    Form,
    Forms,
    choice_note,
    choose_form,
    contradiction,
    sought_files,
)
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
from data_pipeline.annotations.record import Annotations, Clip, make_annotations
from data_pipeline.annotations.single_label import compositions_note, read_single_label_clips

FORMS: Forms = {
    "text form": {
        "train": ("train.txt", "mammalnet_train.txt"),
        "val": ("val.txt", "mammalnet_val.txt"),
        "test": ("test.txt", "mammalnet_test.txt"),
    },
    "official csv": {"train": ("train.csv",), "val": ("val.csv",), "test": ("test.csv",)},
}
ACTION_LABELS = ("behavior_to_id.csv", "behaviour_to_id.csv", "label.csv")
ANIMAL_LABELS = ("genus_to_id.csv", "animal_label.csv")
BASES = (".", "MammalNet")
ANNOTATION_FOLDERS = (
    *("annotations/compositional", "annotations/composition"),
    *("annotation/composition", "annotation/compositional", "composition"),
    *("annotations", "annotation", "."),
)
VIDEO_FOLDERS = ("videos", "video", "trimmed_video", "trimmed_videos")


def read_mammalnet(source: Path, options: ReadOptions = DEFAULTS) -> Annotations:
    """Annotations of a MammalNet folder.

    Args:
        source: holds `trimmed_video/`, `trimmed_videos/` or `videos/` and, in
            `annotation/composition/`, `annotations/compositional/`, `annotations/` or beside it,
            `train.txt` and `test.txt`, or else `train.csv` and `test.csv`; and `behavior_to_id.csv`
            and `genus_to_id.csv`.
        options: `annotations` is a file of the form that is wanted.

    Raises:
        FileNotFoundError: one of those is not there.
        AnnotationError: a line that does not parse or names an unknown label.
    """
    check_source(source)
    bases = folders_below([source], BASES)
    folders = folders_below(bases, ANNOTATION_FOLDERS)
    form, others = choose_form(FORMS, folders, options.annotations, dataset="MammalNet")
    actions = read_labels(find_file(folders, ACTION_LABELS, "list of behaviours"))
    animals = read_labels(find_file(folders, ANIMAL_LABELS, "list of animals"))

    def read(of_form: Form) -> tuple[list[Clip], list[str]]:
        return read_single_label_clips(
            of_form, actions=actions, animals=animals, video_folders=VIDEO_FOLDERS
        )

    clips, notes = read(form)

    def listed(of_clips: list[Clip]) -> dict[str, object]:
        return {clip.clip_id: (clip.split, clip.performed) for clip in of_clips}

    notes = [
        choice_note(form, others),
        *notes,
        *(
            contradiction(listed(clips), form, other, lambda it: listed(read(it)[0]))
            for other in others
        ),
        compositions_note(clips),
    ]
    videos = folder_of_videos([clip.path for clip in clips], bases, VIDEO_FOLDERS)
    notes += checked_notes(videos, may_be_missing=options.may_lack_videos)
    return make_annotations(
        clips,
        roots=[videos.folder],
        multi_label=False,
        action_names=actions,
        animal_names=animals,
        notes=filter(None, notes),
    )


def files_of_mammalnet(source: Path) -> tuple[Sought, ...]:
    """The files of a distribution that are looked for."""
    folders = folders_below(folders_below([source], BASES), ANNOTATION_FOLDERS)
    return (
        *sought_files(FORMS, folders),
        sought("names of the behaviours", ACTION_LABELS, folders, is_needed=True),
        sought("names of the animals", ANIMAL_LABELS, folders, is_needed=True),
        sought("who does what", ("relation.txt",), folders),
    )
