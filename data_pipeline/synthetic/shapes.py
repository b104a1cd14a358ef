"""Polygons of which pictures are made. y points up."""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Rgb = tuple[int, int, int]
Point = tuple[float, float]


class Shape(NamedTuple):
    """A filled polygon; an outlined one is part of the silhouette, the others are markings."""

    points: np.ndarray  # (N, 2) float64
    colour: Rgb
    outlined: bool = True

    def moved(self, by: Point | np.ndarray) -> "Shape":
        """At another place."""
        return self._replace(points=self.points + np.asarray(by))

    def turned(self, degrees: float) -> "Shape":
        """Turned counter-clockwise around (0, 0)."""
        return self._replace(points=rotated(self.points, degrees))


@functools.cache
def _round(power: float) -> np.ndarray:
    """Outline of the superellipse around (0, 0) with both radii 1: (24, 2) float64."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ways = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.sign(ways) * np.abs(ways) ** (2 / power)


def ellipse(
    x: float, y: float, radius_x: float, radius_y: float, tilt: float = 0.0, power: float = 2.0
) -> np.ndarray:
    """Outline of a (super)ellipse, tilted counter-clockwise by `tilt` degrees: (24, 2) float64."""
    outline = _round(power) * (radius_x, radius_y)
    return (rotated(outline, tilt) if tilt else outline) + (x, y)


def stroke(
    points: Sequence[Point] | np.ndarray, widths: Sequence[float] | np.ndarray
) -> np.ndarray:
    """Outline of a tapering line through P points with a width at each: (2 P, 2) float64."""
    left, right = [], []
    last = len(points) - 1
    for place, ((x, y), width) in enumerate(zip(points, widths, strict=True)):
        # Its direction at a point is that between the points before and after. Few points: plain
        # Python is several times as fast as NumPy.
        (x0, y0), (x1, y1) = points[max(0, place - 1)], points[min(last, place + 1)]
        half = width / 2 / max(math.hypot(x1 - x0, y1 - y0), 1e-9)
        aside_x, aside_y = half * (y0 - y1), half * (x1 - x0)
        left.append((x + aside_x, y + aside_y))
        right.append((x - aside_x, y - aside_y))
    return np.array([*left, *right[::-1]], np.float64)


def polygon(*points: Point) -> np.ndarray:
    """The polygon with these corners: (N, 2) float64."""
    return np.asarray(points, np.float64)


def rotated(points: np.ndarray, degrees: float) -> np.ndarray:
    """Points (N, 2), turned counter-clockwise around (0, 0)."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return points @ np.array([[cosine, sine], [-sine, cosine]])


def darker(colour: Rgb, factor: float = 0.68) -> Rgb:
    """The colour in the shade."""
    red, green, blue = (round(factor * channel) for channel in colour)
    return red, green, blue
