"""Time budgets: how long each animal does what, in each bin of time and over all videos."""

import dataclasses
import math
from collections.abc import Iterator

from etils import epath

from animal_clip_jax.inference.formats.options import FormatOptions
from animal_clip_jax.inference.formats.outputs import rows_into, whole_text
from animal_clip_jax.inference.formats.timeline import length_of, readable, videos_of, written_bouts
from animal_clip_jax.inference.results import Bout, Results

FILE = "time_budget.csv"
TOTAL_FILE = "time_budget_total.csv"
COLUMNS = ("video", "bin_start", "bin_stop", "subject", "behavior", "seconds", "share")
TOTAL_COLUMNS = ("subject", "behavior", "bouts", "seconds", "share", "mean_bout_seconds")
# Parentheses, so that they are no labels.
NONE, BLANK = "(none)", "(blank)"


@dataclasses.dataclass
class _Total:
    bouts: int = 0
    seconds: float = 0.0


def write(results: Results, folder: epath.Path, options: FormatOptions) -> list[epath.Path]:
    """Writes `time_budget.csv`, a row for each bin of each video, animal and action that occurs
    there, and `time_budget_total.csv`, over all videos.

    The share is that of the bin's length, or of all videos' length. Time without any bout has rows
    of its own: `(none)`, in blank videos `(blank)`. Where actions have probabilities of their own
    they may overlap, and shares add up to more than 1. Videos without an answer are not counted.

    Raises:
        UserError: it cannot be written.
    """
    path, total_path = folder / FILE, folder / TOTAL_FILE
    totals: dict[tuple[str, str], _Total] = {}
    all_seconds = 0.0
    with whole_text(path) as file:
        rows = rows_into(file)
        rows.writerow(COLUMNS)
        for result in videos_of(results):
            length = round(length_of(result), 3)
            if not result.is_answered or not length:
                continue
            all_seconds += length
            bouts = written_bouts(result, results.header, options.threshold)
            for bout in bouts:
                totals.setdefault((bout.animal, bout.action), _Total()).bouts += 1
            for start, stop in _bins(length, options.time_bin):
                for pair, seconds in _seconds(bouts, start, stop, result.blank).items():
                    totals.setdefault(pair, _Total()).seconds += seconds
                    rows.writerow(
                        (
                            result.name,
                            f"{start:.3f}",
                            f"{stop:.3f}",
                            *map(readable, pair),
                            f"{seconds:.3f}",
                            f"{seconds / (stop - start):.4f}",
                        )
                    )
    with whole_text(total_path) as file:
        rows = rows_into(file)
        rows.writerow(TOTAL_COLUMNS)
        for pair, total in sorted(totals.items()):
            mean = f"{total.seconds / total.bouts:.3f}" if total.bouts else ""
            share = f"{total.seconds / all_seconds:.4f}"
            number = total.bouts or ""
            rows.writerow((*map(readable, pair), number, f"{total.seconds:.3f}", share, mean))
    return [path, total_path]


def _bins(length: float, width: float) -> Iterator[tuple[float, float]]:
    count = max(math.ceil(length / width - 1e-9), 1) if width else 1
    for number in range(count):
        yield number * width, length if number == count - 1 else (number + 1) * width


def _seconds(
    bouts: list[Bout], start: float, stop: float, blank: bool
) -> dict[tuple[str, str], float]:
    """The seconds of every (animal, action) in a bin, and those of none."""
    found: dict[tuple[str, str], float] = {}
    covered, until = 0.0, start
    for bout in bouts:  # by their start
        begins, ends = max(bout.start, start), min(bout.stop, stop)
        if ends <= begins:
            continue
        pair = bout.animal, bout.action
        found[pair] = found.get(pair, 0.0) + ends - begins
        covered += max(ends - max(begins, until), 0.0)
        until = max(until, ends)
    nothing = stop - start - covered
    if round(nothing, 3) > 0:
        found["", BLANK if blank else NONE] = nothing
    return found
