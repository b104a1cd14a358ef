"""The actions, as what changes from frame to frame, and which bodies are able to them.

Actions come in pairs, and each is its partner played backwards. A frame by itself, or frames out of
order, therefore say nothing about which of the two it is; the order of the frames alone does.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from data_pipeline.synthetic.animals import Animal
from data_pipeline.synthetic.parts import Pose


class Motion(NamedTuple):
    """What changes in a clip, one value a frame.

    Attributes:
        x: (num_frames,) centre of the animal, in frame widths from the left.
        y: (num_frames,) centre of the animal, in frame heights from the top.
        size: (num_frames,) of the animal, as a share of the largest that fits.
        pitch: (num_frames,) degrees by which the front is raised above the tail.
        poses: of the animal.
    """

    x: np.ndarray
    y: np.ndarray
    size: np.ndarray
    pitch: np.ndarray
    poses: list[Pose]


class Action(NamedTuple):
    """An action and its reverse.

    Attributes:
        name: of the action.
        reverse: of the same played backwards.
        suits: whether an animal is able to it.
        move: draws one motion of it, of so many frames, for an animal.
    """

    name: str
    reverse: str
    suits: Callable[[Animal], bool]
    move: Callable[[np.random.Generator, int, Animal], Motion]


def _progress(rng: np.random.Generator, num_frames: int) -> np.ndarray:
    """Rises from 0 to 1, faster in the middle or at the ends."""
    time = np.linspace(0, 1, num_frames)
    return time + rng.uniform(-0.6, 0.6) * np.sin(2 * np.pi * time) / (2 * np.pi)


_SIZES = {"small": (0.42, 0.56), "medium": (0.56, 0.7), "large": (0.7, 0.84)}


def _standing(rng: np.random.Generator, num_frames: int, animal: Animal) -> Motion:
    """An animal that stays where it is; the actions change some of it."""
    still = np.zeros(num_frames)
    return Motion(
        x=still + 0.5 + rng.uniform(-0.06, 0.06),
        y=still + 0.55 + rng.uniform(-0.05, 0.05),
        size=still + rng.uniform(*_SIZES[animal.size]),
        pitch=still,
        poses=[Pose()] * num_frames,
    )


def _steps(rng: np.random.Generator, progress: np.ndarray, animal: Animal) -> list[Pose]:
    """The poses of an animal that moves on, in its own way."""
    turns = rng.random() + rng.uniform(1.3, 2.2) * progress
    if animal.body in ("four-legged", "bird"):
        return [Pose(stride=turn) for turn in turns]
    if animal.body == "hopper":
        return [Pose(spring=0.5 - 0.5 * np.cos(2 * np.pi * turn)) for turn in turns]
    return [Pose(wave=turn) for turn in turns]


def _walking(rng: np.random.Generator, num_frames: int, animal: Animal) -> Motion:
    motion, progress = _standing(rng, num_frames, animal), _progress(rng, num_frames)
    return motion._replace(
        x=motion.x + rng.uniform(0.38, 0.6) * (progress - 0.5),
        poses=_steps(rng, progress, animal),
    )


def _standing_up(rng: np.random.Generator, num_frames: int, animal: Animal) -> Motion:
    motion, progress = _standing(rng, num_frames, animal), _progress(rng, num_frames)
    low, high = rng.uniform(0.9, 1.0), rng.uniform(0.0, 0.1)
    return motion._replace(poses=[Pose(fold=low + (high - low) * part) for part in progress])


def _lowering_the_head(rng: np.random.Generator, num_frames: int, animal: Animal) -> Motion:
    motion, progress = _standing(rng, num_frames, animal), _progress(rng, num_frames)
    high, low = rng.uniform(0.0, 0.1), rng.uniform(0.85, 1.0)
    return motion._replace(poses=[Pose(bow=high + (low - high) * part) for part in progress])


def _flying_up(rng: np.random.Generator, num_frames: int, animal: Animal) -> Motion:
    motion, progress = _standing(rng, num_frames, animal), _progress(rng, num_frames)
    beats = rng.random() + rng.uniform(2.0, 3.5) * progress
    return motion._replace(
        x=motion.x + rng.uniform(0.1, 0.3) * (progress - 0.5),
        y=motion.y - rng.uniform(0.36, 0.56) * (progress - 0.5),
        pitch=motion.pitch + rng.uniform(8, 24),
        poses=[Pose(wings=np.sin(2 * np.pi * beat)) for beat in beats],
    )


def _diving(rng: np.random.Generator, num_frames: int, animal: Animal) -> Motion:
    motion, progress = _standing(rng, num_frames, animal), _progress(rng, num_frames)
    return motion._replace(
        x=motion.x + rng.uniform(0.1, 0.3) * (progress - 0.5),
        y=motion.y + rng.uniform(0.36, 0.56) * (progress - 0.5),
        pitch=motion.pitch - rng.uniform(18, 40),
        poses=_steps(rng, 2 * progress, animal),
    )


def _jumping(rng: np.random.Generator, num_frames: int, animal: Animal) -> Motion:
    """A frog's one long jump; a kangaroo, upright, bounces."""
    motion, progress = _standing(rng, num_frames, animal), _progress(rng, num_frames)
    bounces = rng.uniform(1.8, 2.4) if animal.tail == "long" else 1.0
    height = rng.uniform(0.14, 0.22) if animal.tail == "long" else rng.uniform(0.2, 0.3)
    turn = bounces * progress
    off_ground = np.abs(np.sin(np.pi * turn))
    return motion._replace(
        x=motion.x + rng.uniform(0.34, 0.5) * (progress - 0.5),
        y=motion.y + 0.08 - height * off_ground,
        pitch=motion.pitch + 16 * np.cos(np.pi * turn) * (animal.tail != "long"),
        poses=[Pose(spring=spring) for spring in np.clip(1.6 * off_ground, 0, 1)],
    )


