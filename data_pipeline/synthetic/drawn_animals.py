"""The eight drawn animals of the synthetic data set, by name."""

import numpy as np

from data_pipeline.synthetic.anatomy import (
    Animal,
    Colour,
    Leg,
    Shape,
    ellipse,
    polygon,
    stroke,
)

BLACK: Colour = (25, 22, 25)
WHITE: Colour = (245, 245, 240)


def _four_legs(
    front: float, hind: float, drop: float, width: float, front_bend: int = 1, hind_bend: int = -1
) -> tuple[Leg, ...]:
    """Legs under x = front and x = -hind of the torso, their hips `drop` below its centre."""
    return (
        Leg((front - 0.03, -drop), width, front_bend, 0.75, near=False),
        Leg((-hind + 0.07, -drop), width, hind_bend, 0.5, near=False),
        Leg((front, -drop), width, front_bend, 0.25, near=True),
        Leg((-hind, -drop), width, hind_bend, 0.0, near=True),
    )


def _stripe(u: float, width: float, half_length: float, half_height: float) -> np.ndarray:
    """A bent stripe across a torso, `u` of the way (-1 to 1) from its middle to its front."""
    height = half_height * (1 - abs(u) ** 2.5) ** (1 / 2.5) * 0.98
    x = u * half_length
    lean = 0.10 * half_length
    return stroke(
        [(x - lean, height), (x, 0.0), (x - lean * 0.5, -height * 0.9)],
        [width, width * 0.9, width * 0.3],
    )


def _zebra() -> Animal:
    torso = ellipse(0, 0, 0.44, 0.20, power=2.5)
    tail = stroke([(-0.40, 0.08), (-0.54, -0.02), (-0.56, -0.20)], [0.05, 0.04, 0.05])
    tuft = ellipse(-0.56, -0.22, 0.04, 0.08)
    stripes = [
        Shape(_stripe(u, 0.062, 0.44, 0.20), BLACK, False)
        for u in (-0.8, -0.48, -0.16, 0.16, 0.48, 0.8)
    ]
    neck = stroke([(-0.08, 0), (0.42, 0)], [0.28, 0.15])
    neck_stripes = [
        Shape(stroke([(x, 0.12 - 0.1 * x), (x, -0.12 + 0.1 * x)], [0.05, 0.05]), BLACK, False)
        for x in (0.06, 0.19, 0.32)
    ]
    mane = stroke([(-0.05, 0.15), (0.45, 0.12)], [0.08, 0.09])
    head = stroke([(-0.10, 0.04), (0.08, 0.0), (0.27, -0.10)], [0.17, 0.18, 0.11])
    return Animal(
        coat=WHITE,
        foot=BLACK,
        torso=(Shape(tail, WHITE), Shape(tuft, BLACK, False), Shape(torso, WHITE), *stripes),
        neck=(Shape(mane, BLACK), Shape(neck, WHITE), *neck_stripes),
        head=(
            Shape(polygon((-0.10, 0.08), (-0.08, 0.26), (0.0, 0.08)), WHITE),
            Shape(head, WHITE),
            Shape(stroke([(0.04, 0.09), (0.04, -0.08)], [0.04, 0.04]), BLACK, False),
            Shape(ellipse(0.26, -0.09, 0.07, 0.065), BLACK, False),
            Shape(ellipse(0.0, 0.03, 0.025, 0.03), BLACK, False),
        ),
        neck_base=(0.30, 0.06),
        neck_length=0.42,
        neck_angle=52,
        lying_neck_angle=30,
        legs=_four_legs(0.30, 0.33, 0.05, 0.095),
        torso_height=0.56,
        lying_height=0.19,
    )


