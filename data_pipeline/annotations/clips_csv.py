"""Anyone's own footage: a CSV of `video,animals,actions`, several of a kind separated by `;`.

    video,animals,actions,split
    camera_3/0412.mp4,Red Fox;Badger,Sniffing;Running,train

The column `split` may be left out: then every clip is in "train".
"""

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
    misspelt = [name for name in header if name.casefold() == "split" and name != "split"]
    if misspelt:
        # Or all its rows would be trained on, without a word.
        raise AnnotationError(f"{path}, line 1: the column {misspelt[0]!r} is written 'split'")
    for name in (*COLUMNS, "split"):
        if header.count(name) > 1:
            raise AnnotationError(f"{path}, line 1: two columns {name!r} in {found}")
    clips = []
    for place, cells in rows:
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


def _names(cell: str, place: str, what: str) -> list[str]:
    names = [name.strip() for name in cell.split(";")] if cell else []
    if "" in names:
        raise AnnotationError(
            f"{place}: an empty name among the {what}s {quoted(cell)}; is there a ; too many?"
        )
    return names
