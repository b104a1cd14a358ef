"""BORIS's behaviours binary table, a file for each video; A-SOiD reads it as labels.

A row every 0.1 s: the time, and for each behaviour whether it is shown then, by any animal.
"""

import math
from collections import defaultdict
from collections.abc import Iterator

from etils import epath

from animal_clip_jax.inference.formats.boris_names import boris_name
from animal_clip_jax.inference.formats.options import FormatOptions
from animal_clip_jax.inference.formats.outputs import VideoFiles, output_names, rows_into, whole
from animal_clip_jax.inference.formats.timeline import (
    length_of,
    video_names,
    videos_of,
    written_bouts,
)
from animal_clip_jax.inference.results import Bout, Results

FOLDER = "boris_binary"
ENDING = ".csv"
_TOLERANCE = 1e-6  # steps; how far a time that is on a step may be from it by rounding


def write(results: Results, folder: epath.Path, options: FormatOptions) -> list[epath.Path]:
    """Writes `boris_binary/`, a CSV for each video, with a column for every action of the model.

    Raises:
        UserError: it cannot be written.
    """
    columns = {label: column for column, label in enumerate(results.header.actions)}
    header = ("time", *(boris_name(label) for label in columns))
    step = options.binary_step
    with whole(folder / FOLDER) as new:
        files = VideoFiles(folder / FOLDER, new, output_names(video_names(results), ENDING))
        for result in videos_of(results):
            count = _first_step(length_of(result), step)
            if not result.is_answered or not count:
                continue
            bouts = written_bouts(result, results.header, options.threshold)
            with files.open(result.name) as file:
                rows_into(file).writerow(header)
                file.writelines(_lines(bouts, columns, count, step))
    return files.written


def _lines(bouts: list[Bout], columns: dict[str, int], count: int, step: float) -> Iterator[str]:
    """The rows below the header: those between two changes are alike."""
    changes: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for bout in bouts:
        changes[_first_step(bout.start, step)].append((columns[bout.action], 1))
        changes[_first_step(bout.stop, step)].append((columns[bout.action], -1))
    shown = [0] * len(columns)  # how many animals show it
    cells = ",0" * len(columns)
    for number in range(count):
        if number in changes:
            for column, change in changes[number]:
                shown[column] += change
            cells = "".join(",1" if animals else ",0" for animals in shown)
        yield f"{number * step:.3f}{cells}\n"


def _first_step(time: float, step: float) -> int:
    """The number of the first step that is not before a time; so many are before it."""
    return math.ceil(time / step - _TOLERANCE)
