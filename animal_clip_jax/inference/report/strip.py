"""A strip of frames: what happens in a video at a glance."""

import io
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from animal_clip_jax.pages.rendering import data_url
from data_pipeline.frames_at_times import TimedFrame, spread_frames

FRAMES = 10
BOX = (144, 108)
# Of all frames of a video, as they stand in a page.
MOST_CHARACTERS = 100_000
_QUALITIES = (75, 55, 35, 15, 5)


class Still(NamedTuple):
    """A frame in a page.

    Attributes:
        seconds: from the beginning of the video.
        source: a data URL.
    """

    seconds: float
    source: str


def strip_of(path: str, duration: float) -> list[Still]:
    """About ten frames at even times, of at most `MOST_CHARACTERS` together.

    Raises:
        VideoError: no frame of the video can be had.
    """
    frames = spread_frames(path, FRAMES, duration, short_side=BOX[1])
    for quality in _QUALITIES:
        stills = [_still(frame, quality) for frame in frames]
        if sum(len(still.source) for still in stills) <= MOST_CHARACTERS:
            break
    return stills


def _still(frame: TimedFrame, quality: int) -> Still:
    return Still(frame.seconds, data_url("image/jpeg", _jpeg(frame.image, quality)))


def _jpeg(image: np.ndarray, quality: int) -> bytes:
    buffer = io.BytesIO()
    ImageOps.contain(Image.fromarray(image), BOX).save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()
