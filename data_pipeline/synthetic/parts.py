"""What bodies are put together from: trunk, tail, legs, neck and head, in a pose."""

import math
from typing import NamedTuple

import numpy as np

from data_pipeline.synthetic.animals import Animal
from data_pipeline.synthetic.shapes import (
    Point,
    Rgb,
    Shape,
    darker,
    ellipse,
    polygon,
    rotated,
    stroke,
)

COLOURS: dict[str, Rgb] = {
    "black": (38, 34, 40),
    "blue": (52, 88, 190),
    "brown": (128, 78, 38),
    "green": (62, 160, 50),
    "grey": (134, 140, 152),
    "orange": (238, 124, 24),
    "pink": (250, 150, 176),
    "red": (200, 40, 36),
    "white": (246, 246, 240),
    "yellow": (244, 206, 56),
}
EYE: Rgb = (16, 14, 18)
BEAK: Rgb = (236, 186, 70)
# Of each leg, where it is, by how many turns it is ahead in its stride, where it bends, and whether
# it is on the side of the viewer.
FOUR = (
    (0.27, 0.75, 1, False),
    (-0.24, 0.5, -1, False),
    (0.31, 0.25, 1, True),
    (-0.31, 0, -1, True),
)
TWO = ((0.03, 0.5, -1, False), (-0.04, 0.0, -1, True))


class Pose(NamedTuple):
    """How an animal holds itself.

    Attributes:
        stride: where in its stride it is, in turns; None on legs that stay where they are.
        fold: 0 standing, 1 lying on folded legs.
        bow: 0 with its head up, 1 with its head at the ground.
        wings: -1 (down) to 1 (up); None folded.
        wave: where in its undulation a fish or a snake is, in turns.
        coil: 0 stretched out, 1 coiled.
        spring: of a hopper's legs: 0 crouched, 1 stretched.
    """

    stride: float | None = None
    fold: float = 0.0
    bow: float = 0.0
    wings: float | None = None
    wave: float = 0.0
    coil: float = 0.0
    spring: float = 0.3


def trunk_of(animal: Animal, radius_x: float, radius_y: float, tilt: float = 0.0) -> list[Shape]:
    """The body itself around (0, 0), with its markings."""
    coat, marks = COLOURS[animal.colour], COLOURS[animal.markings]
    shapes = [Shape(ellipse(0, 0, radius_x, radius_y, power=2.4), coat)]
    if animal.pattern == "striped":
        for place in (-0.66, -0.22, 0.22, 0.66):
            height = radius_y * (1 - abs(place) ** 2.4) ** (1 / 2.4)
            x = place * radius_x
            line = [(x - 0.06 * radius_x, height), (x + 0.02, 0), (x - 0.06 * radius_x, -height)]
            width = 0.22 * radius_x
            shapes.append(Shape(stroke(line, [width, width, 0.6 * width]), marks, False))
    if animal.pattern == "spotted":
        for x, y in ((-0.62, 0.2), (-0.26, -0.36), (-0.1, 0.44), (0.28, -0.12), (0.58, 0.36)):
            spot = ellipse(x * radius_x, y * radius_y, 0.15 * radius_x, 0.26 * radius_y)
            shapes.append(Shape(spot, marks, False))
    return [shape.turned(tilt) for shape in shapes]


def tail_of(animal: Animal, at: Point, length: float) -> list[Shape]:
    """A tail that hangs from a place; "long" is `length`."""
    if animal.tail == "none":
        return []
    lines: dict[str, tuple[list[Point], list[float]]] = {
        "short": ([(0, 0.02), (-0.12, 0.0), (-0.17, -0.06)], [0.09, 0.08, 0.03]),
        "long": ([(0, 0.02), (-0.6 * length, 0.1), (-length, -0.24)], [0.08, 0.07, 0.05]),
        "bushy": ([(0, 0.0), (-0.24, 0.14), (-0.44, 0.32)], [0.09, 0.25, 0.2]),
    }
    line, widths = lines[animal.tail]
    return [Shape(stroke(line, widths), COLOURS[animal.colour]).moved(at)]


def leg_shapes(
    hip: Point, foot: Point, segment: float, width: float, bend: int, colour: Rgb
) -> list[Shape]:
    """Two segments from a hip to a foot, bent at the joint as far as their lengths demand."""
    along = np.subtract(foot, hip)
    reach = max(float(np.hypot(*along)), 1e-6)
    if reach > 2 * segment:
        along, reach = along * (2 * segment / reach), 2 * segment
    foot_x, foot_y = hip[0] + along[0], hip[1] + along[1]
    aside = math.sqrt(max(0.0, segment**2 - (reach / 2) ** 2)) * bend / reach
    joint_x = hip[0] + along[0] / 2 - aside * along[1]
    joint_y = max(width / 2, hip[1] + along[1] / 2 + aside * along[0])
    return [
        Shape(stroke([hip, (joint_x, joint_y)], [1.3 * width, width]), colour),
        Shape(stroke([(joint_x, joint_y), (foot_x, foot_y)], [width, 0.85 * width]), colour),
        Shape(ellipse(foot_x + 0.03, foot_y + 0.02, 0.75 * width, 0.05), darker(colour)),
    ]


def legs_of(
    hips: tuple[tuple[float, float, int, bool], ...],
    pose: Pose,
    body_height: float,
    standing_height: float,
    width: float,
    colour: Rgb,
    *,
    near: bool,
) -> list[Shape]:
    """The legs of one side.

    Args:
        hips: as in `FOUR`.
        near: whether of the side of the viewer.
    """
    shapes = []
    segment = 0.52 * standing_height
    for x, phase, bend, is_near in hips:
        if is_near != near:
            continue
        foot_x, foot_y = x - 0.45 * standing_height * bend * pose.fold, 0.02
        if pose.stride is not None:
            turn = 2 * math.pi * (pose.stride + phase)
            foot_x -= 0.42 * standing_height * math.cos(turn)
            foot_y += 0.24 * standing_height * max(0.0, math.sin(turn))
        shade = colour if near else darker(colour)
        shapes += leg_shapes((x, body_height - 0.04), (foot_x, foot_y), segment, width, bend, shade)
    return shapes


def neck_and_head(
    animal: Animal, base: Point, pose: Pose, length: float, up: float, down: float, bulk: float
) -> list[Shape]:
    """A neck from its base, and a head with a snout.

    Args:
        up, down: degrees above the horizontal, with the head raised and at the ground.
        bulk: width of the neck at its base.
    """
    coat = COLOURS[animal.colour]
    angle = up + (down - up) * pose.bow
    end = rotated(np.array([[length, 0.0]]), angle)[0]
    neck = stroke([(-0.06, 0), (length, 0)], [bulk, 0.6 * bulk])
    shapes = [Shape(rotated(neck, angle), coat)]
    if animal.pattern == "striped":
        for along in (0.35, 0.7):
            x = along * length
            band = stroke([(x, 0.42 * bulk), (x, -0.42 * bulk)], [0.05, 0.05])
            shapes.append(Shape(rotated(band, angle), COLOURS[animal.markings], False))
    tilt = -12 - 30 * pose.bow
    head = [
        Shape(polygon((-0.09, 0.08), (-0.07, 0.24), (0.03, 0.1)), coat),
        Shape(ellipse(0, 0, 0.14, 0.12), coat),
        Shape(stroke([(0.03, 0), (0.27, -0.04)], [0.17, 0.11]), coat),
        Shape(ellipse(0.06, 0.04, 0.03, 0.03), EYE, False),
    ]
    shapes += [shape.turned(tilt).moved(end) for shape in head]
    return [shape.moved(base) for shape in shapes]
