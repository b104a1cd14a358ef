"""How an animal looks in a pose, drawn from its attributes.

An animal is seen from the side. It faces +x; legs, where it has some, stand on y = 0. Lengths are
in the animal's own unit, about its length.
"""

import functools
import math

import numpy as np

from data_pipeline.synthetic.animals import Animal
from data_pipeline.synthetic.parts import (
    BEAK,
    COLOURS,
    EYE,
    FOUR,
    TWO,
    Pose,
    leg_shapes,
    legs_of,
    neck_and_head,
    tail_of,
    trunk_of,
)
from data_pipeline.synthetic.shapes import Point, Shape, darker, ellipse, polygon, rotated, stroke


def drawn(animal: Animal, pose: Pose) -> list[Shape]:
    """The polygons of an animal in a pose, in drawing order."""
    draw = {
        "four-legged": _four_legged,
        "bird": _bird,
        "fish": _fish,
        "snake": _snake,
        "hopper": _hopper,
    }[animal.body]
    return draw(animal, pose)


@functools.cache
def extent(animal: Animal) -> tuple[float, float, float, float]:
    """The box around the animal as it stands: left, bottom, right, top, in its own unit."""
    points = np.concatenate([shape.points for shape in drawn(animal, Pose())])
    (left, bottom), (right, top) = points.min(axis=0), points.max(axis=0)
    return float(left), float(bottom), float(right), float(top)


def _four_legged(animal: Animal, pose: Pose) -> list[Shape]:
    coat = COLOURS[animal.colour]
    heavy = animal.size == "large" and animal.neck == "short"
    radius_y, width = (0.25, 0.15) if heavy else (0.19, 0.1)
    standing = 0.52 if heavy else 0.5 + 0.1 * (animal.neck == "long")
    height = standing + pose.fold * (radius_y + 0.02 - standing)
    legs = functools.partial(legs_of, FOUR, pose, height, standing, width, coat)
    length = 0.62 if animal.neck == "long" else 0.24
    up = 66 if animal.neck == "long" else 40
    down = -52 if animal.neck == "long" else -62
    # Lying, the head is as near to the ground as it can be by the body alone.
    bowed = pose._replace(bow=pose.bow * (1 - pose.fold))
    trunk = [*tail_of(animal, (-0.4, 0.04), 0.34), *trunk_of(animal, 0.44, radius_y)]
    return [
        *legs(near=False),
        *(shape.moved((0, height)) for shape in trunk),
        *legs(near=True),
        *neck_and_head(animal, (0.34, height + 0.06), bowed, length, up, down, 0.24),
    ]


def _bird(animal: Animal, pose: Pose) -> list[Shape]:
    coat, marks = COLOURS[animal.colour], COLOURS[animal.markings]
    standing = 0.36 + 0.24 * (animal.neck == "long")
    height = standing + pose.fold * (0.17 - standing)
    in_the_air = pose.wings is not None
    legs = functools.partial(
        legs_of,
        TWO,
        pose,
        height,
        standing,
        0.065,
        BEAK if animal.size != "large" else coat,
    )
    tail = {
        "short": polygon((-0.2, 0.06), (-0.42, 0.02), (-0.4, -0.1), (-0.16, -0.1)),
        "long": polygon((-0.2, 0.05), (-0.66, -0.14), (-0.62, -0.26), (-0.16, -0.1)),
        "bushy": polygon((-0.16, 0.12), (-0.5, 0.22), (-0.52, -0.12), (-0.14, -0.12)),
    }[animal.tail]
    trunk = [Shape(tail, darker(coat)), *trunk_of(animal, 0.3, 0.18, tilt=14)]
    span = {"large": 0.66, "small": 0.24}[animal.wings]
    wing_colour = darker(coat, 0.8) if animal.pattern == "plain" else marks
    if pose.wings is None:
        wing = ellipse(-0.06, 0.01, 0.4 * span + 0.04, 0.09, tilt=12)
    else:
        tip = span * np.array([-0.35, 1.0 * pose.wings])
        wing = polygon(
            (0.1, 0.02), (-0.16, 0.0), (tip[0] - 0.1, tip[1] + 0.02), (tip[0] + 0.06, tip[1] + 0.02)
        )
    bowed = pose._replace(bow=pose.bow * (1 - pose.fold))
    neck = {"long": 0.5, "short": 0.16, "none": 0.1}[animal.neck]
    return [
        *([] if in_the_air else legs(near=False)),
        *(
            [Shape(wing * (1, 0.9) + (0.05, height + 0.03), darker(wing_colour))]
            if in_the_air
            else []
        ),
        *(shape.moved((0, height)) for shape in trunk),
        *([] if in_the_air else legs(near=True)),
        *_bird_head(animal, (0.22, height + 0.08), bowed, neck),
        Shape(wing + (0, height + 0.02), wing_colour),
    ]


