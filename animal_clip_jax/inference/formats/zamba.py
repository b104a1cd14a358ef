"""Zamba's wide CSV: a row for each video, with the probability of each action."""

from etils import epath

from animal_clip_jax.inference.formats.options import FormatOptions
from animal_clip_jax.inference.formats.outputs import rows_into, whole_text
from animal_clip_jax.inference.formats.timeline import readable, videos_of
from animal_clip_jax.inference.results import Results

FILE = "zamba.csv"
_BLANK = "blank"


def write(results: Results, folder: epath.Path, options: FormatOptions) -> list[epath.Path]:
    """Writes `zamba.csv`. Videos without an answer have no row; those are in the results.

    If any video is blank, there is a column `blank`, as Zamba has it: 1 for such videos, whose
    other columns are 0, and 0 for the others.

    Raises:
        UserError: it cannot be written.
    """
    path, columns = folder / FILE, [readable(label) for label in results.header.actions]
    has_blank = any(result.blank for result in results)
    extra = has_blank and _BLANK not in columns
    with whole_text(path) as file:
        rows = rows_into(file)
        rows.writerow(("filepath", *columns, *[_BLANK] * extra))
        blank_row = ["1" if column == _BLANK else "0" for column in (*columns, *[_BLANK] * extra)]
        for result in videos_of(results):
            if result.blank:
                rows.writerow((result.name, *blank_row))
            elif result.is_answered:
                numbers = (f"{probability:.6g}" for probability in result.actions)
                rows.writerow((result.name, *numbers, *["0"] * extra))
    return [path]
