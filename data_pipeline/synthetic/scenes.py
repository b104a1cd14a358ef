"""Clips of synthetic animals that act: a scene, a camera and a motion, as a function of a seed.

The eight actions are four pairs, and each action is its partner played backwards: for the same seed
the frames of a clip are those of the partner's clip in the opposite order. A frame by itself, or
frames out of order, therefore say nothing about which of the two it is; the order of the frames
alone does. Whether the animal faces left or right is random and tells nothing about the action.

    frames = render_clip("Zebra", "Walking", seed=0)  # (16, 64, 64, 3) uint8, RGB
"""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from data_pipeline.synthetic.anatomy import Animal, Colour, extent, pose
from data_pipeline.synthetic.drawn_animals import ANIMALS, DRAWINGS

# (an action, the same played backwards)
PAIRS: tuple[tuple[str, str], ...] = (
    ("Walking", "Backing away"),
    ("Standing up", "Lying down"),
    ("Approaching", "Retreating"),
    ("Climbing", "Descending"),
)
ACTIONS: tuple[str, ...] = tuple(action for pair in PAIRS for action in pair)

_SUPERSAMPLING = (
    3  # frames are drawn this many times larger, then averaged down, which smooths edges
)
_OUTLINE: Colour = (30, 26, 30)
# Of little saturation and medium brightness: every animal stands out against all of them.
_SKIES: tuple[Colour, ...] = (
    (160, 190, 222),  # clear
    (196, 202, 206),  # overcast
    (222, 190, 168),  # dusk
    (140, 150, 178),  # before rain
    (182, 206, 198),  # haze
)
_GROUNDS: tuple[Colour, ...] = (
    (138, 160, 106),  # grass
    (176, 152, 116),  # earth
    (204, 188, 148),  # sand
    (122, 136, 122),  # moss
    (198, 204, 212),  # snow
    (150, 140, 138),  # rock
)


class _Motion(NamedTuple):
    """What changes in a clip, one value a frame: (num_frames,) float64 each."""

    x: np.ndarray  # centre of the animal, in frame widths from the left
    y: np.ndarray  # centre of the animal, in frame heights from the top
    size: np.ndarray  # of the animal, in frame heights
    pitch: np.ndarray  # degrees by which the head is raised above the tail
    fold: np.ndarray  # 0 standing, 1 lying
    stride: np.ndarray | None  # turns of the legs; None where the animal stays on its feet


def render_clip(
    animal: str,
    action: str,
    seed: int,
    *,
    num_frames: int = 16,
    size: tuple[int, int] = (64, 64),
) -> np.ndarray:
    """Draws a clip of an animal that performs an action.

    Args:
        animal: one of `ANIMALS`.
        action: one of `ACTIONS`.
        seed: non-negative; decides on background, camera, place, size, speed and direction. The
            background depends on nothing else: it says nothing about animal or action.
        num_frames: at least 2.
        size: height and width in pixels.

    Returns:
        (num_frames, height, width, 3) uint8, RGB.

    Raises:
        ValueError: the animal or the action is not known, or num_frames or size is too small.
    """
    if animal not in ANIMALS:
        raise ValueError(f"unknown animal {animal!r}; expected one of {', '.join(ANIMALS)}")
    if action not in ACTIONS:
        raise ValueError(f"unknown action {action!r}; expected one of {', '.join(ACTIONS)}")
    if num_frames < 2 or min(size) < 8:
        raise ValueError(
            f"a clip needs 2 frames of 8 x 8 pixels, found {num_frames} of {size[0]} x {size[1]}"
        )
    pair = next(pair for pair in PAIRS if action in pair)

    rng = np.random.default_rng(seed)
    height, width = (_SUPERSAMPLING * side for side in size)
    margin = round(0.025 * height)
    background = _background(rng, height + 2 * margin, width + 2 * margin)
    shake = np.rint(_camera_shake(rng, num_frames) * margin).astype(int)
    brightness = rng.uniform(0.85, 1.12)
    tint = rng.uniform(0.94, 1.06, size=3) * brightness
    faces_left = rng.random() < 0.5
    motion = _motion(rng, pair[0], num_frames)

    frames = np.empty((num_frames, *size, 3), np.uint8)
    for index in range(num_frames):
        shake_x, shake_y = margin + shake[index]
        image = background.crop((shake_x, shake_y, shake_x + width, shake_y + height))
        origin = (
            motion.x[index] * width - shake[index, 0],
            motion.y[index] * height - shake[index, 1],
        )
        _draw_animal(image, DRAWINGS[animal], motion, index, origin, tint)
        frames[index] = np.asarray(image.reduce(_SUPERSAMPLING))
    if faces_left:
        frames = frames[:, :, ::-1]
    if action == pair[1]:
        frames = frames[::-1]
    return np.ascontiguousarray(frames)


