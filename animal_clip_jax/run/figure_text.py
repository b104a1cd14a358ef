"""Figures of an evaluation as a person reads them: in percent, with intervals."""

from collections.abc import Mapping
from typing import Any

from animal_clip_jax.evaluation.intervals import around, wilson


def percent(value: float, clips: int, bounds: tuple[float, float] | None = None) -> str:
    """A share in percent, with the digits that so many clips allow: "92.8 (89.4–95.2)".

    Fewer than a hundred clips allow no decimals, as one of them is more than a percent.

    Args:
        bounds: of its interval.
    """
    digits = 1 if clips >= 100 else 0
    text = f"{100 * value:.{digits}f}"
    if bounds is None:
        return text
    low, high = bounds
    return f"{text} ({100 * low:.{digits}f}–{100 * high:.{digits}f})"


def number_of_clips(number: float) -> str:
    """Such as "1 clip"."""
    return f"{int(number)} clip{'' if number == 1 else 's'}"


def interval(
    figures: Mapping[str, Any], name: str, clips: int, *, multi_label: bool
) -> tuple[float, float] | None:
    """The 95 % interval of a figure; None where its standard error is not known.

    Args:
        figures: of one source of the animals.
        name: of a share of the clips, or for several labels of a mAP.
        clips: that it was measured on.
    """
    if not multi_label:
        return wilson(figures[name], clips)
    error = figures.get(f"{name}_error")
    return None if error is None else around(figures[name], error)


def folded(row: list[str]) -> list[list[str]]:
    """A row as two: figures, and below them their intervals."""
    figures, bounds = [], []
    for cell in row:
        figure, bracket, rest = cell.partition(" (")
        figures.append(figure)
        bounds.append(f"({rest}" if bracket else "")
    return [figures, bounds] if any(bounds) else [figures]
