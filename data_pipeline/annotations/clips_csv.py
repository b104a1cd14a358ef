"""Anyone's own footage: a CSV of videos, or of bouts in them, and who does what there.

    video,start,stop,animals,actions,individual,split
    camera_3/0412.mp4,0:12,0:31.5,Red Fox,Sniffing;Running,Kira,train

`video` and `actions` are needed. Several names in a cell are separated by `;`. Columns may also be
separated by tabs, or by semicolons; in the latter case names are separated by `,`, or by `;` in
quotes. Predicted bouts, `bouts.csv`, are read as they are, or as a person has corrected them.
"""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from animal_clip_jax.errors import quoted, shortened
from data_pipeline.annotations.bouts import Row, clips_of
from data_pipeline.annotations.columns import meant_by, separator_of, table_rows
from data_pipeline.annotations.label_files import has_file
from data_pipeline.annotations.places import Roots, missing, what_is_in
from data_pipeline.annotations.read_options import DEFAULTS, ReadOptions
from data_pipeline.annotations.record import AnnotationError, Annotations, make_annotations
from data_pipeline.annotations.times import seconds

NEEDED = ("video", "actions")
COLUMNS = (*NEEDED, "animals", "split", "start", "stop", "individual")
SPLITS = ("train", "val", "test")
# Further tests, each a split of its own.
_FURTHER_TEST = re.compile(r"test_[a-z0-9_]{1,60}")
# What people call them.
SPLIT_WORDS = {
    **{name: name for name in SPLITS},
    **{"training": "train", "valid": "val", "validation": "val", "testing": "test", "eval": "test"},
}
# The header of predicted bouts, and what two of its columns are here. Duration and score are of the
# prediction: a bout that was corrected has others.
PREDICTED = ("video", "subject", "behavior", "start", "stop", "duration", "score")
_OF_PREDICTED = {"subject": "animals", "behavior": "actions"}
_NOT_READ = ("duration", "score")
FILE_NAMES = ("clips.csv", "annotations.csv", "annotations/clips.csv")


def read_clips_csv(source: Path, options: ReadOptions = DEFAULTS) -> Annotations:
    """Annotations from a CSV.

    Args:
        source: the CSV, or a folder with it under the name `clips.csv`. Videos are relative to the
            CSV's folder, to `videos` in it, or to one of the roots of the options; or absolute,
            inside one of these.
        options: `roots`, and `animal`, which is in every clip of a CSV without that column.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: a row that does not parse.
    """
    if source.is_dir():
        if not has_file([source], FILE_NAMES):
            raise missing(source / FILE_NAMES[0], "the list of clips")
        path = next(source / name for name in FILE_NAMES if (source / name).is_file())
    elif source.exists():
        path = source
    else:
        raise missing(source, "the list of clips")
    roots = Roots(path.parent, options.roots)
    rows, notes = _read_rows(path, roots, options.animal)
    if not rows:
        raise AnnotationError(f"{path} lists no clip; {what_is_in(path.parent)}")
    clips, merged = clips_of(rows)
    return make_annotations(
        clips,
        roots=roots.used(),
        multi_label=any(len(clip.actions) > 1 for clip in clips),
        notes=[*notes, *merged],
    )


def _read_rows(path: Path, roots: Roots, animal: str) -> tuple[list[Row], list[str]]:
    separator = separator_of(path)
    written, lines = table_rows(path, separator)
    header = [name.casefold() for name in written]
    is_predicted = set(PREDICTED) <= set(header)
    if is_predicted:
        header = [_OF_PREDICTED.get(name, name) for name in header]
    _check_header(path, header, written, [cells for _, cells in lines])
    if animal and "animals" in header:
        raise AnnotationError(
            f"{path}, line 1: there is a column 'animals'; leave --animal={animal} out"
        )
    between = re.compile("[;,]" if separator == ";" else ";")
    rows = []
    for place, cells in lines:
        row = dict(zip(header, cells, strict=True))
        split = row.get("split", "").casefold() or "train"
        if split not in SPLITS and not _FURTHER_TEST.fullmatch(split):
            raise AnnotationError(
                f"{place}: the split is {quoted(row['split'])}, not {', '.join(SPLITS)} or, for "
                "further tests, test_NAME with small letters, digits and _"
            )
        start, stop = (
            seconds(row[name], place, name, decimal_comma=separator != ",")
            if row.get(name)
            else None
            for name in ("start", "stop")
        )
        if (start is None) != (stop is None):
            given, lacking = ("start", "stop") if stop is None else ("stop", "start")
            raise AnnotationError(
                f"{place}: there is a {given} and no {lacking}; a bout has both, a whole video none"
            )
        animals = (animal,) if animal else _names(row.get("animals", ""), between, place, "animal")
        rows.append(
            Row(
                video=roots.locate(row["video"], place),
                actions=_names(row["actions"], between, place, "action"),
                animals=animals,
                individuals=_names(row.get("individual", ""), between, place, "individual"),
                split=split,
                place=place,
                start=start,
                stop=stop,
            )
        )
    known = {*COLUMNS, *(_NOT_READ if is_predicted else ())}
    return rows, _notes(path, header, written, rows, known)


def _check_header(
    path: Path, header: Sequence[str], written: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Refuses a header that lacks a column, or has one under another name: left aside without a
    word, all rows would be trained on, or whole videos in place of bouts."""
    place = f"{path}, line 1"
    found = quoted(",".join(written))
    for name in COLUMNS:
        if header.count(name) > 1:
            raise AnnotationError(f"{place}: two columns {name!r} in {found}")
    lacking = [name for name in COLUMNS if name not in header]
    for column, name in enumerate(header):
        if name in COLUMNS:
            continue
        values = {row[column].casefold() for row in rows}
        meant = meant_by(name, lacking)
        if meant is None and "split" in lacking and values and values <= SPLIT_WORDS.keys():
            meant = "split"
        if meant in NEEDED:
            raise AnnotationError(
                f"{place}: no column {meant!r}; if {quoted(written[column])} is it, write "
                f"{meant!r} in its place"
            )
        if meant is not None:
            raise AnnotationError(
                f"{place}: the column {quoted(written[column])} is written {meant!r}, or called "
                "otherwise if it holds something else"
                + (" (in seconds, not frames)" if "frame" in name else "")
            )
    for name in NEEDED:
        if name in lacking:
            raise AnnotationError(
                f"{place}: no column {name!r}; expected {','.join(NEEDED)} and perhaps "
                f"{','.join(COLUMNS[len(NEEDED) :])}, found {found}"
            )


def _names(cell: str, between: re.Pattern[str], place: str, what: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in between.split(cell)) if cell else ()
    if "" in names:
        raise AnnotationError(
            f"{place}: an empty name among the {what}s {quoted(cell)}; is there a ; too many?"
        )
    return names


def _notes(
    path: Path,
    header: Sequence[str],
    written: Sequence[str],
    rows: Sequence[Row],
    known: Collection[str],
) -> list[str]:
    unused = [
        quoted(shown or "without a name")
        for name, shown in zip(header, written, strict=True)
        if name not in known
    ]
    notes = []
    if unused:
        kind = "column" if len(unused) == 1 else "columns"
        notes.append(f"{path.name}: not used: the {kind} {shortened(', '.join(unused))}")
    commas = dict.fromkeys(
        name for row in rows for name in (*row.actions, *row.animals) if "," in name
    )
    if commas:
        names = shortened(", ".join(map(repr, commas)))
        notes.append(
            f"{path.name}: several names are separated by ; so these are one each: {names}"
        )
    return notes
