"""Events that were coded in BORIS: its aggregated events, as a TSV or CSV file, or a project.

As BORIS 9 writes them, and older ones as far as their columns are the same. A state event is a
clip. Its subject is the individual; which species that is, the export does not say.
"""

import itertools
import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath

from animal_clip_jax.errors import quoted, shortened
from data_pipeline.annotations.boris_project import (
    SUFFIX,
    is_predicted,
    project_events,
    read_project,
)
from data_pipeline.annotations.bouts import Row, clips_of
from data_pipeline.annotations.columns import table_rows
from data_pipeline.annotations.label_files import numbered_lines
from data_pipeline.annotations.places import Roots, absolute, missing, what_is_in
from data_pipeline.annotations.read_options import DEFAULTS, ReadOptions
from data_pipeline.annotations.record import AnnotationError, Annotations, make_annotations
from data_pipeline.annotations.times import seconds
from data_pipeline.video_files import video_files

_NEEDED = ("Behavior", "Behavior type", "Start (s)", "Stop (s)")
_MEDIA = ("Source", "Media file", "Media file name")
_NO_SUBJECT = "No focal subject"
_HOW = "in BORIS: Observations, Export events, Aggregated events, as TSV"
_SHORTEST = 0.1  # seconds; a bout has less in a second file by how the lengths were rounded
_MOST_CANDIDATES = 5


def read_boris(source: Path, options: ReadOptions = DEFAULTS) -> Annotations:
    """Annotations from aggregated events.

    Args:
        source: the file, or a folder with some (`.tsv`, `.csv` or `.boris`).
        options: `roots`, in which the videos are looked for by their names, beside the folder of
            the file and `videos` in it; and `animal`, which is in every clip.

    Raises:
        FileNotFoundError: there is no such file.
        AnnotationError: it holds no aggregated events, or a row that does not parse; several videos
            have the name of one; or times do not count from the beginning of the videos.
    """
    if source.is_dir():
        suffixes = (".tsv", ".csv", SUFFIX)
        paths = sorted(path for path in source.iterdir() if path.suffix.lower() in suffixes)
        if not paths:
            raise AnnotationError(f"no {', '.join(suffixes)} file: {what_is_in(source)}; {_HOW}")
    elif source.exists():
        paths = [source]
    else:
        raise missing(source, "the file of aggregated events")
    roots = Roots(paths[0].parent, options.roots)
    videos = _ByName(roots)
    counted: Counter[str] = Counter()
    rows = [row for path in paths for row in _rows_of(path, videos, options.animal, counted)]
    notes = [f"{count} {what}" for what, count in counted.items()]
    if not rows:
        raise AnnotationError(f"{source}: no state event of a video ({'; '.join(notes) or _HOW})")
    # Two people may have coded the same.
    clips, merged = clips_of(dict.fromkeys(rows))
    return make_annotations(
        clips,
        roots=roots.used(),
        multi_label=any(len(clip.actions) > 1 for clip in clips),
        notes=[*notes, *merged],
    )


def _rows_of(path: Path, videos: "_ByName", animal: str, counted: Counter[str]) -> Iterator[Row]:
    if path.suffix.lower() == SUFFIX:
        project = read_project(path)
        are_animals = is_predicted(project)
        for place, row in project_events(path, project):
            yield from _bouts(row, place, videos, animal, counted, are_animals=are_animals)
        return
    place, first = next(numbered_lines(path), (str(path), ""))
    separator = next((kind for kind in "\t;" if kind in first), ",")
    header, lines = table_rows(path, separator)
    _check_header(place, header)
    for place, cells in lines:
        row = dict(zip(header, cells, strict=True))
        yield from _bouts(row, place, videos, animal, counted, decimal_comma=separator != ",")