def _bird_head(animal: Animal, base: Point, pose: Pose, length: float) -> list[Shape]:
    coat = COLOURS[animal.colour]
    is_long = animal.neck == "long"
    angle = 76 + (-58 - 76) * pose.bow
    end = rotated(np.array([[length, 0.0]]), angle)[0]
    width = 0.1 if is_long else 0.16
    radius = 0.16 if animal.neck == "none" else 0.11
    head = [
        Shape(polygon((0.06, 0.05), (0.3, -0.03), (0.06, -0.08)), BEAK),
        Shape(ellipse(0, 0, radius, radius), coat),
        Shape(ellipse(0.04, 0.03, 0.03, 0.03), EYE, False),
    ]
    shapes = [
        Shape(rotated(stroke([(-0.06, 0), (length, 0)], [1.4 * width, width]), angle), coat),
        *(shape.turned(-40 * pose.bow).moved(end) for shape in head),
    ]
    return [shape.moved(base) for shape in shapes]


def _fish(animal: Animal, pose: Pose) -> list[Shape]:
    coat = COLOURS[animal.colour]
    fin = darker(coat, 0.8)
    is_large = animal.size == "large"
    radius_y = 0.16 if is_large else 0.21
    sway = 0.35 * math.sin(2 * math.pi * pose.wave)
    length = 0.34 if animal.tail == "long" else 0.2
    # Seen from the side, a tail that swings to and fro looks shorter and longer.
    shown = length * (0.75 + 0.7 * sway)
    tail = polygon(
        (-0.34, 0.03),
        (-0.42 - shown, 0.22),
        (-0.4 - 0.6 * shown, 0),
        (-0.42 - shown, -0.22),
        (-0.34, -0.03),
    )
    height = 0.3
    shapes = [
        Shape(tail, fin),
        Shape(
            polygon((-0.12, 0.8 * radius_y), (-0.06, radius_y + 0.16), (0.14, 0.8 * radius_y)), fin
        ),
        *trunk_of(animal, 0.42, radius_y),
        Shape(polygon((0.1, -0.04), (-0.06, -0.16 - 0.2 * sway), (0.02, -0.04)), fin),
        Shape(ellipse(0.28, 0.05, 0.035, 0.035), EYE, False),
    ]
    return [shape.moved((0, height)) for shape in shapes]


