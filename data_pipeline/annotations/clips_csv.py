"""Anyone's own footage: a CSV of `video,animals,actions`, several of a kind separated by `;`.

    video,animals,actions,split
    camera_3/0412.mp4,Red Fox;Badger,Sniffing;Running,train

The column `split` may be left out: then every clip is in "train".
"""

import csv
from pathlib import Path
from typing import TextIO

from animal_clip_jax.errors import MissingFileError
from data_pipeline.annotations.label_files import find_file, reading
from data_pipeline.annotations.record import (
    AnnotationError,
    Annotations,
    Clip,
    make_annotations,
    make_clip,
)

COLUMNS = ("video", "animals", "actions")
SPLITS = ("train", "val", "test")
FILE_NAMES = ("clips.csv", "annotations.csv", "annotations/clips.csv")


def read_clips_csv(source: Path) -> Annotations:
    """Annotations from a CSV.

    Args:
        source: the CSV, or a folder with it under the name `clips.csv`. Videos are relative to
            `videos/` beside the CSV if there is such a folder, otherwise to the CSV's own.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: a row that does not parse.
    """
    path = find_file([source], FILE_NAMES, "list of clips") if source.is_dir() else source
    if not path.is_file():
        raise MissingFileError(f"the list of clips {path} does not exist", path)
    videos = path.parent / "videos"
    with reading(path), path.open(newline="", encoding="utf-8-sig") as file:
        clips = _read_rows(path, file)
    return make_annotations(
        clips,
        videos=videos if videos.is_dir() else path.parent,
        multi_label=any(len(clip.actions) > 1 for clip in clips),
    )


def _read_rows(path: Path, file: TextIO) -> list[Clip]:
    reader = csv.DictReader(file, skipinitialspace=True)
    header = [name.strip() for name in reader.fieldnames or ()]
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise AnnotationError(
            f"{path}, line 1: no column {missing[0]!r}; expected {','.join(COLUMNS)} "
            f"and perhaps split, found {','.join(header)!r}"
        )
    misspelt = [name for name in header if name.casefold() == "split" and name != "split"]
    if misspelt:
        # Or all its rows would be trained on, without a word.
        raise AnnotationError(f"{path}, line 1: the column {misspelt[0]!r} is written 'split'")
    reader.fieldnames = header
    clips = []
    for row in reader:
        place = f"{path}, line {reader.line_num}"
        if None in row or None in row.values():
            raise AnnotationError(
                f"{place}: expected {len(header)} cells, one for each of {','.join(header)}; "
                "a cell that holds a comma needs quotes"
            )
        split = row.get("split", "").strip() or "train"
        if split not in SPLITS:
            raise AnnotationError(f"{place}: the split is {split!r}, not {', '.join(SPLITS)}")
        clips.append(
            make_clip(
                row["video"].strip(),
                actions=_names(row["actions"]),
                animals=_names(row["animals"]),
                split=split,
                source=place,
            )
        )
    return clips


def _names(cell: str) -> list[str]:
    return [name.strip() for name in cell.split(";") if name.strip()]
