"""BORIS's aggregated events as a TSV, which other tools read (SimBA, scripts in R).

In the form of the export of BORIS 9.12.3.
"""

from collections import defaultdict

from etils import epath

from animal_clip_jax.inference.formats.boris_names import NO_SUBJECT, boris_name
from animal_clip_jax.inference.formats.options import FormatOptions
from animal_clip_jax.inference.formats.outputs import rows_into, whole_text
from animal_clip_jax.inference.formats.timeline import (
    frame_rate_of,
    length_of,
    videos_of,
    written_bouts,
)
from animal_clip_jax.inference.results import Bout, Results, VideoResult

FILE = "boris_events.tsv"
COLUMNS = (
    "Observation id",
    "Observation date",
    "Description",
    "Observation type",
    "Source",
    "Time offset (s)",
    "Coding duration",
    "Media duration (s)",
    "FPS (frame/s)",
    "Subject",
    "Observation duration by subject by observation",
    "Behavior",
    "Behavioral category",
    "Behavior type",
    "Start (s)",
    "Stop (s)",
    "Duration (s)",
    "Media file name",
    "Image index start",
    "Image index stop",
    "Image file path start",
    "Image file path stop",
    "Comment start",
    "Comment stop",
)


def write(results: Results, folder: epath.Path, options: FormatOptions) -> list[epath.Path]:
    """Writes `boris_events.tsv`, a row for each bout.

    Raises:
        UserError: it cannot be written.
    """
    path = folder / FILE
    date = results.header.made[:19].replace("T", " ")
    with whole_text(path) as file:
        rows = rows_into(file, "\t")
        rows.writerow(COLUMNS)
        for result in videos_of(results):
            rows.writerows(
                _rows(result, written_bouts(result, results.header, options.threshold), date)
            )
    return [path]


def _rows(result: VideoResult, bouts: list[Bout], date: str) -> list[tuple[str, ...]]:
    of_subject: dict[str, float] = defaultdict(float)
    for bout in bouts:
        of_subject[bout.animal] += bout.stop - bout.start
    coded = max(bout.stop for bout in bouts) - bouts[0].start if bouts else 0.0
    return [
        (
            result.name.strip(),
            date,
            result.problem,
            "Media file",
            f"player #1:{result.path}",
            "0.000",
            f"{coded:.3f}",
            f"{length_of(result):.3f}",
            f"{frame_rate_of(result):.3f}",
            boris_name(bout.animal) or NO_SUBJECT,
            f"{of_subject[bout.animal]:.3f}",
            boris_name(bout.action),
            "Not defined",
            "STATE",
            f"{bout.start:.3f}",
            f"{bout.stop:.3f}",
            f"{bout.stop - bout.start:.3f}",
            result.path,
            *("", "", "", ""),
            f"p={bout.score:.2f}",
            "",
        )
        for bout in bouts
    ]