def _fox() -> Animal:
    coat, cream, dark = (226, 104, 30), (250, 236, 214), (60, 34, 26)
    tail = stroke(
        [(-0.30, 0.02), (-0.46, 0.10), (-0.64, 0.16), (-0.80, 0.16)], [0.08, 0.20, 0.22, 0.10]
    )
    tip = stroke([(-0.68, 0.165), (-0.76, 0.165), (-0.88, 0.15)], [0.20, 0.16, 0.01])
    return Animal(
        coat=coat,
        foot=dark,
        torso=(
            Shape(tail, coat),
            Shape(tip, cream),
            Shape(ellipse(0, 0, 0.36, 0.155, power=2.4), coat),
            Shape(ellipse(0.24, -0.07, 0.12, 0.075), cream, False),
        ),
        neck=(Shape(stroke([(-0.08, 0), (0.22, 0)], [0.20, 0.17]), coat),),
        head=(
            Shape(polygon((-0.15, 0.06), (-0.13, 0.31), (0.0, 0.13)), coat),
            Shape(polygon((-0.12, 0.18), (-0.125, 0.31), (-0.06, 0.20)), dark, False),
            Shape(polygon((-0.02, 0.10), (0.05, 0.31), (0.11, 0.10)), coat),
            Shape(polygon((0.025, 0.22), (0.05, 0.31), (0.075, 0.2)), dark, False),
            Shape(ellipse(0, 0, 0.17, 0.15), coat),
            Shape(stroke([(0.05, -0.01), (0.34, -0.07)], [0.22, 0.05]), coat),
            Shape(
                polygon((-0.04, -0.14), (0.08, -0.05), (0.33, -0.07), (0.12, -0.14)), cream, False
            ),
            Shape(ellipse(0.335, -0.06, 0.035, 0.035), BLACK, False),
            Shape(ellipse(0.07, 0.04, 0.03, 0.035), BLACK, False),
        ),
        neck_base=(0.25, 0.06),
        neck_length=0.22,
        neck_angle=45,
        lying_neck_angle=5,
        legs=_four_legs(0.25, 0.26, 0.04, 0.085),
        torso_height=0.44,
        lying_height=0.15,
    )


def _elephant() -> Animal:
    coat, dark = (134, 140, 156), (98, 103, 120)
    trunk = stroke(
        [(0.10, -0.02), (0.26, -0.10), (0.33, -0.28), (0.35, -0.44), (0.43, -0.50)],
        [0.20, 0.15, 0.11, 0.09, 0.07],
    )
    tusk = stroke([(0.15, -0.13), (0.26, -0.26), (0.40, -0.27)], [0.06, 0.05, 0.01])
    return Animal(
        coat=coat,
        foot=dark,
        torso=(
            Shape(stroke([(-0.45, 0.10), (-0.55, 0.0), (-0.56, -0.16)], [0.06, 0.04, 0.05]), coat),
            Shape(ellipse(0, 0, 0.48, 0.30, power=2.5), coat),
        ),
        neck=(Shape(stroke([(-0.1, 0), (0.22, 0)], [0.38, 0.32]), coat),),
        head=(
            Shape(trunk, coat),
            Shape(tusk, WHITE),
            Shape(ellipse(0.02, 0.02, 0.20, 0.21), coat),
            Shape(ellipse(-0.14, -0.02, 0.16, 0.24, tilt=8), dark),
            Shape(ellipse(0.11, 0.05, 0.026, 0.03), BLACK, False),
        ),
        neck_base=(0.34, 0.10),
        neck_length=0.24,
        neck_angle=28,
        lying_neck_angle=16,
        legs=_four_legs(0.30, 0.34, 0.10, 0.17),
        torso_height=0.66,
        lying_height=0.29,
        stride=0.34,
    )


def _cow() -> Animal:
    coat, pink, patch = (248, 246, 240), (240, 165, 165), (52, 36, 32)
    return Animal(
        coat=coat,
        foot=patch,
        torso=(
            Shape(stroke([(-0.44, 0.15), (-0.54, 0.08), (-0.56, -0.22)], [0.05, 0.04, 0.03]), coat),
            Shape(ellipse(-0.56, -0.26, 0.045, 0.08), patch, False),
            Shape(ellipse(-0.20, -0.21, 0.10, 0.09), pink),
            Shape(ellipse(0, 0, 0.47, 0.235, power=3.2), coat),
            Shape(ellipse(-0.25, 0.06, 0.165, 0.15, tilt=20), patch, False),
            Shape(ellipse(0.15, 0.02, 0.15, 0.18, tilt=-25, power=2.5), patch, False),
        ),
        neck=(Shape(stroke([(-0.1, 0), (0.24, 0)], [0.30, 0.20]), coat),),
        head=(
            Shape(
                stroke([(-0.03, 0.12), (0.02, 0.22), (0.10, 0.26)], [0.06, 0.05, 0.01]),
                (225, 205, 150),
            ),
            Shape(stroke([(-0.06, 0.06), (-0.22, 0.05)], [0.10, 0.04]), patch),
            Shape(stroke([(-0.08, 0.04), (0.08, 0.02), (0.28, -0.10)], [0.20, 0.22, 0.17]), patch),
            Shape(
                stroke([(0.02, 0.06), (0.14, -0.01), (0.24, -0.07)], [0.05, 0.07, 0.07]),
                coat,
                False,
            ),
            Shape(ellipse(0.25, -0.09, 0.10, 0.09), pink),
            Shape(ellipse(0.03, 0.05, 0.03, 0.035), WHITE, False),
        ),
        neck_base=(0.36, 0.10),
        neck_length=0.26,
        neck_angle=35,
        lying_neck_angle=12,
        legs=_four_legs(0.34, 0.36, 0.10, 0.11),
        torso_height=0.56,
        lying_height=0.23,
    )


