"""Animal Kingdom: 140 actions, 897 animals, several of each a clip.

It is distributed in three forms: the official workbook (`animal_kingdom_xlsx`), the text files of
the paper's release with one clip a line, and files in the manner of Charades with one frame a line
(`animal_kingdom_text`).
"""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from animal_clip_jax.errors import shortened
from data_pipeline.annotations.animal_kingdom_text import (
    read_charades_form,
    read_text_form,
)
from data_pipeline.annotations.animal_kingdom_xlsx import (
    ClipSheet,
    read_action_sheet,
    read_animal_sheet,
    read_clip_sheet,
)
from data_pipeline.annotations.forms import (
    Form,
    Forms,
    choice_note,
    choose_form,
    contradiction,
    sought_files,
)
from data_pipeline.annotations.label_files import (
    Spelling,
    find_file,
    has_file,
    read_labels,
)
from data_pipeline.annotations.layouts import (
    Sought,
    Videos,
    check_source,
    checked_notes,
    find,
    folder_of_videos,
    folders_below,
    sought,
)
from data_pipeline.annotations.long_tail_sheet import SEGMENT_FILES, with_official_segments
from data_pipeline.annotations.read_options import DEFAULTS, ReadOptions
from data_pipeline.annotations.record import (
    AnnotationError,
    Annotations,
    Clip,
    Repair,
    make_annotations,
)
from data_pipeline.annotations.workbook import Workbook

WORKBOOK = ("AR_metadata.xlsx",)
ACTION_LABELS = ("label.csv", "action_label.csv", "animal_kingdom_label.csv")
ANIMAL_LABELS = ("animal_label.csv", "animal_kingdom_animal_label.csv")
RELATIONS = ("animal-action-relation.txt",)
WORKBOOK_FORM, TEXT_FORM, CHARADES_FORM = "official workbook", "text form", "Charades form"
# Of each form: the names that the file of each part may have. The order is that of preference: the
# numbers in the workbook's column `labels` are what the official evaluation takes for the actions.
FORMS: Forms = {
    WORKBOOK_FORM: {"all": WORKBOOK},
    TEXT_FORM: {
        "train": ("train_all.txt", "train.txt"),
        "test": ("test_animal.txt", "test.txt", "val.txt"),
    },
    CHARADES_FORM: {"train": ("train.csv",), "test": ("val.csv", "test.csv")},
}
BASES = (
    ".",
    "action_recognition",
    "Animal_Kingdom",
    "Animal_Kingdom/action_recognition",
    "AnimalKingdom",
    "AnimalKingdom/action_recognition",
)
ANNOTATION_FOLDERS = ("annotations", "annotation", ".")
VIDEO_FOLDERS = ("videos", "video", "dataset/video", "dataset/videos")
FRAME_FOLDERS = ("dataset/image", "dataset/images", "image", "images")


def read_animal_kingdom(source: Path, options: ReadOptions = DEFAULTS) -> Annotations:
    """Annotations of an Animal Kingdom folder, in the first form that is there.

    In this order: `AR_metadata.xlsx`; `train_all.txt` and `test_animal.txt` (or `train.txt` and
    `test.txt`); `train.csv` and `val.csv`. Label order is that of `label.csv` and
    `animal_label.csv` where they are, else that of the workbook's sheet `Action`, and alphabetic
    for the animals. `df_action.xlsx` beside them has the official long-tail split.

    Args:
        source: the unpacked distribution: the folder `Animal_Kingdom`, the one above it, or its
            `action_recognition`; with the annotations in `annotation/`, `annotations/` or beside
            it, and the videos in `dataset/video/`, `video/` or `videos/`, or folders of frames in
            `dataset/image/`.
        options: `annotations` is a file of the form that is wanted; `actions_from` is about the
            workbook.

    Raises:
        FileNotFoundError: there is no folder of videos, or annotations of none of the forms.
        AnnotationError: a line or row that does not parse or names an unknown label.
    """
    check_source(source)
    folders = annotation_folders(source)
    form, others = choose_form(FORMS, folders, options.annotations, dataset="Animal Kingdom")
    notes = [choice_note(form, others)]
    actions = _labels(folders, ACTION_LABELS)
    animals = _labels(folders, ANIMAL_LABELS)
    repairs: Sequence[Repair] = ()
    if form.name == WORKBOOK_FORM:
        sheet, actions = _read_workbook(form.files["all"], actions, animals, options.actions_from)
        clips, repairs = list(sheet.clips.values()), sheet.repairs
        notes += _notes_on_sheet(sheet, options.actions_from)
    else:
        if options.actions_from != DEFAULTS.actions_from:
            notes.append(f"--actions_from is about the workbook alone; this is {form}")
        if form.name == TEXT_FORM:
            clips, repairs = read_text_form(form.files, Spelling(actions), Spelling(animals))
        else:
            actions, repairs = _numbered_actions(folders)
            animals = None
            clips = read_charades_form(form.files, actions)
    notes += [_contradiction(clips, form, other, folders) for other in others]
    videos, clips = videos_of_animal_kingdom(source, clips)
    notes += checked_notes(videos, may_be_missing=options.may_lack_videos)
    annotations = make_annotations(
        clips,
        roots=[videos.folder],
        multi_label=True,
        action_names=actions,
        animal_names=animals,
        are_frames=videos.are_frames,
        repairs=repairs,
        notes=filter(None, notes),
    )
    return with_official_segments(annotations, folders)


