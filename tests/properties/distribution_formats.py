"""The annotations of public data sets, as they are distributed."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import openpyxl
from damage import Format, is_same
from plain_readings import ACTIONS, ANIMALS, labels_of, lines_of, rows_of

from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.annotations.long_tail_sheet import read_action_segments
from data_pipeline.annotations.record import Annotations

Clips = list[tuple[str, tuple[str, ...], tuple[str, ...], str]]

VIDEO_FOLDERS = ("trimmed_video", "trimmed_videos", "video", "videos")


def _clips(found: Annotations) -> Clips:
    return [(clip.path, clip.actions, clip.animals, clip.split) for clip in found.clips]


def _annotations(dataset: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        found = read_annotations(dataset, folder)
        return _clips(found), list(found.action_names), list(found.animal_names)

    return read


def _make_lists(actions: str, animals: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / "videos").mkdir()
        (folder / "train.txt").write_text("Keeping still/a 1.mp4 0 1\nMoving/b.mp4 1 0\n")
        (folder / "test.txt").write_text("Moving/c.mp4 1 1\n")
        for name, labels in ((actions, ACTIONS), (animals, ANIMALS)):
            rows = "".join(f"{number},{label}\n" for number, label in enumerate(labels))
            (folder / name).write_text("id,label\n" + rows)

    return make


def _as_lists_say(actions: str, animals: str) -> Callable[[Path, Any], bool]:
    def agrees(folder: Path, content: Any) -> bool:
        action_names, animal_names = labels_of(folder / actions), labels_of(folder / animals)
        clips = []
        for split in ("train", "test"):
            for line in lines_of(folder / f"{split}.txt"):
                path, action, animal = line.rsplit(maxsplit=2)
                labels = ((action_names[int(action)],), (animal_names[int(animal)],))
                clips.append((PurePosixPath(path).as_posix(), *labels, split))
        return is_same(content, (clips, action_names, animal_names))

    return agrees


def _make_official_csv(folder: Path) -> None:
    """MammalNet's, with names and numbers."""
    (folder / "trimmed_video").mkdir()
    annotation = folder / "annotation" / "composition"
    annotation.mkdir(parents=True)
    (annotation / "train.csv").write_text("trimmed_video/a 1.mp4,0,1\ntrimmed_video/b.mp4,1,0\n")
    (annotation / "test.csv").write_text(f"trimmed_video/c.mp4,{ACTIONS[1]},{ANIMALS[1]}\n")
    for name, labels in (("behavior_to_id.csv", ACTIONS), ("genus_to_id.csv", ANIMALS)):
        rows = "".join(f"{number},{label}\n" for number, label in enumerate(labels))
        (annotation / name).write_text("\ufeffid,label\n" + rows)


def _as_official_csv_says(folder: Path, content: Any) -> bool:
    annotation = folder / "annotation" / "composition"
    names = [labels_of(annotation / f"{name}_to_id.csv") for name in ("behavior", "genus")]
    clips = []
    for split in ("train", "test"):
        path = annotation / f"{split}.csv"
        separator = next(one for one in ",;\t" if lines_of(path)[0].count(one) >= 2)
        for video, *labels in rows_of(path, separator):
            folded = [{name.casefold(): name for name in of} for of in names]
            found = [
                (of_name.get(label.casefold()) or of[int(label)],)
                for label, of_name, of in zip(labels, folded, names, strict=True)
            ]
            parts = PurePosixPath(video).parts
            is_folder = len(parts) > 1 and parts[0].casefold() in VIDEO_FOLDERS
            clips.append((PurePosixPath(*parts[is_folder:]).as_posix(), *found, split))
    return is_same(content, (clips, *names))


def _make_kingdom(train: str, test: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / "videos").mkdir()
        pairs = "A.mp4\t[('Fish', 'Moving'), (\"Russell's Viper\", 'Keeping still')]\n"
        (folder / train).write_text(pairs + "B.mp4\t[('Fish', 'Keeping still')]\n")
        (folder / test).write_text("C.mp4\t[('Fish', 'Moving')]\n")

    return make


def _pairs(text: str) -> list[tuple[str, str]]:
    """The form is no Python: quotes in names are not escaped, and some around them are missing."""

    pairs = []
    inner = text[text.index("(") + 1 : text.rindex(")")].replace("\\", "")
    for pair in re.split(r"\)[\s,\[\]'\"]*\(", inner):
        inside = pair.strip().removesuffix(",").rstrip()
        start = inside[:-1].rindex(inside[-1])  # the quotes around the action
        animal = inside[:start].rstrip().removesuffix(",").strip()
        animal = animal[1:].strip() if animal[:1] in ("'", '"') else animal
        animal = animal[:-1].strip() if animal[-1:] in ("'", '"') else animal
        pairs.append((animal, inside[start + 1 : -1].strip()))
    return pairs


def _as_kingdom_says(train: str, test: str) -> Callable[[Path, Any], bool]:
    def agrees(folder: Path, content: Any) -> bool:
        clips = [
            (*said, split)
            for split, name in (("train", train), ("test", test))
            for said in _kingdom_clips(folder / name)
        ]
        names = [sorted({name for clip in clips for name in clip[part]}) for part in (1, 2)]
        return is_same(content, (clips, *names))

    return agrees


