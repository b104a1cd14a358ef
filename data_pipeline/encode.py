"""One video -> JPEG frames: what the worker processes of a conversion do."""

import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from data_pipeline.sampling import uniform_indices
from data_pipeline.video import VideoError, read_video

# Colour at full resolution: halving it again, after the video and the resizing, costs more PSNR
# than the bytes are worth.
JPEG_QUALITY = 92
JPEG_SUBSAMPLING = "4:4:4"


@dataclass(frozen=True)
class EncodedVideo:
    """The stored form of a video; attributes as in `data_pipeline.video.Video`.

    `frames` are JPEG files, `stored_height` and `stored_width` their size in pixels.
    """

    frames: tuple[bytes, ...]
    frame_indices: np.ndarray
    num_frames: int
    frame_rate: float
    height: int
    width: int
    stored_height: int
    stored_width: int


@dataclass(frozen=True)
class Failure:
    """A video that could not be encoded, and why."""

    reason: str


def encode_video(path: Path, *, short_side: int, max_frames: int) -> EncodedVideo | Failure:
    """Decodes evenly spaced frames of a video and compresses them one by one.

    Args:
        path: the video.
        short_side: size of the shorter side of the stored frames, in pixels.
        max_frames: the most frames that are stored; 0 stores all.

    Returns:
        The frames, or the reason why there are none.
    """
    try:
        video = read_video(
            path, select=partial(uniform_indices, max_frames=max_frames), short_side=short_side
        )
    except VideoError as error:
        return Failure(str(error))
    stored_height, stored_width = video.frames.shape[1:3]
    return EncodedVideo(
        frames=tuple(_jpeg(frame) for frame in video.frames),
        frame_indices=video.frame_indices,
        num_frames=video.num_frames,
        frame_rate=video.frame_rate,
        height=video.height,
        width=video.width,
        stored_height=stored_height,
        stored_width=stored_width,
    )


def _jpeg(frame: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(
        buffer, format="JPEG", quality=JPEG_QUALITY, subsampling=JPEG_SUBSAMPLING
    )
    return buffer.getvalue()
