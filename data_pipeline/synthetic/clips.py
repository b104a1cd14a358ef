"""Clips of animals that act, and single pictures of them, as a function of a seed.

frames = render_clip(named("Zebra"), "Walking", "snow", seed=0)  # (16, 64, 64, 3) uint8, RGB
"""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from animal_clip_jax.command_line import one_of
from animal_clip_jax.errors import UserError
from data_pipeline.synthetic.animals import Animal
from data_pipeline.synthetic.bodies import drawn, extent
from data_pipeline.synthetic.motions import PAIR_OF, Action, Motion
from data_pipeline.synthetic.parts import Pose
from data_pipeline.synthetic.scenes import SCENES, background
from data_pipeline.synthetic.shapes import Rgb

# Frames are drawn this many times larger, then averaged down, which smooths edges.
_SUPERSAMPLING = 3
_OUTLINE: Rgb = (30, 26, 30)
_MOMENTS = 16  # of a motion, from which a picture takes one


def render_clip(
    animal: Animal,
    action: str,
    scene: str,
    seed: int,
    *,
    num_frames: int = 16,
    size: tuple[int, int] = (64, 64),
) -> np.ndarray:
    """Draws a clip of an animal that performs an action.

    Args:
        animal: of `ANIMALS`, or any other.
        action: one of `ACTIONS` that this animal is able to.
        scene: one of `SCENES`.
        seed: non-negative; decides on the view of the scene, camera, place, speed and direction.
            Nothing of these depends on the animal or the action.
        num_frames: at least 2.
        size: height and width in pixels, at least 8.

    Returns:
        (num_frames, height, width, 3) uint8, RGB.

    Raises:
        UserError: there is no such action or scene, the animal is not able to the action, or
            num_frames or size is too small.
    """
    pair = PAIR_OF[one_of(action, PAIR_OF, what="action")]
    one_of(scene, SCENES, what="scene")
    if not pair.suits(animal):
        raise UserError(f"{animal.name!r} is not able to {action!r}: its body is {animal.body!r}")
    if num_frames < 2 or min(size) < 8:
        raise UserError(
            f"a clip needs 2 frames of 8 x 8 pixels, found {num_frames} of {size[0]} x {size[1]}"
        )
    rng = np.random.default_rng(seed)
    height, width = (_SUPERSAMPLING * side for side in size)
    margin = round(0.025 * height)
    view = background(rng, scene, height + 2 * margin, width + 2 * margin)
    shake = np.rint(_camera_shake(rng, num_frames) * margin).astype(int)
    tint = _tint(rng)
    faces_left = rng.random() < 0.5
    motion = pair.move(rng, num_frames, animal)

    frames = np.empty((num_frames, *size, 3), np.uint8)
    for index in range(num_frames):
        shake_x, shake_y = margin + shake[index]
        image = view.crop((shake_x, shake_y, shake_x + width, shake_y + height))
        origin = (
            motion.x[index] * width - shake[index, 0],
            motion.y[index] * height - shake[index, 1],
        )
        _draw(image, animal, motion, index, origin, tint)
        frames[index] = np.asarray(image.reduce(_SUPERSAMPLING))
    if faces_left:
        frames = frames[:, :, ::-1]
    if action == pair.reverse:
        frames = frames[::-1]
    return np.ascontiguousarray(frames)


class Still(NamedTuple):
    """A picture, and how its animal is seen.

    Attributes:
        pixels: (size, size, 3) uint8, RGB.
        pose: of the animal.
        y: its centre, in picture heights from the top.
        size: as a share of the largest that fits.
        pitch: degrees by which its front is raised.
    """

    pixels: np.ndarray
    pose: Pose
    y: float
    size: float
    pitch: float


def render_still(
    animal: Animal, pair: Action, scene: str, rng: np.random.Generator, *, size: int
) -> Still:
    """Draws a moment of an action, or of its reverse, which is the same.

    Args:
        animal: who is able to it.
        pair: the action.
        scene: one of `SCENES`.
        rng: decides on all else.
        size: height and width in pixels, at least 8.
    """
    side = _SUPERSAMPLING * size
    motion = pair.move(rng, _MOMENTS, animal)
    index = int(rng.integers(_MOMENTS))
    image = background(rng, scene, side, side)
    _draw(
        image, animal, motion, index, (motion.x[index] * side, motion.y[index] * side), _tint(rng)
    )
    pixels = np.asarray(image.reduce(_SUPERSAMPLING))
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    return Still(
        np.ascontiguousarray(pixels),
        motion.poses[index],
        float(motion.y[index]),
        float(motion.size[index]),
        float(motion.pitch[index]),
    )


def _tint(rng: np.random.Generator) -> np.ndarray:
    """Of the light on an animal: (3,) float64, a gain for each colour."""
    return rng.uniform(0.95, 1.05, size=3) * rng.uniform(0.88, 1.1)


def _camera_shake(rng: np.random.Generator, num_frames: int) -> np.ndarray:
    """Smooth wobble in x and y: (num_frames, 2) float64 within -1..1."""
    time = np.linspace(0, 1, num_frames)[:, None]
    phase, turns = rng.random((2, 2)), rng.uniform(0.7, 2.5, size=(2, 2))
    waves = [np.sin(2 * np.pi * (turns[i] * time + phase[i])) for i in range(2)]
    return rng.random() * sum(waves) / 2


def _draw(
    image: Image.Image,
    animal: Animal,
    motion: Motion,
    index: int,
    origin: tuple[float, float],
    tint: np.ndarray,
) -> None:
    """Draws the animal of frame `index`, facing right, its centre at `origin`, (x, y) in pixels."""
    shapes = drawn(animal, motion.poses[index])
    left, bottom, right, top = extent(animal)
    # Long animals would leave the picture were their height alone the measure.
    scale = motion.size[index] * image.height / max(top - bottom, 0.8 * (right - left))
    angle = math.radians(motion.pitch[index])
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    to_pixels = np.array([[cosine, -sine], [-sine, -cosine]])  # y points down in the picture

    centre = ((left + right) / 2, (bottom + top) / 2)
    points = np.concatenate([shape.points for shape in shapes])
    points = (points - centre) @ to_pixels + origin
    ends = np.cumsum([len(shape.points) for shape in shapes])
    outlines = [part.ravel().tolist() for part in np.split(points, ends[:-1])]

    draw = ImageDraw.Draw(image)
    line_width = max(2, round(0.02 * image.height))
    for shape, outline in zip(shapes, outlines, strict=True):
        if shape.outlined:
            draw.line(outline + outline[:4], fill=_OUTLINE, width=line_width)
    for shape, outline in zip(shapes, outlines, strict=True):
        red, green, blue = np.minimum(255, np.rint(shape.colour * tint)).astype(int).tolist()
        draw.polygon(outline, fill=(red, green, blue))
