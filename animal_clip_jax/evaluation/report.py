"""Results as a person reads them: a CSV file with a row a class, and tables for the terminal.

>>> print(format_table({"clips": 3840, "top1": 0.52171}, title="MammalNet, test"))
MammalNet, test
...
"""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from rich import box
from rich.console import Console
from rich.table import Table

from animal_clip_jax.evaluation.checks import (
    checked_scores_and_targets,
    checked_segments,
)
from animal_clip_jax.evaluation.metrics import average_precisions, class_accuracies, segments

# Nothing is cut off or wrapped: a file or a pipe has no width, and a terminal wraps by itself.
_UNLIMITED_WIDTH = 10_000


def per_class_csv(
    path: str | os.PathLike[str],
    class_names: Sequence[str],
    scores: ArrayLike,
    targets: ArrayLike,
    train_counts: ArrayLike,
    *,
    multi_label: bool,
    class_segments: ArrayLike | None = None,
) -> None:
    """Writes how well each class is recognised: a header and a row a class, in label order.

    The columns are class, segment, training_clips, test_clips and average_precision (multi-label)
    or accuracy (single label: the share of the class's clips with it as the best score). The last
    is empty for a class without a test clip.

    Args:
        path: the file, in a folder that exists; an earlier one is overwritten.
        class_names: (C).
        scores: (n, C).
        targets: multi-hot (n, C).
        train_counts: training clips of each class, (C,).
        multi_label: whether a clip may show several actions.
        class_segments: the dataset's own segment of each class, (C,); None takes
            `animal_clip_jax.evaluation.metrics.segments`.

    Raises:
        ValueError: shapes that disagree, or scores that are not finite numbers.
        OSError: the file cannot be written.
    """
    scores, targets = checked_scores_and_targets(scores, targets)
    classes = scores.shape[1]
    train_counts = np.asarray(train_counts)
    for name, found in (
        ("class_names", (len(class_names),)),
        ("train_counts", train_counts.shape),
    ):
        if found != (classes,):
            raise ValueError(f"{name} has shape {found}, expected ({classes},), one a class")
    class_segments = segments(train_counts) if class_segments is None else class_segments
    values = (average_precisions if multi_label else class_accuracies)(scores, targets)
    columns = zip(
        class_names,
        checked_segments(class_segments, classes).tolist(),
        train_counts.tolist(),
        targets.sum(axis=0).tolist(),
        ["" if np.isnan(value) else f"{value:.6f}" for value in values],
        strict=True,
    )
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        metric = "average_precision" if multi_label else "accuracy"
        writer.writerow(["class", "segment", "training_clips", "test_clips", metric])
        writer.writerows(columns)


def format_table(
    rows: Mapping[str, object] | Sequence[Mapping[str, object]], *, title: str | None = None
) -> str:
    """A plain-text table, without colours or control codes.

    Args:
        rows: one result, name -> value, shown as a line a name; or several, each a line, with a
            column for every name in the order of first mention and blanks where one lacks it.
        title: a line above the table.

    Returns:
        The table, lines without trailing blanks. Floats have four decimals, NaN and None are
        blank, and numbers stand to the right.

    Raises:
        ValueError: there is nothing to show.
    """
    if isinstance(rows, Mapping):
        rows = [{"metric": name, "value": value} for name, value in rows.items()]
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        raise ValueError("the table has no values, expected at least one")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in names:
        numeric = all(_is_number(row[name]) for row in rows if row.get(name) is not None)
        table.add_column(name, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in names))
    text = io.StringIO()
    # Class names are text: neither markup in brackets nor emoji between colons is interpreted.
    console = Console(
        file=text,
        width=_UNLIMITED_WIDTH,
        color_system=None,
        force_terminal=False,
        markup=False,
        emoji=False,
        highlight=False,
    )
    console.print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    return "\n".join(([title] if title else []) + [line for line in lines if line])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.4f}"
    return str(value)
