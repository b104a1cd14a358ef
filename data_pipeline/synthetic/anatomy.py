"""How a drawn animal is put together and takes a pose.

An animal is seen from the side. It faces +x and stands on y = 0, with y pointing up. It consists of
rigid parts (torso, neck, head), which are polygons drawn once, and of legs, which are bent anew for
every pose. Lengths are in the animal's own unit; `extent` says how large the standing animal is,
for a caller that wants to give it a size in a picture.

    for points, colour, outlined in pose(animal, stride_phase=0.0, fold=0.0):
        ...  # points: (N, 2) float64; colour: (red, green, blue) in 0..255
"""

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Colour = tuple[int, int, int]


class Shape(NamedTuple):
    """A filled polygon; an outlined one is part of the silhouette, the others are markings."""

    points: np.ndarray  # (N, 2) float64
    colour: Colour
    outlined: bool = True


@dataclass(frozen=True)
class Leg:
    """A leg of two segments, from the hip to the ground."""

    hip: tuple[float, float]  # relative to the torso's centre
    width: float
    bend: int  # +1: the joint points forward, -1: backward
    phase: float  # part of the stride by which this leg is ahead, in turns
    near: bool  # on the side of the viewer


@dataclass(frozen=True, eq=False)
class Animal:
    """A drawing of an animal; torso, neck and head are drawn in this order."""

    coat: Colour
    foot: Colour
    torso: tuple[Shape, ...]  # relative to the torso's centre, the tail first
    neck: tuple[Shape, ...]  # +x along the neck, from its base
    head: tuple[Shape, ...]  # relative to the head's centre
    neck_base: tuple[float, float]  # relative to the torso's centre
    neck_length: float
    neck_angle: float  # degrees above the horizontal, standing
    lying_neck_angle: float
    legs: tuple[Leg, ...]
    torso_height: float  # of the torso's centre when standing
    lying_height: float  # of the torso's centre when lying
    # Length of both leg segments over the hip's height: above 1, the legs are bent when standing.
    leg_slack: float = 1.03
    stride: float = 0.42  # half the length of a step over the hip's height


def ellipse(
    x: float, y: float, radius_x: float, radius_y: float, tilt: float = 0.0, power: float = 2.0
) -> np.ndarray:
    """Outline of a (super)ellipse, tilted counter-clockwise by `tilt` degrees: (24, 2) float64."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    cosine, sine = np.cos(angle), np.sin(angle)
    outline = np.stack(
        [
            radius_x * np.sign(cosine) * np.abs(cosine) ** (2 / power),
            radius_y * np.sign(sine) * np.abs(sine) ** (2 / power),
        ],
        axis=1,
    )
    return _rotate(outline, tilt) + (x, y)


def stroke(points: list[tuple[float, float]], widths: list[float]) -> np.ndarray:
    """Outline of a tapering line through P points with a width at each: (2 P, 2) float64."""
    line = np.asarray(points, np.float64)
    direction = np.gradient(line, axis=0)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    normal = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
    half = np.asarray(widths, np.float64)[:, None] / 2
    return np.concatenate([line + half * normal, (line - half * normal)[::-1]])


def polygon(*points: tuple[float, float]) -> np.ndarray:
    """The polygon with these corners: (N, 2) float64."""
    return np.asarray(points, np.float64)


def _rotate(points: np.ndarray, degrees: float) -> np.ndarray:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return points @ np.array([[cosine, sine], [-sine, cosine]])


def pose(animal: Animal, stride_phase: float | None, fold: float) -> list[Shape]:
    """The polygons of an animal in a pose, in drawing order, in the animal's unit.

    Args:
        animal: the animal.
        stride_phase: where in its stride a walking animal is, in turns (any real number); None for
            an animal that stays on its feet.
        fold: 0 for standing, 1 for lying down, anything between on the way.
    """
    height = animal.torso_height + fold * (animal.lying_height - animal.torso_height)
    centre = np.array([0.0, height])

    neck_angle = animal.neck_angle + fold * (animal.lying_neck_angle - animal.neck_angle)
    neck_base = centre + animal.neck_base
    along = np.array([math.cos(math.radians(neck_angle)), math.sin(math.radians(neck_angle))])
    head_centre = neck_base + animal.neck_length * along

    def leg_shapes(near: bool) -> list[Shape]:
        return [
            shape
            for leg in animal.legs
            if leg.near == near
            for shape in _leg_shapes(animal, leg, height, stride_phase, fold)
        ]

    return [
        *leg_shapes(near=False),
        *(Shape(s.points + centre, s.colour, s.outlined) for s in animal.torso),
        *leg_shapes(near=True),
        *(
            Shape(_rotate(s.points, neck_angle) + neck_base, s.colour, s.outlined)
            for s in animal.neck
        ),
        *(Shape(s.points + head_centre, s.colour, s.outlined) for s in animal.head),
    ]


def _leg_shapes(
    animal: Animal, leg: Leg, torso_height: float, stride_phase: float | None, fold: float
) -> list[Shape]:
    """Two segments from hip to foot, bent at the joint as far as their lengths demand."""
    standing_hip = animal.torso_height + leg.hip[1]
    segment = standing_hip * animal.leg_slack / 2
    hip_x, hip_y = leg.hip[0], torso_height + leg.hip[1]
    # A folded leg rests on the ground, its foot ahead of the hip.
    foot_x, foot_y = hip_x + fold * 0.45 * standing_hip * -leg.bend, 0.03 * fold
    if stride_phase is not None:
        turn = 2 * math.pi * (stride_phase + leg.phase)
        foot_x -= animal.stride * standing_hip * math.cos(turn)
        foot_y += 0.22 * standing_hip * max(0.0, math.sin(turn))

    reach_x, reach_y = foot_x - hip_x, foot_y - hip_y
    reach = math.hypot(reach_x, reach_y)
    if reach > 2 * segment:
        shorten = 2 * segment / reach
        foot_x, foot_y = hip_x + reach_x * shorten, hip_y + reach_y * shorten
        reach = 2 * segment
    sideways = math.sqrt(max(0.0, segment**2 - (reach / 2) ** 2)) * leg.bend
    unit_x, unit_y = (foot_x - hip_x) / reach, (foot_y - hip_y) / reach
    joint_x = (hip_x + foot_x) / 2 - unit_y * sideways
    joint_y = max(leg.width / 2, (hip_y + foot_y) / 2 + unit_x * sideways)

    colour = animal.coat if leg.near else _darker(animal.coat)
    thigh = stroke([(hip_x, hip_y), (joint_x, joint_y)], [leg.width * 1.3, leg.width])
    knee = ellipse(joint_x, joint_y, leg.width / 2, leg.width / 2)
    shin = stroke([(joint_x, joint_y), (foot_x, foot_y)], [leg.width, leg.width * 0.8])
    foot = ellipse(foot_x + 0.02, foot_y + 0.03, leg.width * 0.62, 0.045)
    return [
        Shape(thigh, colour),
        Shape(knee, colour),
        Shape(shin, colour),
        Shape(foot, animal.foot),
    ]


def _darker(colour: Colour) -> Colour:
    red, green, blue = (round(0.68 * channel) for channel in colour)
    return red, green, blue


@functools.cache
def extent(animal: Animal) -> tuple[float, float, float, float]:
    """The standing animal's bounding box: left, bottom, right, top, in its own unit."""
    points = np.concatenate([shape.points for shape in pose(animal, None, 0.0)])
    (left, bottom), (right, top) = points.min(axis=0), points.max(axis=0)
    return float(left), float(bottom), float(right), float(top)