def _bouts(
    row: Mapping[str, str],
    place: str,
    videos: "_ByName",
    animal: str,
    counted: Counter[str],
    *,
    are_animals: bool = False,
    decimal_comma: bool = False,
) -> Iterator[Row]:
    """The bouts of an event: one, or one in each of the videos that it goes through."""
    kind = row["Behavior type"].upper()
    if kind not in ("STATE", "POINT"):
        raise AnnotationError(
            f"{place}: the behavior type is {quoted(kind)}; expected STATE or POINT"
        )
    if row.get("Observation type", "").casefold() not in ("", "media file", "media file(s)"):
        counted["events left out: observed live or on pictures, not in a video"] += 1
        return
    start = seconds(row["Start (s)"], place, "Start (s)", decimal_comma=decimal_comma)
    if kind == "POINT":  # which needs no stop; its start shows that the row is whole
        counted["point events left out: they have no length"] += 1
        return
    stop = seconds(row["Stop (s)"], place, "Stop (s)", decimal_comma=decimal_comma)
    if start == stop:
        counted["state events left out: they stop when they start"] += 1
        return
    modifiers = [name for name in row if name.casefold().startswith("modifier")]
    if any(row[name] not in ("", "NA", "None") for name in modifiers):
        counted["events have modifiers, which are not used"] += 1
    subject = row.get("Subject", "")
    subjects = () if subject in ("", _NO_SUBJECT) else (subject,)
    animals = (animal,) if animal else ()
    for name, begins, ends in _pieces(row, start, stop, place):
        yield Row(
            video=videos.locate(name, place),
            actions=(row["Behavior"],),
            animals=subjects if are_animals else animals,
            individuals=() if are_animals else subjects,
            split="train",
            place=place,
            start=begins,
            stop=ends,
        )


def _check_header(place: str, header: Sequence[str]) -> None:
    lacking = [name for name in _NEEDED if name not in header]
    if not any(name in header for name in _MEDIA):
        lacking.append(_MEDIA[0])
    if lacking:
        raise AnnotationError(
            f"{place}: no column {lacking[0]!r} as in the aggregated events of BORIS, found "
            f"{quoted(','.join(header))}; export them {_HOW}"
        )


def _pieces(
    row: Mapping[str, str], start: float, stop: float, place: str
) -> Iterator[tuple[str, float, float]]:
    """The video that a bout is in, with its times in it; or several that were played one after the
    other, through which the times of an observation count on."""
    offset = row.get("Time offset (s)", "")
    if offset.replace("0", "") not in ("", "."):
        raise AnnotationError(
            f"{place}: the observation has a time offset of {quoted(offset)} s, so its times do "
            "not count from the beginning of the video; set it to 0 in BORIS and export again"
        )
    text = next(row[name] for name in _MEDIA if name in row)
    # Of several players, which show the same time from several sides, the first.
    names = re.sub(r"^player #1: ?", "", re.split(r" ?\|? ?player #2:", text)[0]).split(";")
    names = [name.strip() for name in names if name.strip()]
    if not names:
        raise AnnotationError(f"{place}: no video is named")
    if len(names) == 1:
        yield names[0], start, stop
        return
    texts = row.get("Media duration (s)", "").split("|")[0].split(";")
    if len(texts) != len(names):
        raise AnnotationError(
            f"{place}: {len(names)} videos were played one after the other, and the column 'Media "
            f"duration (s)' has {quoted(';'.join(texts))}, not the length of each; export again "
            "with BORIS 9"
        )
    lengths = [seconds(length, place, "media duration") for length in texts]
    begins = [0.0, *itertools.accumulate(lengths[:-1])]
    for name, begin, end in zip(names, begins, [*begins[1:], math.inf], strict=True):
        first, last = max(start, begin) - begin, min(stop, end) - begin
        if last - first >= min(_SHORTEST, stop - start):
            yield name, round(first, 3), round(last, 3)


class _ByName:
    """Finds videos by their names, since their folders may be those of another machine."""

    def __init__(self, roots: Roots):
        self._roots = roots
        self._by_name: dict[str, dict[str, Path]] = defaultdict(dict)
        for folder in roots.folders:
            for path in video_files(folder):
                for name in (path.name, path.stem):
                    # The same file may be reached by several ways.
                    real = os.path.realpath(folder / path)
                    self._by_name[name].setdefault(real, absolute(folder / path))

    def locate(self, text: str, place: str) -> str:
        """The path of a video below one of the roots.

        Of several with its name, the one that lies in folders of the same names is meant.

        Raises:
            AnnotationError: there are several such.
        """
        *folders, name = re.split(r"[/\\]", text)
        candidates = self._by_name.get(name) or self._by_name.get(PurePath(name).stem) or {}
        if not candidates:
            return self._roots.locate(name, place)
        alike = {path: _common(path.parts[:-1], folders) for path in candidates.values()}
        nearest = [path for path, count in alike.items() if count == max(alike.values())]
        if len(nearest) > 1:
            shown = ", ".join(map(str, nearest[:_MOST_CANDIDATES]))
            raise AnnotationError(
                f"{place}: the video {quoted(text)} may be any of {len(nearest)} files: "
                f"{shortened(shown)}; move those that are not meant, or give --source and --root "
                "more exactly"
            )
        return self._roots.locate(str(nearest[0]), place)


def _common(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """How many folders above a file have the same names in two paths."""
    pairs = zip(reversed(ours), reversed(theirs), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