def videos_of_animal_kingdom(source: Path, clips: Sequence[Clip]) -> tuple[Videos, list[Clip]]:
    """Where the videos of the clips are, and the clips with the paths of folders if those are what
    is there.

    Args:
        source: as for `read_animal_kingdom`.
        clips: with the paths of videos.
    """
    videos = folder_of_videos(
        [clip.path for clip in clips],
        folders_below([source], BASES),
        VIDEO_FOLDERS,
        frame_names=FRAME_FOLDERS,
    )
    if videos.are_frames:
        clips = [dataclasses.replace(clip, path=clip.clip_id) for clip in clips]
    return videos, list(clips)


def annotation_folders(source: Path) -> tuple[Path, ...]:
    """The folders of a distribution that its annotations may be in."""
    return folders_below(folders_below([source], BASES), ANNOTATION_FOLDERS)


def files_of_animal_kingdom(source: Path) -> tuple[Sought, ...]:
    """The files of a distribution that are looked for."""
    folders = annotation_folders(source)
    return (
        *sought_files(FORMS, folders),
        sought("labels of the actions", ACTION_LABELS, folders),
        sought("labels of the animals", ANIMAL_LABELS, folders),
        sought("head, middle and tail", SEGMENT_FILES, folders),
        sought("who does what", RELATIONS, folders),
    )


def _read_workbook(
    path: Path,
    actions: tuple[str, ...] | None,
    animals: tuple[str, ...] | None,
    actions_from: str,
) -> tuple[ClipSheet, tuple[str, ...]]:
    """The clips, and the names of the actions, as the labels beside the workbook spell them."""
    with Workbook(path) as workbook:
        numbered, repairs = read_action_sheet(workbook)
        if actions is not None and [*map(str.casefold, actions)] != [*map(str.casefold, numbered)]:
            raise AnnotationError(
                f"the action labels beside {path} are not those of its sheet Action"
            )
        actions = actions or numbered
        spelling = Spelling(animals or read_animal_sheet(workbook))
        sheet = read_clip_sheet(workbook, actions, spelling, actions_from=actions_from)
    return sheet._replace(repairs=(*repairs, *sheet.repairs)), actions


def _numbered_actions(folders: Sequence[Path]) -> tuple[tuple[str, ...], tuple[Repair, ...]]:
    """Names of the actions in the order of their numbers, from whichever file has them."""
    if has_file(folders, ACTION_LABELS) or not has_file(folders, WORKBOOK):
        return read_labels(find_file(folders, ACTION_LABELS, "list of actions")), ()
    with Workbook(find_file(folders, WORKBOOK, "list of actions")) as workbook:
        return read_action_sheet(workbook)


def _notes_on_sheet(sheet: ClipSheet, actions_from: str) -> list[str]:
    notes = [f"the actions of a clip are from its {actions_from} (--actions_from)"]
    if sheet.unlisted:
        names = shortened(", ".join(sheet.unlisted))
        notes.append(f"{len(sheet.unlisted)} animals are not in the sheet Animal: {names}")
    return notes


def _contradiction(clips: Sequence[Clip], form: Form, other: Form, folders: Sequence[Path]) -> str:
    by_pairs = TEXT_FORM in (form.name, other.name)

    def read(unread: Form) -> dict[str, object]:
        return _content(_clips_of(unread, folders), by_pairs)

    return contradiction(_content(clips, by_pairs), form, other, read)


def _content(clips: Iterable[Clip], by_pairs: bool) -> dict[str, object]:
    """The split and the actions of each clip, to compare forms by, in whatever case they are
    written; the actions of its pairs, as far as the form is one that has nothing else."""
    return {
        clip.clip_id: (
            clip.split,
            frozenset(
                name.casefold()
                for name in ((action for _, action in clip.performed) if by_pairs else clip.actions)
            ),
        )
        for clip in clips
    }


def _clips_of(form: Form, folders: Sequence[Path]) -> list[Clip]:
    """The clips of a form that is only looked at."""
    if form.name == TEXT_FORM:
        return read_text_form(form.files, Spelling(None), Spelling(None))[0]
    if form.name == WORKBOOK_FORM:
        labels = _labels(folders, ACTION_LABELS), _labels(folders, ANIMAL_LABELS)
        return list(_read_workbook(form.files["all"], *labels, "labels")[0].clips.values())
    return read_charades_form(form.files, _numbered_actions(folders)[0])


def _labels(folders: Sequence[Path], names: Sequence[str]) -> tuple[str, ...] | None:
    path = find(folders, names)
    return None if path is None else read_labels(path)
