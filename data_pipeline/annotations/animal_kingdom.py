"""Animal Kingdom: 140 actions, 897 animals, several of each a clip.

It is distributed in three forms: a workbook (`animal_kingdom_xlsx`), a text file with one clip a
line, and one in the manner of Charades with one frame a line, which does not name the animals.
"""

from collections.abc import Sequence
from pathlib import Path

from animal_clip_jax.errors import quoted
from data_pipeline.annotations.animal_kingdom_xlsx import (
    read_action_sheet,
    read_animal_sheet,
    read_clip_sheet,
    read_unseen_protocol,
)
from data_pipeline.annotations.animal_pairs import parse_pairs
from data_pipeline.annotations.label_files import (
    Spelling,
    csv_rows,
    find_file,
    find_folder,
    has_file,
    label_at,
    lines_of_split,
    no_clips,
    read_labels,
)
from data_pipeline.annotations.record import (
    AnnotationError,
    Annotations,
    Clip,
    make_annotations,
    make_clip,
)

WORKBOOK = ("AR_metadata.xlsx",)
ACTION_LABELS = ("label.csv", "action_label.csv", "animal_kingdom_label.csv")
ANIMAL_LABELS = ("animal_label.csv", "animal_kingdom_animal_label.csv")
TEXT_FILES = {"train": ("train.txt",), "test": ("test.txt", "val.txt")}
CHARADES_FILES = {"train": ("train.csv",), "test": ("val.csv", "test.csv")}
VIDEO_FOLDERS = ("videos", "video", "dataset/video", "action_recognition/dataset/video")
CHARADES_HEADER = ["original_vido_id", "video_id", "frame_id", "path", "labels"]


def read_animal_kingdom(source: Path) -> Annotations:
    """Annotations of an Animal Kingdom folder, in the first form that is there.

    In this order: `train.txt` and `test.txt`; `AR_metadata.xlsx`; `train.csv` and `val.csv`. Label
    order is that of `label.csv` and `animal_label.csv` where they are, else that of the workbook's
    sheet `Action`, and alphabetic for the animals.

    Args:
        source: holds the videos in `videos/`, `video/` or `dataset/video/`, and the annotations in
            `annotations/`, `annotation/` or beside it; or the same one folder further down, in
            `action_recognition/`.

    Raises:
        FileNotFoundError: there are no videos, or annotations of none of the forms.
        AnnotationError: a line or row that does not parse or names an unknown label.
    """
    videos = find_folder(source, VIDEO_FOLDERS, "folder of videos")
    folders = _annotation_folders(source)
    if any(has_file(folders, names) for names in TEXT_FILES.values()):
        return read_text_form(folders, videos)
    if has_file(folders, WORKBOOK):
        return read_workbook_form(folders, videos)
    return read_charades_form(folders, videos)


def read_animal_kingdom_unseen(source: Path) -> Annotations:
    """The unseen-animal protocol of an Animal Kingdom folder, from the workbook's sheet `CARe`.

    Args:
        source: as for `read_animal_kingdom`.

    Raises:
        FileNotFoundError, AnnotationError: as there.
    """
    videos = find_folder(source, VIDEO_FOLDERS, "folder of videos")
    folders = _annotation_folders(source)
    workbook = find_file(folders, WORKBOOK, "workbook with the unseen-animal protocol")
    clips, _, animals = _workbook_clips(workbook, folders)
    protocol, actions = read_unseen_protocol(workbook, clips)
    return make_annotations(
        protocol,
        videos=videos,
        multi_label=any(len(clip.actions) > 1 for clip in protocol),
        action_names=actions,
        animal_names=animals,
    )


def read_text_form(folders: Sequence[Path], videos: Path) -> Annotations:
    """Lines of `video.mp4<TAB>[('Common Crane', 'Attending'), ...]`.

    Args:
        folders: where to look for the files.
        videos: the folder of videos.

    Raises:
        FileNotFoundError: one of the splits is not there.
        AnnotationError: a line that does not parse or names an unknown label.
    """
    actions = _labels(folders, ACTION_LABELS)
    animals = _labels(folders, ANIMAL_LABELS)
    action_spelling, animal_spelling = Spelling(actions), Spelling(animals)
    clips = [
        _parse_text_line(line, place, split, action_spelling, animal_spelling)
        for split, names in TEXT_FILES.items()
        for place, line in lines_of_split(find_file(folders, names, f"{split} split"), split)
    ]
    return make_annotations(
        clips, videos=videos, multi_label=True, action_names=actions, animal_names=animals
    )