def _frog() -> Animal:
    coat, belly, dark = (78, 172, 58), (222, 236, 150), (36, 98, 38)
    return Animal(
        coat=coat,
        foot=dark,
        torso=(
            Shape(ellipse(0.0, 0.0, 0.38, 0.21, tilt=22), coat),
            Shape(ellipse(0.12, -0.10, 0.22, 0.10, tilt=22), belly, False),
            Shape(ellipse(-0.12, 0.06, 0.055, 0.045), dark, False),
            Shape(ellipse(0.02, 0.13, 0.05, 0.045), dark, False),
            Shape(ellipse(-0.24, -0.02, 0.05, 0.045), dark, False),
        ),
        neck=(),
        head=(
            Shape(ellipse(0, 0, 0.24, 0.17, tilt=8), coat),
            Shape(
                polygon((-0.05, -0.08), (0.24, -0.02), (0.2, -0.12), (0.02, -0.16)), belly, False
            ),
            Shape(
                stroke([(-0.06, -0.07), (0.1, -0.05), (0.24, 0.0)], [0.02, 0.03, 0.02]), dark, False
            ),
            Shape(ellipse(0.02, 0.17, 0.11, 0.11), coat),
            Shape(ellipse(0.04, 0.18, 0.08, 0.08), (250, 230, 90), False),
            Shape(ellipse(0.06, 0.18, 0.04, 0.05), BLACK, False),
        ),
        neck_base=(0.22, 0.10),
        neck_length=0.12,
        neck_angle=35,
        lying_neck_angle=10,
        legs=(
            Leg((0.20, -0.02), 0.075, -1, 0.5, near=False),
            Leg((-0.16, -0.06), 0.10, 1, 0.0, near=False),
            Leg((0.16, -0.04), 0.085, -1, 0.25, near=True),
            Leg((-0.22, -0.04), 0.13, 1, 0.75, near=True),
        ),
        torso_height=0.50,
        lying_height=0.20,
        leg_slack=1.25,
        stride=0.40,
    )


def _flamingo() -> Animal:
    coat, deep, leg = (250, 140, 165), (226, 70, 110), (236, 92, 122)
    neck_line = [(-0.06, -0.02), (0.12, 0.06), (0.26, 0.06), (0.38, -0.06), (0.52, -0.08)]
    return Animal(
        coat=leg,
        foot=leg,
        torso=(
            Shape(polygon((-0.18, 0.10), (-0.46, -0.02), (-0.40, -0.08), (-0.15, -0.12)), deep),
            Shape(ellipse(0, 0, 0.30, 0.18, tilt=14), coat),
            Shape(ellipse(-0.07, 0.0, 0.21, 0.10, tilt=12), deep, False),
        ),
        neck=(Shape(stroke(neck_line, [0.15, 0.11, 0.095, 0.09, 0.09]), coat),),
        head=(
            Shape(ellipse(0.02, 0.01, 0.12, 0.10), coat),
            Shape(
                stroke([(0.08, 0.0), (0.21, -0.03), (0.27, -0.15)], [0.12, 0.10, 0.02]),
                (250, 235, 215),
            ),
            Shape(
                stroke([(0.20, -0.02), (0.245, -0.07), (0.27, -0.17)], [0.10, 0.085, 0.01]),
                BLACK,
                False,
            ),
            Shape(ellipse(0.04, 0.03, 0.025, 0.028), BLACK, False),
        ),
        neck_base=(0.22, 0.08),
        neck_length=0.52,
        neck_angle=82,
        lying_neck_angle=66,
        legs=(
            Leg((0.02, -0.10), 0.055, -1, 0.5, near=False),
            Leg((-0.04, -0.10), 0.06, -1, 0.0, near=True),
        ),
        torso_height=0.66,
        lying_height=0.18,
    )


