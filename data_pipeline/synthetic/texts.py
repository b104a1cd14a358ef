"""Sentences of animals, of their pictures and of what they do, from templates."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from data_pipeline.synthetic.animals import Animal
from data_pipeline.synthetic.parts import Pose

_BODIES: Mapping[str, str] = MappingProxyType(
    {
        "four-legged": "animal with four legs",
        "bird": "bird with two legs",
        "fish": "fish with fins and no legs",
        "snake": "snake without legs",
        "hopper": "animal with strong hind legs",
    }
)
_TAILS: Mapping[str, str] = MappingProxyType(
    {"long": "a long tail", "short": "a short tail", "bushy": "a bushy tail", "none": "no tail"}
)
_NECKS: Mapping[str, str] = MappingProxyType(
    {"long": "a long neck", "short": "a short neck", "none": "no neck"}
)
_WINGS: Mapping[str, str] = MappingProxyType(
    {"large": "large wings", "small": "small wings", "none": "no wings"}
)
_SCENES: Mapping[str, str] = MappingProxyType(
    {
        "grassland": "in green grassland",
        "desert": "in a yellow desert",
        "snow": "in white snow",
        "forest": "in a dark forest",
        "lake": "at a blue lake",
        "rocks": "among grey rocks",
    }
)


def _coat(animal: Animal) -> str:
    if animal.pattern == "plain":
        return f"a plain {animal.colour} coat"
    marks = {"striped": "stripes", "spotted": "spots"}[animal.pattern]
    return f"a {animal.colour} coat with {animal.markings} {marks}"


def _parts(animal: Animal) -> list[str]:
    """What can be said of an animal's parts, each by itself."""
    parts = [_coat(animal), _NECKS[animal.neck], _TAILS[animal.tail]]
    return [*parts, _WINGS[animal.wings]] if animal.body == "bird" else parts


def _with_article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def kind(animal: Animal) -> str:
    """An animal by its size, colour and body: "small orange animal with four legs"."""
    return f"{animal.size} {animal.colour} {_BODIES[animal.body]}"


def animal_descriptions(animal: Animal) -> list[str]:
    """Three sentences of an animal's attributes, without its name."""
    first, *others = _parts(animal)
    return [
        f"a {kind(animal)}",
        f"a {animal.size} {_BODIES[animal.body]}, with {first}",
        f"{_with_article(animal.colour)} {_BODIES[animal.body]}, with {' and '.join(others)}",
    ]


def _posture(animal: Animal, pose: Pose) -> list[str]:
    """What can be said of a pose; nothing of one that is half way between two."""
    said = []
    if pose.fold > 0.7:
        said.append("lying on the ground")
    if pose.bow > 0.7:
        said.append("with its head down at the ground")
    if pose.stride is not None:
        said.append("with its legs apart in a step")
    if pose.wings is not None:
        said.append("with raised wings" if pose.wings > 0.2 else "with spread wings in the air")
    if animal.body == "snake" and pose.coil > 0.6:
        said.append("wound into a coil")
    if animal.body == "snake" and pose.coil < 0.3:
        said.append("stretched out")
    if animal.body == "hopper" and pose.spring > 0.7:
        said.append("with stretched hind legs in a jump")
    if not said and animal.legs and max(pose.fold, pose.bow) < 0.3:
        said.append("standing with its head up")
    return said


def _place(y: float, size: float) -> list[str]:
    """Where in a picture an animal is, and how near it looks."""
    said = []
    if y < 0.4:
        said.append("high up")
    if y > 0.68:
        said.append("low down")
    if size > 0.85:
        said.append("close to the viewer")
    if size < 0.4:
        said.append("far away")
    return said


def caption(
    animal: Animal,
    scene: str,
    pose: Pose,
    *,
    y: float,
    size: float,
    pitch: float,
    rng: np.random.Generator,
    may_be_named: bool,
) -> str:
    """A sentence about a picture: some of what is to be seen, as people mention some.

    Args:
        y, size, pitch: of the animal, as in `motions.Motion`.
        may_be_named: whether the animal's name may be said; without it, its attributes alone are.
    """
    parts: list[str] = []
    if may_be_named and rng.random() < 0.5:
        subject = _with_article(animal.name.lower())
        if rng.random() < 0.4:
            subject += f", a {kind(animal)}"
    else:
        subject = f"a {kind(animal)}"
        parts = _some(_parts(animal), rng)
    said = [subject + (f", with {' and '.join(parts)}" if parts else "")]
    postures = _posture(animal, pose) + _place(y, size)
    if pitch > 30:
        postures.append("on a steep slope with its front up")
    if pitch < -15:
        postures.append("with its front down")
    said += _some(postures, rng)
    if rng.random() < 0.5:
        said.append(_SCENES[scene])
    return ", ".join(said)


def _some(said: list[str], rng: np.random.Generator) -> list[str]:
    """One or two of what can be said, in its order."""
    return [said[k] for k in np.sort(rng.permutation(len(said))[: rng.integers(1, 3)])]


ACTION_DESCRIPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Walking": (
            "an animal with its legs apart in a step moves forward with its head in front",
            "it steps ahead over the ground",
        ),
        "Backing away": (
            "an animal with its legs apart in a step moves backward with its tail in front",
            "it steps back over the ground",
        ),
        "Standing up": (
            "an animal lying on the ground at first, standing with its head up at the end",
            "it lies first and stands then",
        ),
        "Lying down": (
            "an animal standing with its head up at first, lying on the ground at the end",
            "it stands first and lies then",
        ),
        "Lowering the head": (
            "an animal with its head up at first, with its head down at the ground at the end",
            "it moves its head down",
        ),
        "Raising the head": (
            "an animal with its head down at the ground at first, with its head up at the end",
            "it moves its head up",
        ),
        "Flying up": (
            "a bird with spread wings in the air, low down at first and high up at the end",
            "it moves up and beats its wings",
        ),
        "Landing": (
            "a bird with spread wings in the air, high up at first and low down at the end",
            "it moves down and beats its wings",
        ),
        "Diving": (
            "a fish with its front down, high up at first and low down at the end",
            "it moves down ahead into the deep",
        ),
        "Surfacing": (
            "a fish with its front down, low down at first and high up at the end",
            "it moves up from the deep, tail first",
        ),
        "Jumping": (
            "an animal with stretched hind legs in a jump moves forward with its head in front",
            "it leaps ahead over the ground",
        ),
        "Jumping back": (
            "an animal with stretched hind legs in a jump moves backward with its tail in front",
            "it leaps back over the ground",
        ),
        "Coiling": (
            "a snake stretched out at first, wound into a coil at the end",
            "it winds itself up",
        ),
        "Uncoiling": (
            "a snake wound into a coil at first, stretched out at the end",
            "it unwinds itself",
        ),
        "Climbing": (
            "an animal on a steep slope with its front up, low down at first, high up at the end",
            "it moves up the slope",
        ),
        "Descending": (
            "an animal on a steep slope with its front up, high up at first, low down at the end",
            "it moves down the slope, tail first",
        ),
        "Approaching": (
            "an animal far away at first, close to the viewer at the end",
            "it comes near and looks larger",
        ),
        "Retreating": (
            "an animal close to the viewer at first, far away at the end",
            "it goes away and looks smaller",
        ),
    }
)