def _snake(animal: Animal, pose: Pose) -> list[Shape]:
    coat, marks = COLOURS[animal.colour], COLOURS[animal.markings]
    along = np.linspace(0, 1, 33)
    wave = 0.09 * np.sin(2 * math.pi * (1.6 * along + pose.wave))
    stretched = np.stack([1.5 * (along - 0.5), 0.16 + wave], axis=1)
    # Wound up from the tail in the middle, the head outside.
    turn = 2 * math.pi * (2.2 * along**0.7 - 0.25)
    radius = 0.06 + 0.26 * along
    coiled = np.stack([radius * np.cos(turn), 0.3 + 0.85 * radius * np.sin(turn)], axis=1)
    line = stretched + pose.coil * (coiled - stretched)
    width = {"small": 0.11, "medium": 0.13, "large": 0.17}[animal.size]
    widths = width * np.minimum(1, 0.25 + 2.4 * along)
    shapes = [
        Shape(stroke(line[k : k + 5], widths[k : k + 5]), coat) for k in range(0, len(line) - 4, 4)
    ]
    if animal.pattern != "plain":
        step, length = (4, 2) if animal.pattern == "striped" else (6, 3)
        thickness = 1.0 if animal.pattern == "striped" else 0.55
        shapes += [
            Shape(stroke(line[k : k + length], thickness * widths[k : k + length]), marks, False)
            for k in range(4, len(line) - length, step)
        ]
    ahead = line[-1] - line[-3]
    tilt = math.degrees(math.atan2(ahead[1], ahead[0]))
    head = [
        Shape(ellipse(0.06, 0, 0.75 * width + 0.04, 0.6 * width + 0.02), coat),
        Shape(ellipse(0.08, 0.03, 0.028, 0.028), EYE, False),
    ]
    return shapes + [shape.turned(tilt).moved(line[-1]) for shape in head]


def _hopper(animal: Animal, pose: Pose) -> list[Shape]:
    coat = COLOURS[animal.colour]
    is_upright = animal.tail == "long"
    tilt = 52 if is_upright else 20
    standing = 0.5 if is_upright else 0.3
    height = standing + 0.12 * (pose.spring - 0.3) - 0.1 * pose.fold
    segment = 0.3 if is_upright else 0.25
    hip = (-0.16, height - 0.1)
    stretch = pose.spring
    foot = (
        hip[0] + 0.1 - 0.5 * stretch,
        max(0.0, height - 0.3 - 0.4 * stretch) if stretch < 0.6 else hip[1] - 0.38,
    )
    hind = functools.partial(leg_shapes, hip, foot, segment, 0.14, 1)
    front = (0.18 if not is_upright else 0.2, height + (0.06 if is_upright else -0.06))
    front_foot = (
        (front[0] + 0.12, max(0.02, front[1] - 0.24))
        if not is_upright
        else (front[0] + 0.16, front[1] - 0.14)
    )
    front_leg = functools.partial(leg_shapes, front, front_foot, 0.15, 0.07, -1)
    head_at = (0.26, 0.32) if is_upright else (0.32, 0.16)
    bow = np.array([0.16, -0.46 if is_upright else -0.2]) * pose.bow
    head: list[Shape] = []
    if animal.neck != "none":  # ears
        head += [
            Shape(ellipse(-0.04, 0.2, 0.04, 0.14, tilt=12), darker(coat)),
            Shape(ellipse(0.04, 0.2, 0.04, 0.14, tilt=-6), coat),
        ]
    else:  # eyes on top
        head += [Shape(ellipse(0.0, 0.11, 0.07, 0.07), coat)]
    head += [
        Shape(ellipse(0, 0, 0.15, 0.12), coat),
        Shape(ellipse(0.12, -0.02, 0.1, 0.08), coat),
        Shape(ellipse(0.02, 0.1 if animal.neck == "none" else 0.03, 0.03, 0.03), EYE, False),
    ]
    base = np.array([0.0, height])
    neck = stroke([tuple(base + (0.1, 0.12)), tuple(base + head_at + bow)], [0.22, 0.16])
    tail = tail_of(animal, (-0.24, -0.16), 0.5)
    return [
        *hind(darker(coat)),
        *front_leg(darker(coat)),
        *(shape.moved(base) for shape in tail),
        *(shape.moved(base) for shape in trunk_of(animal, 0.36, 0.2, tilt)),
        Shape(neck, coat),
        *(shape.moved(base + head_at + bow) for shape in head),
        *front_leg(coat),
        *hind(coat),
    ]
