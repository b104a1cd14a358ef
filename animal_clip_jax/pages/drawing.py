"""How Matplotlib draws for pages: SVG files, the same for the same data."""

import io
import warnings

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Names are text of others: no formula is read in them. Text stays text, so that a browser finds a
# font for every script; and a chart of the same data is the same file.
SETTINGS = {
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "animal-clip",
    "font.size": 9,
    "font.family": "sans-serif",
}
WIDTH, HEIGHT = 4.2, 2.6  # inches: a phone's width at 96 pixels each
_LONGEST_LABEL = 40


def small_chart(width: float = WIDTH, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """A figure of so many inches with one pair of axes."""
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def cut(name: str) -> str:
    """A name as it fits beside an axis."""
    return name if len(name) <= _LONGEST_LABEL else f"{name[: _LONGEST_LABEL - 1]}…"


def svg(figure: Figure) -> bytes:
    """The file of a figure. A browser takes it as data, `data_url("image/svg+xml", ...)`."""
    buffer = io.BytesIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with warnings.catch_warnings(), matplotlib.rc_context(SETTINGS):
        # Of a letter that Matplotlib's own font lacks: the browser's has it.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(buffer, format="svg", metadata=nothing)
    return buffer.getvalue()