def read_charades_form(folders: Sequence[Path], videos: Path) -> Annotations:
    """Rows of `original_vido_id video_id frame_id path labels`, one a frame; animals are not known.

    Args:
        folders: where to look for the files.
        videos: the folder of videos.

    Raises:
        FileNotFoundError: one of the splits, or the names of the actions, are not there.
        AnnotationError: a row that does not parse or names an unknown label.
    """
    files = {
        split: find_file(folders, names, f"annotation of the {split} split")
        for split, names in CHARADES_FILES.items()
    }
    if has_file(folders, ACTION_LABELS) or not has_file(folders, WORKBOOK):
        actions = read_labels(find_file(folders, ACTION_LABELS, "list of actions"))
    else:
        actions = read_action_sheet(find_file(folders, WORKBOOK, "list of actions"))
    clips = [
        clip for split, path in files.items() for clip in _charades_clips(path, split, actions)
    ]
    return make_annotations(clips, videos=videos, multi_label=True, action_names=actions)


def read_workbook_form(folders: Sequence[Path], videos: Path) -> Annotations:
    """The sheet `AR` of `AR_metadata.xlsx`.

    Args:
        folders: where to look for the workbook and the label files.
        videos: the folder of videos.

    Raises:
        FileNotFoundError: there is no workbook.
        AnnotationError: a row that does not parse or names an unknown label.
    """
    workbook = find_file(folders, WORKBOOK, "workbook")
    clips, actions, animals = _workbook_clips(workbook, folders)
    return make_annotations(
        clips.values(),
        videos=videos,
        multi_label=True,
        action_names=actions,
        animal_names=animals,
    )


def _workbook_clips(
    workbook: Path, folders: Sequence[Path]
) -> tuple[dict[str, Clip], tuple[str, ...], tuple[str, ...] | None]:
    """Clips by video id, actions, and the animals if their order is given."""
    numbered = read_action_sheet(workbook)
    actions = _labels(folders, ACTION_LABELS)
    if actions is not None and [n.casefold() for n in actions] != [n.casefold() for n in numbered]:
        raise AnnotationError(
            f"the action labels beside {workbook} are not those of its sheet Action"
        )
    actions = actions or numbered
    animals = _labels(folders, ANIMAL_LABELS)
    spelling = Spelling(animals or read_animal_sheet(workbook))
    clips: dict[str, Clip] = {}
    for video_id, clip in read_clip_sheet(workbook, actions, spelling):
        other = clips.setdefault(video_id, clip)
        if other is not clip:
            raise AnnotationError(
                f"{clip.source}: the clip {quoted(video_id)} occurs again (before: {other.source})"
            )
    return clips, actions, animals


def _parse_text_line(
    line: str, place: str, split: str, actions: Spelling, animals: Spelling
) -> Clip:
    video, separator, pairs = line.partition("\t")
    if not separator:
        raise AnnotationError(
            f"{place}: expected `video.mp4<TAB>[('animal', 'action'), ...]`, found {quoted(line)}"
        )
    performed = [
        (animals.of(animal), actions.of(action)) for animal, action in parse_pairs(pairs, place)
    ]
    return make_clip(
        video.strip(),
        actions=[action for _, action in performed],
        animals=[animal for animal, _ in performed],
        split=split,
        source=place,
        performed=performed,
    )


def _charades_clips(path: Path, split: str, actions: tuple[str, ...]) -> list[Clip]:
    labels: dict[str, dict[str, str]] = {}  # of each video: the action names and where they stand
    for place, row in csv_rows(path, delimiter=" "):
        if row[: len(CHARADES_HEADER)] == CHARADES_HEADER:
            continue
        # A space at the end of a line makes an empty cell.
        if len(row) < len(CHARADES_HEADER) or not row[4] or any(row[len(CHARADES_HEADER) :]):
            raise AnnotationError(
                f"{place}: expected `{' '.join(CHARADES_HEADER)}`, found {quoted(' '.join(row))}"
            )
        of_video = labels.setdefault(row[0], {})
        for number in row[4].split(","):
            name = label_at(actions, number.strip(), place=place, what="action")
            of_video.setdefault(name, place)
    if not labels:
        raise no_clips(path, split)
    return [
        make_clip(
            f"{video}.mp4",
            actions=named,
            animals=(),
            split=split,
            source=next(iter(named.values())),
        )
        for video, named in labels.items()
    ]


def _annotation_folders(source: Path) -> list[Path]:
    roots = (source, source / "action_recognition")
    return [root / name for root in roots for name in ("annotations", "annotation", ".")]


def _labels(folders: Sequence[Path], names: Sequence[str]) -> tuple[str, ...] | None:
    if not has_file(folders, names):
        return None
    return read_labels(find_file(folders, names, "labels"))