def _coiling(rng: np.random.Generator, num_frames: int, animal: Animal) -> Motion:
    motion, progress = _standing(rng, num_frames, animal), _progress(rng, num_frames)
    wave, low, high = rng.random(), rng.uniform(0.0, 0.1), rng.uniform(0.85, 1.0)
    return motion._replace(
        poses=[Pose(wave=wave + part, coil=low + (high - low) * part) for part in progress]
    )


def _climbing(rng: np.random.Generator, num_frames: int, animal: Animal) -> Motion:
    motion, progress = _standing(rng, num_frames, animal), _progress(rng, num_frames)
    return motion._replace(
        y=motion.y - rng.uniform(0.38, 0.56) * (progress - 0.5),
        pitch=motion.pitch + rng.uniform(48, 72),
        poses=_steps(rng, progress, animal),
    )


def _approaching(rng: np.random.Generator, num_frames: int, animal: Animal) -> Motion:
    motion, progress = _standing(rng, num_frames, animal), _progress(rng, num_frames)
    ratio = rng.uniform(1.9, 2.5)
    size = motion.size[0] * ratio ** (progress - 0.5)
    return motion._replace(
        y=motion.y + 0.15 * (size - 0.6), size=size, poses=_steps(rng, progress, animal)
    )


def _has_feet(animal: Animal) -> bool:
    return animal.body in ("four-legged", "bird")


PAIRS: tuple[Action, ...] = (
    Action("Walking", "Backing away", _has_feet, _walking),
    Action("Standing up", "Lying down", _has_feet, _standing_up),
    Action(
        "Lowering the head",
        "Raising the head",
        lambda animal: animal.neck != "none",
        _lowering_the_head,
    ),
    Action("Flying up", "Landing", lambda animal: animal.wings == "large", _flying_up),
    Action("Diving", "Surfacing", lambda animal: animal.has_fins, _diving),
    Action("Jumping", "Jumping back", lambda animal: animal.body == "hopper", _jumping),
    Action("Coiling", "Uncoiling", lambda animal: animal.body == "snake", _coiling),
    Action(
        "Climbing",
        "Descending",
        lambda animal: (
            animal.body == "snake" or (animal.body == "four-legged" and animal.size == "small")
        ),
        _climbing,
    ),
    Action("Approaching", "Retreating", lambda animal: True, _approaching),
)
ACTIONS: tuple[str, ...] = tuple(name for pair in PAIRS for name in (pair.name, pair.reverse))
PAIR_OF: dict[str, Action] = {name: pair for pair in PAIRS for name in (pair.name, pair.reverse)}


def is_able(animal: Animal, action: str) -> bool:
    """Whether an animal's body lets it do this."""
    return PAIR_OF[action].suits(animal)


def actions_of(animal: Animal) -> tuple[str, ...]:
    """The actions that an animal's body is able to."""
    return tuple(name for name in ACTIONS if PAIR_OF[name].suits(animal))
