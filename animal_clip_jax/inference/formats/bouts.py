"""Bouts as a CSV, one in each row: for spreadsheets, R, and ELAN, which imports it."""

from etils import epath

from animal_clip_jax.inference.formats.options import FormatOptions
from animal_clip_jax.inference.formats.outputs import rows_into, whole_text
from animal_clip_jax.inference.formats.timeline import readable, videos_of, written_bouts
from animal_clip_jax.inference.results import Results

FILE = "bouts.csv"
COLUMNS = ("video", "subject", "behavior", "start", "stop", "duration", "score")


def write(results: Results, folder: epath.Path, options: FormatOptions) -> list[epath.Path]:
    """Writes `bouts.csv`: times in seconds, the score the mean probability of the action.

    Raises:
        UserError: it cannot be written.
    """
    path = folder / FILE
    with whole_text(path) as file:
        rows = rows_into(file)
        rows.writerow(COLUMNS)
        for result in videos_of(results):
            for bout in written_bouts(result, results.header, options.threshold):
                rows.writerow(
                    (
                        result.name,
                        readable(bout.animal),
                        readable(bout.action),
                        f"{bout.start:.3f}",
                        f"{bout.stop:.3f}",
                        f"{bout.stop - bout.start:.3f}",
                        f"{bout.score:.4f}",
                    )
                )
    return [path]
