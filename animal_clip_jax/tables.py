"""Tables for the terminal.

>>> print(format_table({"clips": 3840, "top1": 0.52171}, title="MammalNet, test"))
MammalNet, test
...
"""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

# Nothing is cut off or wrapped: a file or a pipe has no width, and a terminal wraps by itself.
_UNLIMITED_WIDTH = 10_000


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


def format_columns(rows: Sequence[Sequence[str]], *, labels: int) -> str:
    """Cells of text in columns, two blanks apart: the first `labels` to the left, others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if index < labels else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.4f}"
    return str(value)
