"""Places in which an animal is seen: sky over ground with a horizon, and what stands about."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from data_pipeline.synthetic.shapes import Rgb


class _Scene(NamedTuple):
    """Colours of a place, and how many things stand about in it.

    Attributes:
        things: the shape of what stands about, "bushes", "trunks", "boulders" or "none".
    """

    sky: Rgb
    far: Rgb
    near: Rgb
    things: str
    thing: Rgb


_SCENES: dict[str, _Scene] = {
    "grassland": _Scene((168, 196, 222), (158, 176, 110), (128, 156, 92), "bushes", (100, 132, 84)),
    "desert": _Scene(
        (222, 200, 176), (212, 194, 150), (198, 172, 122), "boulders", (176, 152, 118)
    ),
    "snow": _Scene((186, 196, 210), (216, 222, 228), (200, 210, 220), "boulders", (160, 168, 178)),
    "forest": _Scene((130, 150, 126), (112, 126, 92), (104, 112, 84), "trunks", (84, 72, 60)),
    "lake": _Scene((182, 206, 214), (120, 160, 186), (96, 140, 172), "none", (0, 0, 0)),
    "rocks": _Scene((176, 176, 184), (158, 150, 146), (138, 132, 130), "boulders", (112, 108, 108)),
}
SCENES: tuple[str, ...] = tuple(_SCENES)


def background(rng: np.random.Generator, scene: str, height: int, width: int) -> Image.Image:
    """A view of a place.

    Args:
        scene: one of `SCENES`.
        height, width: pixels.
    """
    place = _SCENES[scene]
    sky_top, sky_low, far, near = (
        np.array(colour) + rng.uniform(-16, 16, 3)
        for colour in (place.sky, place.sky, place.far, place.near)
    )
    horizon = rng.uniform(0.2, 0.55)
    rows = np.linspace(0, 1, height)[:, None]
    sky = sky_top + (sky_low - sky_top) * np.clip(rows / horizon, 0, 1)
    depth = np.clip((rows - horizon) / (1 - horizon), 0, 1)
    column = np.where(rows < horizon, sky, far + (near - far) * depth).astype(np.float32)

    coarse, fine = _noise(rng, 5, height, width), _noise(rng, 16, height, width)
    contrast = rng.uniform(0.05, 0.3)
    pixels = column[:, None] + contrast * (0.6 * coarse + 0.4 * fine)[:, :, None]
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))

    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(2, 7) if place.things != "none" else 0):
        red, green, blue = (int(value) for value in np.array(place.thing) + rng.uniform(-18, 18, 3))
        x, y = rng.random() * width, rng.uniform(horizon, 1.0) * height
        if place.things == "trunks":
            half, length = rng.uniform(0.015, 0.05) * width, rng.uniform(0.5, 0.9) * height
            box = (x - half, y - length, x + half, y)
            draw.rectangle(box, fill=(red, green, blue))
        else:
            radius_x, radius_y = rng.uniform(0.04, 0.13, 2) * (width, height)
            if place.things == "boulders":
                radius_y = 0.6 * radius_x
            box = (x - radius_x, y - radius_y, x + radius_x, y + radius_y)
            draw.ellipse(box, fill=(red, green, blue))
    return image


def _noise(rng: np.random.Generator, cells: int, height: int, width: int) -> np.ndarray:
    """Smooth noise of cells x cells random values: (height, width) float32 within -128..127."""
    grid = rng.integers(0, 256, size=(cells, cells), dtype=np.uint8)
    image = Image.fromarray(grid).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32) - 128
