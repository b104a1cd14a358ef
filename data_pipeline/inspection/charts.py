"""Charts of a data set, drawn by Matplotlib: SVG files."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, StrMethodFormatter

from animal_clip_jax.pages.colours import COLOURS, colour
from animal_clip_jax.pages.drawing import SETTINGS, cut, small_chart, svg

_CELL = 0.15
_MARGIN = 0.4
_BINS = 30


def ranks(counts: Sequence[Sequence[int]], splits: Sequence[str], what: str) -> bytes:
    """How many clips the classes have, the most frequent first, a line for each split.

    Args:
        counts: clips of each class, a row for each split.
        splits: their names.
        what: the classes are, such as "actions".
    """
    figure, axes = small_chart()
    for number, (split, values) in enumerate(zip(splits, counts, strict=True)):
        ordered = np.sort(np.asarray(values))[::-1]
        places = np.arange(1, len(ordered) + 1)
        drawn_in = colour(number)
        axes.step(places, np.where(ordered > 0, ordered, np.nan), where="mid", color=drawn_in)
        axes.plot([], [], color=drawn_in, label=split)
    axes.set_yscale("symlog", linthresh=1)
    most = max((max(values, default=0) for values in counts), default=0)
    axes.set_ylim(0, max(1.25 * most, 2))
    # Plain numbers: Matplotlib writes powers of ten as formulas, which are off.
    axes.yaxis.set_major_locator(FixedLocator([0, *(10**k for k in range(10) if 10**k <= most)]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel(f"{what}, by frequency")
    axes.set_ylabel("clips")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.legend(frameon=False)
    return svg(figure)


def distribution(values: Sequence[float], label: str) -> bytes:
    """A histogram.

    Args:
        values: at least one.
        label: what they are and in which unit.
    """
    figure, axes = small_chart()
    axes.hist(
        values, bins=min(_BINS, max(5, len(values) // 2)), color=COLOURS[0], edgecolor="white"
    )
    axes.set_xlabel(label)
    axes.set_ylabel("clips")
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    return svg(figure)


def matrix(
    counts: np.ndarray, rows: Sequence[str], columns: Sequence[str], *, label: str = "clips"
) -> bytes:
    """A table of counts as colours, on a logarithmic scale; what is 0 stays white.

    Args:
        counts: (rows, columns), whole numbers.
        rows: names, from top to bottom.
        columns: names, from left to right.
        label: what is counted.
    """
    longest = [max((len(cut(name)) for name in names), default=1) for names in (rows, columns)]
    left, top = (_MARGIN + 0.068 * length for length in longest)
    wide, high = _CELL * max(len(columns), 4), _CELL * max(len(rows), 4)
    bar = 0.9
    width, height = left + wide + bar, top + high + _MARGIN
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes(
            (left / width, _MARGIN / height, wide / width, high / height),
        )
        shown = np.ma.masked_equal(counts, 0)
        scale = LogNorm(vmin=0.4, vmax=max(int(counts.max(initial=1)), 2))
        image = axes.imshow(shown, cmap="YlGnBu", norm=scale, aspect="auto")
        axes.xaxis.tick_top()
        axes.set_xticks(range(len(columns)), map(cut, columns), rotation=90, fontsize=8)
        axes.set_yticks(range(len(rows)), map(cut, rows), fontsize=8)
        axes.tick_params(length=0)
        axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="#e4e4e4", linewidth=0.4)
        axes.tick_params(which="minor", length=0)
        beside = figure.add_axes(
            ((left + wide + 0.15) / width, _MARGIN / height, 0.12 / width, min(high, 1.6) / height)
        )
        ticks = [10**k for k in range(10) if 10**k <= scale.vmax]
        figure.colorbar(image, cax=beside, label=label, format="{x:,.0f}", ticks=ticks)
        beside.minorticks_off()
    return svg(figure)
