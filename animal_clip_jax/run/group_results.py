"""The figures of an evaluation within groups of clips, as rows of a file and as a short table."""

from collections.abc import Mapping
from typing import Any

from animal_clip_jax.evaluation.intervals import mean_of_shares
from animal_clip_jax.evaluation.per_group import CLIPS, metric_name
from animal_clip_jax.models.animal_sources import IN_WORDS
from animal_clip_jax.run.figure_text import folded, interval, percent
from animal_clip_jax.tables import format_columns

MEAN = "mean of groups"
_MOST_SHOWN = 20


def group_rows(figures: Mapping[str, Any], *, multi_label: bool) -> list[dict[str, Any]]:
    """A row a group, and one of their mean: group, clips, the figure and its 95 % interval.

    The figure is called accuracy, or mean_average_precision for several labels.

    Args:
        figures: of one source of the animals, with those of `per_group.group_figures`.

    Returns:
        no row if no clip has a group.
    """
    name = metric_name(multi_label)
    clips = {
        key.removeprefix(CLIPS): int(value)
        for key, value in figures.items()
        if key.startswith(CLIPS)
    }
    if not clips:
        return []
    rows = []
    for group, number in clips.items():
        figure = f"{name}_group_{group}"
        bounds = interval(figures, figure, number, multi_label=multi_label)
        rows.append(_row(group, number, figures[figure], bounds, multi_label))
    mean = f"{name}_per_group"
    if multi_label:
        bounds = interval(figures, mean, sum(clips.values()), multi_label=True)
    else:
        shares = [figures[f"{name}_group_{group}"] for group in clips]
        bounds = mean_of_shares(shares, list(clips.values()))
    return [*rows, _row(MEAN, sum(clips.values()), figures[mean], bounds, multi_label)]


def _row(
    group: str,
    clips: int,
    value: float,
    bounds: tuple[float, float] | None,
    multi_label: bool,
) -> dict[str, Any]:
    low, high = bounds or (None, None)
    name = "mean_average_precision" if multi_label else "accuracy"
    return {"group": group, "clips": clips, name: value, "low": low, "high": high}


def group_table(
    figures_of: Mapping[str, Mapping[str, Any]], *, multi_label: bool, width: int
) -> str:
    """The short table of the groups: a row a group, a column a source of the animals.

    Args:
        figures_of: source of the animals -> its figures, with the frames in order.
        width: of the screen; where a row is longer, intervals have lines of their own.

    Returns:
        "" if no clip has a group.
    """
    rows_of = {
        source: group_rows(figures, multi_label=multi_label)
        for source, figures in figures_of.items()
    }
    first = next(iter(rows_of.values()))
    if not first:
        return ""
    head = ["group", "clips", *(IN_WORDS[source] for source in rows_of)]
    lines = [
        [str(row["group"]), str(row["clips"]), *(_cell(rows[place]) for rows in rows_of.values())]
        for place, row in enumerate(first)
    ]
    *groups, mean = lines
    shown = [*groups[:_MOST_SHOWN], mean]
    table = format_columns([head, *shown], labels=1)
    if max(map(len, table.splitlines())) > width:
        table = format_columns([head, *(line for row in shown for line in folded(row))], labels=1)
    left_out = len(groups) - _MOST_SHOWN
    more = f"\n{left_out} smaller groups are in per_group.csv" if left_out > 0 else ""
    return f"By group:\n\n{table}{more}"


def _cell(row: Mapping[str, Any]) -> str:
    value = row.get("accuracy", row.get("mean_average_precision"))
    bounds = None if row["low"] is None else (row["low"], row["high"])
    assert value is not None
    return percent(value, row["clips"], bounds)
