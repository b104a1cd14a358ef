"""Charts of an evaluation: SVG files.

Names are of others: each chart is drawn under `SETTINGS`, where no formula is read in them.
"""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from animal_clip_jax.evaluation.calibration import Reliability
from animal_clip_jax.pages.colours import COLOURS
from animal_clip_jax.pages.drawing import SETTINGS, WIDTH, small_chart, svg
from data_pipeline.long_tail import SEGMENTS

SEGMENT_COLOURS = dict(zip(SEGMENTS, ("#0072b2", "#e69f00", "#cc79a7"), strict=True))
_LONGEST_NAME = 24  # of letters beside a bar or a cell; the tables have the whole names
_BAR = 0.2  # inches, with the gap
_CELL = 0.3
_MOST_NUMBERED = 15  # classes of a matrix whose cells have room for numbers
# Of the groups of a scatter. Charts are on white, where nearly black can be seen as well.
GROUP_COLOURS = (*COLOURS, "#2b2b2b")
_MARKERS = "os^DvP*X"


@matplotlib.rc_context(SETTINGS)
def per_class_bars(
    names: Sequence[str], values: Sequence[float | None], segments: Sequence[str], what: str
) -> bytes:
    """A bar a class, from the top in the order given, in the colour of its segment.

    Args:
        names: of the classes.
        values: from 0 to 1; None of a class that was not tested.
        segments: "head", "middle" or "tail" of each.
        what: the values are.
    """
    figure, axes = small_chart(height=_BAR * len(names) + 1)
    places = np.arange(len(names))
    axes.barh(
        places,
        [value or 0 for value in values],
        height=0.75,
        color=[SEGMENT_COLOURS[segment] for segment in segments],
    )
    for place, value in enumerate(values):
        if value is None:
            axes.text(0.01, place, "no clips", va="center", fontsize=7, color="#5a5a5a")
    axes.set_yticks(places, map(_name, names), fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.set_xlabel(what)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    there = [segment for segment in SEGMENTS if segment in segments]
    figure.legend(
        handles=[Patch(color=SEGMENT_COLOURS[segment], label=segment) for segment in there],
        loc="outside upper right",
        ncols=len(there),
        frameon=False,
    )
    return svg(figure)


@matplotlib.rc_context(SETTINGS)
def confusion(counts: np.ndarray, totals: np.ndarray, names: Sequence[str]) -> bytes:
    """A matrix of clips, annotated × predicted, in colours by their share of the annotated ones.

    Args:
        counts: (n, n), whole numbers.
        totals: (n,), clips that are annotated with each action.
        names: of rows and columns.
    """
    size = len(names)
    longest = max(map(len, map(_name, names)))
    margin, cells = 0.35 + 0.068 * longest, _CELL * size
    width, height = margin + cells + 0.8, margin + cells + 0.1
    shares = counts / np.maximum(totals, 1)[:, None]
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes(
        (margin / width, 0.1 / height, cells / width, cells / height),
    )
    image = axes.imshow(np.ma.masked_equal(shares, 0), cmap="YlGnBu", vmin=0, vmax=1)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xticks(range(size), map(_name, names), rotation=90, fontsize=8)
    axes.set_yticks(range(size), map(_name, names), fontsize=8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("annotated")
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#e4e4e4", linewidth=0.4)
    axes.tick_params(which="minor", length=0)
    if size <= _MOST_NUMBERED:
        _write_numbers(axes, counts, shares)
    beside = figure.add_axes(
        ((margin + cells + 0.15) / width, 0.1 / height, 0.12 / width, min(cells, 1.6) / height)
    )
    figure.colorbar(image, cax=beside, format=lambda share, _: f"{100 * share:.0f} %")
    return svg(figure)


def _write_numbers(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    for row, column in np.argwhere(counts > 0):
        colour = "white" if shares[row, column] > 0.55 else "black"
        number = str(int(counts[row, column]))
        axes.text(column, row, number, ha="center", va="center", fontsize=7, color=colour)


@matplotlib.rc_context(SETTINGS)
def scatter(points: np.ndarray, labels: Sequence[str], groups: np.ndarray, axis: str) -> bytes:
    """Points in the colours and shapes of their groups; those of no group are grey and below.

    Args:
        points: (n, 2).
        labels: of the groups, at most as many as there are colours.
        groups: int (n), the place of each point's group among the labels; -1 for none.
        axis: what the axes are called, before their number.
    """
    figure, axes = small_chart(height=4.2)
    rest = groups < 0
    if rest.any():
        below = points[rest]
        axes.scatter(
            below[:, 0],
            below[:, 1],
            s=9,
            facecolors="none",
            edgecolors="#9a9a9a",
            linewidths=0.6,
            label="others",
        )
    for number, label in enumerate(labels):
        inside = groups == number
        axes.scatter(
            points[inside, 0],
            points[inside, 1],
            s=16,
            color=GROUP_COLOURS[number],
            marker=_MARKERS[number],
            edgecolors="#333333",
            linewidths=0.3,
            label=_name(label),
        )
    axes.set_xlabel(f"{axis} 1")
    axes.set_ylabel(f"{axis} 2")
    axes.set_xticks([])
    axes.set_yticks([])
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8, markerscale=1.2)
    return svg(figure)


@matplotlib.rc_context(SETTINGS)
def reliability_curve(curve: Reliability) -> bytes:
    """How often answers are right by how sure they are, against the diagonal."""
    figure, axes = small_chart(width=WIDTH, height=3.4)
    axes.plot([0, 1], [0, 1], color="#5a5a5a", linewidth=1, linestyle="--", label="calibrated")
    axes.plot(
        curve.confidences,
        curve.accuracies,
        color=COLOURS[0],
        marker="o",
        markersize=4,
        label="this evaluation",
    )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("probability given")
    axes.set_ylabel("share that is right")
    axes.legend(frameon=False, loc="upper left")
    return svg(figure)


def _name(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