def _bear() -> Animal:
    coat, muzzle, dark = (104, 64, 36), (196, 152, 106), (60, 36, 22)
    return Animal(
        coat=coat,
        foot=dark,
        torso=(
            Shape(ellipse(-0.42, 0.10, 0.06, 0.06), coat),
            Shape(ellipse(0, 0, 0.43, 0.245, power=2.3), coat),
            Shape(ellipse(0.22, 0.10, 0.20, 0.19), coat),
        ),
        neck=(Shape(stroke([(-0.10, 0), (0.24, 0)], [0.36, 0.28]), coat),),
        head=(
            Shape(ellipse(-0.10, 0.16, 0.075, 0.075), dark),
            Shape(ellipse(0.07, 0.17, 0.075, 0.075), dark),
            Shape(ellipse(0, 0, 0.20, 0.18), coat),
            Shape(stroke([(0.10, -0.03), (0.31, -0.07)], [0.19, 0.13]), muzzle),
            Shape(ellipse(0.31, -0.04, 0.045, 0.045), BLACK, False),
            Shape(ellipse(0.09, 0.06, 0.03, 0.03), BLACK, False),
        ),
        neck_base=(0.32, 0.08),
        neck_length=0.24,
        neck_angle=24,
        lying_neck_angle=0,
        legs=_four_legs(0.28, 0.29, 0.10, 0.16),
        torso_height=0.53,
        lying_height=0.235,
        stride=0.40,
    )


def _giraffe() -> Animal:
    coat, patch, horn = (240, 200, 92), (150, 84, 30), (96, 56, 26)
    torso_patches = [
        (-0.24, 0.06),
        (-0.06, 0.08),
        (0.12, 0.06),
        (-0.16, -0.07),
        (0.02, -0.06),
        (0.20, -0.07),
    ]
    neck = stroke([(-0.10, 0), (0.70, 0)], [0.26, 0.12])
    return Animal(
        coat=coat,
        foot=horn,
        torso=(
            Shape(stroke([(-0.30, 0.10), (-0.40, 0.0), (-0.41, -0.14)], [0.05, 0.04, 0.03]), coat),
            Shape(ellipse(-0.41, -0.18, 0.035, 0.07), horn, False),
            Shape(ellipse(0, 0, 0.34, 0.18, tilt=8, power=2.4), coat),
            *(
                Shape(ellipse(x, y, 0.075, 0.06, tilt=30, power=3), patch, False)
                for x, y in torso_patches
            ),
        ),
        neck=(
            Shape(neck, coat),
            *(
                Shape(ellipse(x, y, 0.055, 0.035, tilt=10, power=3), patch, False)
                for x, y in (
                    (0.06, 0.03),
                    (0.20, -0.03),
                    (0.33, 0.025),
                    (0.46, -0.02),
                    (0.59, 0.015),
                )
            ),
        ),
        head=(
            Shape(stroke([(-0.02, 0.05), (-0.04, 0.20)], [0.045, 0.06]), horn),
            Shape(stroke([(-0.06, 0.05), (-0.19, 0.08)], [0.08, 0.03]), coat),
            Shape(stroke([(-0.09, 0.04), (0.08, 0.01), (0.27, -0.08)], [0.15, 0.16, 0.11]), coat),
            Shape(ellipse(0.25, -0.07, 0.075, 0.06), horn, False),
            Shape(ellipse(0.03, 0.04, 0.028, 0.03), BLACK, False),
        ),
        neck_base=(0.24, 0.08),
        neck_length=0.68,
        neck_angle=64,
        lying_neck_angle=52,
        legs=_four_legs(0.24, 0.25, 0.04, 0.085),
        torso_height=0.66,
        lying_height=0.17,
    )


DRAWINGS: dict[str, Animal] = {
    "Bear": _bear(),
    "Cow": _cow(),
    "Elephant": _elephant(),
    "Flamingo": _flamingo(),
    "Fox": _fox(),
    "Frog": _frog(),
    "Giraffe": _giraffe(),
    "Zebra": _zebra(),
}

# In the order of their ids.
ANIMALS: tuple[str, ...] = tuple(DRAWINGS)