def _kingdom_clips(path: Path) -> Iterator[tuple]:
    for line in lines_of(path):
        video, _, text = line.partition("\t")
        actions = tuple(dict.fromkeys(action for _, action in _pairs(text)))
        animals = tuple(dict.fromkeys(animal for animal, _ in _pairs(text)))
        yield PurePosixPath(video.strip()).as_posix(), actions, animals


def _make_charades(folder: Path) -> None:
    (folder / "videos").mkdir()
    for name, videos in (("train.csv", {"A": "1", "B": "0,1"}), ("val.csv", {"C": "0"})):
        rows = "".join(
            f'{video} {number} {frame} {video}/{video}_00000{frame}.jpg "{ids}"\n'
            for number, (video, ids) in enumerate(videos.items())
            for frame in (1, 2)
        )
        (folder / name).write_text("original_vido_id video_id frame_id path labels\n" + rows)
    rows = "".join(f"{number},{label}\n" for number, label in enumerate(ACTIONS))
    (folder / "label.csv").write_text("id,label\n" + rows)


def _as_charades_says(folder: Path, content: Any) -> bool:
    names = labels_of(folder / "label.csv")
    clips = []
    for split, name in (("train", "train.csv"), ("test", "val.csv")):
        of_video: dict[str, dict[str, None]] = {}
        for row in rows_of(folder / name, " "):
            if row[0] != "original_vido_id":
                found = [names[int(number)] for number in row[4].split(",")]
                of_video.setdefault(row[0], {}).update(dict.fromkeys(found))
        for video, actions in of_video.items():
            clips.append((PurePosixPath(f"{video}.mp4").as_posix(), tuple(actions), (), split))
    return is_same(content, (clips, names, []))


def _save_workbook(path: Path, sheets: dict[str, list[tuple]]) -> None:
    book = openpyxl.Workbook()
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    book.save(path)


def _make_workbook(folder: Path) -> None:
    (folder / "videos").mkdir()
    sheets = {
        "AR": [
            ("video_id", "type", "labels", "list_animal_action"),
            ("A", "train", "1", "[('Fish', 'Moving')]"),
            ("B", "test", "0", "[(\"Russell's Viper\", 'Keeping still')]"),
        ],
        "Action": [("Label", "Action"), *enumerate(ACTIONS)],
        "Animal": [("Animal", "Parent Class"), *((name, "y") for name in ANIMALS)],
    }
    _save_workbook(folder / "AR_metadata.xlsx", sheets)


def _make_unseen(folder: Path) -> None:
    (folder / "videos").mkdir()
    header = ("train_test", "animal_sub_class", "animal", "video_id", "action")
    rows = [
        ("baseline", "Bird", "Common Crane", "A", 0),
        ("train_bird", "Bird", "Common Crane", "A", 0),
        ("val", "Fish_Shark", "Fish", "B", 5),
        ("test", "Lizard", "Gecko", "C", "4"),
    ]
    _save_workbook(folder / "AR_metadata.xlsx", {"CARe": [header, *rows]})


def _make_segments(folder: Path) -> None:
    rows = [(0, ACTIONS[1].upper(), "head", 9), (1, ACTIONS[0], "Tail", 2)]
    header = ("S/N", "action", "segment", "count")
    _save_workbook(folder / "df_action.xlsx", {"AR_count": [header, *rows]})


FORMATS = (
    Format(
        "LoTE-Animal lists",
        _make_lists("label.csv", "animal_label.csv"),
        _annotations("lote_animal"),
        as_written=_as_lists_say("label.csv", "animal_label.csv"),
    ),
    Format(
        "MammalNet lists",
        _make_lists("behavior_to_id.csv", "genus_to_id.csv"),
        _annotations("mammalnet"),
        as_written=_as_lists_say("behavior_to_id.csv", "genus_to_id.csv"),
    ),
    Format(
        "MammalNet csv",
        _make_official_csv,
        _annotations("mammalnet"),
        as_written=_as_official_csv_says,
    ),
    Format(
        "Animal Kingdom lists",
        _make_kingdom("train.txt", "test.txt"),
        _annotations("animal_kingdom"),
        as_written=_as_kingdom_says("train.txt", "test.txt"),
    ),
    Format(
        "Animal Kingdom text form",
        _make_kingdom("train_all.txt", "test_animal.txt"),
        _annotations("animal_kingdom"),
        as_written=_as_kingdom_says("train_all.txt", "test_animal.txt"),
    ),
    Format(
        "Animal Kingdom Charades form",
        _make_charades,
        _annotations("animal_kingdom"),
        as_written=_as_charades_says,
    ),
    Format("Animal Kingdom workbook", _make_workbook, _annotations("animal_kingdom")),
    Format(
        "Animal Kingdom unseen animals",
        _make_unseen,
        lambda folder: read_annotations("animal_kingdom_unseen", folder).clips,
    ),
    Format(
        "Animal Kingdom long-tail split",
        _make_segments,
        lambda folder: read_action_segments(folder / "df_action.xlsx", ACTIONS),
    ),
)
