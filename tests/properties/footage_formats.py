"""The annotations of a person's own footage."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from damage import Format, is_same
from plain_readings import lines_of, rows_of

from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.annotations.read_options import ReadOptions

CLIPS = (
    "video,animals,actions,split\n"
    'a 1.mp4,"Fish;Russell\'s Viper",Moving,train\n'
    "b.mp4,Fish,Keeping still,test\n"
)
BOUTS = (
    "video;start;stop;animals;actions;individual;split\n"
    "a.mp4;0:12,5;0:20;Fish;Moving, Eating;Kira;train\n"
    "a.mp4;0:12,5;0:20;Viper;Moving;;train\n"
    "b.mp4;1;2,5;Fish;Moving;;test\n"
)
MERGED = "from,to\nMoving,Active\nFish,Animal\n"
# As BORIS 9 writes them, with fewer columns.
EVENTS = "\n".join(
    "\t".join(cells)
    for cells in (
        ("Observation id", "Observation type", "Source", "Time offset (s)")
        + ("Media duration (s)", "Subject", "Behavior", "Modifier #1", "Behavior type")
        + ("Start (s)", "Stop (s)"),
        ("first", "Media file", "player #1:camera/a.mp4", "0.0", "60.000")
        + ("Kira", "Moving", "", "STATE", "12.500", "20.000"),
        ("first", "Media file", "player #1:camera/a.mp4", "0.0", "60.000")
        + ("No focal subject", "Eating", "", "STATE", "12.500", "20.000"),
        ("first", "Media file", "player #1:camera/a.mp4", "0.0", "60.000")
        + ("Kira", "Calling", "", "POINT", "13.000", "13.000"),
        ("second", "Media file", "player #1:camera/a.mp4;camera/b.mp4", "0.0", "60.000;30.500")
        + ("Kira", "Moving", "fast", "STATE", "55.250", "62.000"),
    )
)

NOBODY = "No focal subject"

# (path, actions, animals, individuals, split, start, stop) of a row.
Said = tuple[str, list[str], list[str], list[str], str, float | None, float | None]


def _read(dataset: str, options: ReadOptions, **more: Any) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        merge = {name: folder / file for name, file in more.items()}
        found = read_annotations(dataset, folder, options=options, **merge)
        clips = [
            (clip.path, clip.actions, clip.animals, clip.individual, clip.split)
            + (clip.performed, clip.start, clip.stop)
            for clip in found.clips
        ]
        return clips, list(found.action_names), list(found.animal_names)

    return read


def _clips_of(said: list[Said]) -> list[tuple]:
    """Rows of one video and the same times are one clip."""
    clips = {}
    for path, actions, animals, individuals, split, *times in said:
        known = clips.setdefault((path, *times), ({}, {}, {}, {}, split))
        performed = [(animal, action) for animal in animals for action in actions]
        for names, more in zip(known, (actions, animals, individuals, performed), strict=False):
            names.update(dict.fromkeys(more))
    return [
        (path, tuple(actions), tuple(animals), "; ".join(individuals), split)
        + (tuple(performed), start, stop)
        for (path, start, stop), (actions, animals, individuals, performed, split) in clips.items()
    ]


def _is_said(content: Any, said: list[Said]) -> bool:
    clips = _clips_of(said)
    labels = [sorted({name for clip in clips for name in clip[part]}) for part in (1, 2)]
    return is_same(content, (clips, *labels))


def _seconds(text: str, point: str = ".") -> float:
    parts = [float(part) for part in text.replace(point, ".").split(":")]
    return sum(part * 60**place for place, part in enumerate(reversed(parts)))


def _separator(path: Path, order: str) -> str:
    header = lines_of(path)[0]
    return next((one for one in order if one in header), ",")


def _csv_says(folder: Path) -> list[Said]:
    path = folder / "clips.csv"
    separator = _separator(path, ",;\t")
    header, *rows = rows_of(path, separator)
    point, between = (".", ";") if separator == "," else (",", ";|," if separator == ";" else ";")
    said = []
    for row in rows:
        cells = dict(zip(map(str.lower, header), row, strict=True))
        names = {
            column: [name.strip() for name in re.split(between, cells.get(column) or "") if name]
            for column in ("actions", "animals", "individual")
        }
        times = [
            _seconds(cells[column], point) if cells.get(column) else None
            for column in ("start", "stop")
        ]
        video, split = PurePosixPath(cells["video"]).as_posix(), cells.get("split", "").lower()
        said.append((video, *names.values(), split or "train", *times))
    return said


def _make_boris(folder: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (folder / "videos" / "camera").mkdir(parents=True, exist_ok=True)
        (folder / "videos" / "camera" / name).touch()  # looked for by their names, not read
    (folder / "events.tsv").write_text(EVENTS + "\n")


def _as_boris_says(folder: Path, content: Any) -> bool:
    path = folder / "events.tsv"
    separator = _separator(path, "\t;")
    header, *rows = rows_of(path, separator)
    point = "." if separator == "," else ","
    said = {}
    for row in rows:
        cells = dict(zip(header, row, strict=True))
        is_in_video = cells.get("Observation type", "").lower() in ("", "media file")
        if cells["Behavior type"].upper() != "STATE" or not is_in_video:
            continue
        start, stop = (_seconds(cells[f"{name} (s)"], point) for name in ("Start", "Stop"))
        if start == stop:
            continue
        subject = [name for name in [cells.get("Subject", "")] if name not in ("", NOBODY)]
        names = [name.strip() for name in re.sub("^player #1: ?", "", cells["Source"]).split(";")]
        names = [_found(folder, name) for name in names if name]
        lengths = [0.0] if len(names) == 1 else cells["Media duration (s)"].split(";")
        begins = list(itertools.accumulate(map(_seconds, map(str, lengths)), initial=0.0))
        begins[len(names)] = float("inf")
        for name, begin, end in zip(names, begins, begins[1:], strict=False):
            first, last = max(start, begin) - begin, min(stop, end) - begin
            if last - first >= min(0.1, stop - start):
                times = (round(first, 3), round(last, 3)) if len(names) > 1 else (first, last)
                bout = (name, [cells["Behavior"]], ["Fish"], subject, "train", *times)
                said[repr(bout)] = bout
    return _is_said(content, list(said.values()))


def _found(folder: Path, text: str) -> str:
    """The video of a name, wherever it lies; relative to the folder of videos."""
    name = re.split(r"[/\\]", text)[-1]
    for path in sorted((folder / "videos").rglob("*.mp4")):
        if path.name == name or path.stem in (name, PurePosixPath(name).stem):
            return path.relative_to(folder / "videos").as_posix()
    return PurePosixPath(name).as_posix()


def _make_merged(folder: Path) -> None:
    (folder / "clips.csv").write_text(CLIPS)
    (folder / "merge.csv").write_text(MERGED)


def _as_merged_says(folder: Path, content: Any) -> bool:
    separator = _separator(folder / "merge.csv", ",;\t")
    header, *rows = rows_of(folder / "merge.csv", separator)
    to = {row[header.index("from")]: row[header.index("to")] for row in rows}

    def merged(names: list[str]) -> list[str]:
        return [to.get(name, name) for name in names]

    said = [
        (path, merged(actions), merged(animals), *rest)
        for path, actions, animals, *rest in _csv_says(folder)
    ]
    clips = _clips_of(said)
    # A label that others became stands where the first of them stood.
    before = (sorted(["Moving", "Keeping still"]), sorted(["Fish", "Russell's Viper"]))
    labels = [list(dict.fromkeys(merged(names))) for names in before]
    return is_same(content, (clips, *labels))


FORMATS = (
    Format(
        "clips.csv",
        lambda folder: (folder / "clips.csv").write_text(CLIPS) and None,
        _read("csv", ReadOptions()),
        as_written=lambda folder, found: _is_said(found, _csv_says(folder)),
    ),
    Format(
        "clips.csv of bouts",
        lambda folder: (folder / "clips.csv").write_text(BOUTS) and None,
        _read("csv", ReadOptions()),
        as_written=lambda folder, found: _is_said(found, _csv_says(folder)),
    ),
    Format(
        "aggregated events of BORIS",
        _make_boris,
        _read("boris", ReadOptions(animal="Fish")),
        files=("events.tsv",),
        as_written=_as_boris_says,
    ),
    Format(
        "labels to merge",
        _make_merged,
        _read("csv", ReadOptions(), merge_labels="merge.csv"),
        files=("merge.csv",),
        as_written=_as_merged_says,
    ),
)
