"""Anyone's own footage: a CSV of `video,animals,actions`, several of a kind separated by `;`.

    video,animals,actions,split
    camera_3/0412.mp4,Red Fox;Badger,Sniffing;Running,train

The column `split` may be left out: then every clip is in "train".
"""

import difflib
from collections.abc import Sequence
from pathlib import Path

from animal_clip_jax.errors import MissingFileError, quoted
from data_pipeline.annotations.label_files import csv_rows, find_file
from data_pipeline.annotations.record import (
    AnnotationError,
    Annotations,
    Clip,
    make_annotations,
    make_clip,
)

COLUMNS = ("video", "animals", "actions")
SPLITS = ("train", "val", "test")
# What people call them.
_SPLIT_WORDS = frozenset((*SPLITS, "training", "valid", "validation", "testing", "eval"))
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
    if not path.exists():
        raise MissingFileError(f"the list of clips {path} does not exist", path)
    videos = path.parent / "videos"
    clips = _read_rows(path)
    return make_annotations(
        clips,
        videos=videos if videos.is_dir() else path.parent,
        multi_label=any(len(clip.actions) > 1 for clip in clips),
    )


def _read_rows(path: Path) -> list[Clip]:
    rows = csv_rows(path)
    _, header = next(rows, ("", []))
    missing = [name for name in COLUMNS if name not in header]
    found = quoted(",".join(header))
    if missing:
        raise AnnotationError(
            f"{path}, line 1: no column {missing[0]!r}; expected {','.join(COLUMNS)} "
            f"and perhaps split, found {found}"
        )
    for name in (*COLUMNS, "split"):
        if header.count(name) > 1:
            raise AnnotationError(f"{path}, line 1: two columns {name!r} in {found}")
    clips = []
    lines = list(rows)
    _check_no_other_split(path, header, [cells for _, cells in lines])
    for place, cells in lines:
        if len(cells) != len(header):
            raise AnnotationError(
                f"{place}: found {len(cells)} cells, expected {len(header)}, one for each of "
                f"{found}; a cell that holds a comma needs quotes"
            )
        row = dict(zip(header, cells, strict=True))
        split = row.get("split") or "train"
        if split not in SPLITS:
            raise AnnotationError(f"{place}: the split is {quoted(split)}, not {', '.join(SPLITS)}")
        clips.append(
            make_clip(
                row["video"],
                actions=_names(row["actions"], place, "action"),
                animals=_names(row["animals"], place, "animal"),
                split=split,
                source=place,
            )
        )
    if not clips:
        raise AnnotationError(f"{path} lists no clip")
    return clips


def _check_no_other_split(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Refuses a column that is the split's by its name or by what is in it, and is called
    something else: or all the rows would be trained on, without a word."""
    if "split" in header:
        return
    for column, name in enumerate(header):
        if name in COLUMNS:
            continue
        values = {row[column].casefold() for row in rows if column < len(row)}
        is_near = difflib.SequenceMatcher(None, name.casefold(), "split").ratio() > 0.7
        if is_near or (values and values <= _SPLIT_WORDS):
            raise AnnotationError(
                f"{path}, line 1: the column {quoted(name)} is written 'split', or called "
                "otherwise if it holds something else"
            )


def _names(cell: str, place: str, what: str) -> list[str]:
    names = [name.strip() for name in cell.split(";")] if cell else []
    if "" in names:
        raise AnnotationError(
            f"{place}: an empty name among the {what}s {quoted(cell)}; is there a ; too many?"
        )
    return names