def _motion(rng: np.random.Generator, action: str, num_frames: int) -> _Motion:
    """The trajectory of the first action of a pair; its partner's is the reverse."""
    time = np.linspace(0, 1, num_frames)
    # Rises from 0 to 1, faster in the middle or at the ends.
    progress = time + rng.uniform(-0.6, 0.6) * np.sin(2 * np.pi * time) / (2 * np.pi)
    still = np.zeros(num_frames)
    x = still + 0.5 + rng.uniform(-0.06, 0.06)
    y = still + 0.5 + rng.uniform(-0.05, 0.05)
    size = still + rng.uniform(0.48, 0.66)
    stride = rng.random() + rng.uniform(1.3, 2.2) * progress

    if action == "Walking":
        x = x + rng.uniform(0.38, 0.60) * (progress - 0.5)
        return _Motion(x, y, size, still, still, stride)
    if action == "Standing up":
        low, high = rng.uniform(0.9, 1.0), rng.uniform(0.0, 0.1)
        return _Motion(x, y, size, still, low + (high - low) * progress, None)
    if action == "Approaching":
        near = rng.uniform(0.66, 0.82)
        far = near / rng.uniform(1.9, 2.5)
        size = far * (near / far) ** progress
        return _Motion(x, y + 0.15 * (size - 0.55), size, still, still, stride)
    if action == "Climbing":
        y = y - rng.uniform(0.38, 0.56) * (progress - 0.5)
        pitch = still + rng.uniform(38, 58)
        return _Motion(x, y, 0.9 * size, pitch, still, stride)
    raise ValueError(f"no motion for {action!r}")


def _camera_shake(rng: np.random.Generator, num_frames: int) -> np.ndarray:
    """Smooth wobble in x and y: (num_frames, 2) float64 within -1..1."""
    time = np.linspace(0, 1, num_frames)[:, None]
    phase, turns = rng.random((2, 2)), rng.uniform(0.7, 2.5, size=(2, 2))
    waves = [np.sin(2 * np.pi * (turns[i] * time + phase[i])) for i in range(2)]
    return rng.random() * sum(waves) / 2


def _draw_animal(
    image: Image.Image,
    animal: Animal,
    motion: _Motion,
    index: int,
    origin: tuple[float, float],
    tint: np.ndarray,
) -> None:
    """Draws the animal of frame `index`, facing right, its centre at `origin`, (x, y) in pixels."""
    stride_phase = None if motion.stride is None else motion.stride[index]
    shapes = pose(animal, stride_phase, motion.fold[index])
    left, bottom, right, top = extent(animal)
    # Long animals would leave the picture were their height alone the measure.
    scale = motion.size[index] * image.height / max(top - bottom, 0.76 * (right - left))
    angle = math.radians(motion.pitch[index])
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    to_pixels = np.array([[cosine, -sine], [-sine, -cosine]])  # y points down in the picture

    centre = ((left + right) / 2, (bottom + top) / 2)
    points = np.concatenate([shape.points for shape in shapes])
    points = (points - centre) @ to_pixels + origin
    ends = np.cumsum([len(shape.points) for shape in shapes])
    outlines = [part.ravel().tolist() for part in np.split(points, ends[:-1])]

    draw = ImageDraw.Draw(image)
    line_width = max(2, round(0.022 * image.height))
    for shape, outline in zip(shapes, outlines, strict=True):
        if shape.outlined:
            draw.line(outline + outline[:4], fill=_OUTLINE, width=line_width)
    for shape, outline in zip(shapes, outlines, strict=True):
        draw.polygon(outline, fill=_tinted(shape.colour, tint))


def _tinted(colour: Colour, tint: np.ndarray) -> Colour:
    red, green, blue = (
        min(255, round(channel * gain)) for channel, gain in zip(colour, tint, strict=True)
    )
    return red, green, blue


def _background(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    """Sky over ground with a horizon, noise over both, and a few bushes, boulders and trunks."""
    sky_top, sky_low = _colour(rng, _SKIES), _colour(rng, _SKIES)
    ground_far, ground_near = _colour(rng, _GROUNDS), _colour(rng, _GROUNDS)
    horizon = rng.uniform(0.25, 0.75)
    rows = np.linspace(0, 1, height)[:, None]
    sky = sky_top + (sky_low - sky_top) * np.clip(rows / horizon, 0, 1)
    depth = np.clip((rows - horizon) / (1 - horizon), 0, 1)
    ground = ground_far + (ground_near - ground_far) * depth
    column = np.where(rows < horizon, sky, ground).astype(np.float32)

    coarse, fine = _noise(rng, 5, height, width), _noise(rng, 16, height, width)
    contrast = rng.uniform(0.05, 0.4)
    pixels = column[:, None] + contrast * (0.6 * coarse + 0.4 * fine)[:, :, None]
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))

    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(0, 7)):
        colour = tuple(int(channel) for channel in _colour(rng, _GROUNDS))
        x, y = rng.random() * width, rng.uniform(0.1, 0.95) * height
        if rng.random() < 0.7:  # a bush or a boulder
            radius_x, radius_y = rng.uniform(0.04, 0.16, size=2) * (width, height)
            draw.ellipse((x - radius_x, y - radius_y, x + radius_x, y + radius_y), fill=colour)
        else:  # a trunk or a post
            half, length = rng.uniform(0.01, 0.04) * width, rng.uniform(0.2, 0.6) * height
            draw.rectangle((x - half, y - length, x + half, y), fill=colour)
    return image


def _noise(rng: np.random.Generator, cells: int, height: int, width: int) -> np.ndarray:
    """Smooth noise of cells x cells random values: (height, width) float32 within -128..127."""
    grid = rng.integers(0, 256, size=(cells, cells), dtype=np.uint8)
    image = Image.fromarray(grid).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32) - 128


def _colour(rng: np.random.Generator, choices: tuple[Colour, ...]) -> np.ndarray:
    """One of the colours, varied: (3,) float64."""
    return np.array(choices[rng.integers(len(choices))]) + rng.uniform(-18, 18, size=3)
