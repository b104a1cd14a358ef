"""Videos, or arrays of frames, as evaluation sees them: without a converted dataset."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import numpy as np

from animal_clip_jax.errors import UserError
from data_pipeline.batches.crops import evaluation_crops, resize_bilinear
from data_pipeline.batches.sampling import evaluation_positions, uniform_indices
from data_pipeline.decoding import (
    VideoError,
    VideoFacts,
    check_scaled,
    map_frames,
    scaled,
    scaled_size,
)


@dataclass(frozen=True)
class Views:
    """How a video is looked at: each view has `num_frames` frames of `image_size` pixels."""

    num_frames: int
    image_size: int
    num_temporal_views: int = 1
    num_crops: int = 1


@dataclass(frozen=True, kw_only=True)
class Video(VideoFacts):
    """A video and its selected frames: uint8 (m, h, w, 3), RGB, upright."""

    frames: np.ndarray


def load_video(
    path: str | Path,
    *,
    num_frames: int,
    image_size: int,
    num_temporal_views: int = 1,
    num_crops: int = 1,
    short_side: int = 256,
    max_frames: int = 64,
) -> np.ndarray:
    """A video as evaluation sees it, without a converted dataset.

    The same frames and crops as `batches.input.evaluation_batches` yields for this video after a
    conversion with the same short side and number of frames, apart from JPEG's loss.

    Args:
        path: the video.
        num_frames: T, frames of each view.
        image_size: S, height and width of the result.
        num_temporal_views: views along time.
        num_crops: 1 or 3 crops of each.
        short_side: size at which the frames are decoded.
        max_frames: at most so many frames are decoded, evenly spaced; 0 is all.

    Returns:
        uint8 (V, T, S, S, 3) with V = temporal views x crops; the crops of one view are neighbours.

    Raises:
        VideoError: as `map_frames`.
    """
    return views_of_frames(
        load_frames(path, short_side=short_side, max_frames=max_frames),
        num_frames=num_frames,
        image_size=image_size,
        num_temporal_views=num_temporal_views,
        num_crops=num_crops,
    )


def load_frames(path: str | Path, *, short_side: int, max_frames: int) -> np.ndarray:
    """The frames of a video that a conversion would store; arguments and errors as `load_video`.

    Returns:
        uint8 (m, h, w, 3), RGB.
    """
    select = partial(uniform_indices, max_frames=max_frames)
    return read_video(path, select=select, short_side=short_side).frames


def views_of_array(
    frames: np.ndarray,
    *,
    num_frames: int,
    image_size: int,
    num_temporal_views: int = 1,
    num_crops: int = 1,
    short_side: int = 256,
    max_frames: int = 64,
) -> np.ndarray:
    """Decoded frames of a video as evaluation sees them; `load_video` for those who have an array.

    The same frames are chosen and brought to the short side by the same scaler. A decoder's frames
    come as brightness and colour, which are here converted to RGB before the scaling and not after
    it: unless the size is the right one already, grey levels may differ by a rounding, and near
    edges by more where the video has its colour at half the resolution.

    Args:
        frames: uint8 (n, height, width, 3), RGB, all frames of the video, upright.
        num_frames: T, frames of each view.
        image_size: S, height and width of the result.
        num_temporal_views: views along time.
        num_crops: 1 or 3 crops of each.
        short_side: size that the shorter side of the frames is brought to, in pixels.
        max_frames: at most so many frames are used, evenly spaced; 0 is all.

    Returns:
        uint8 (V, T, S, S, 3) as `load_video`.

    Raises:
        UserError: the array has another shape or type, or nothing in it, or would be very large
            when scaled.
    """
    return views_of_frames(
        frames_of_array(frames, short_side=short_side, max_frames=max_frames),
        num_frames=num_frames,
        image_size=image_size,
        num_temporal_views=num_temporal_views,
        num_crops=num_crops,
    )


def frames_of_array(frames: np.ndarray, *, short_side: int, max_frames: int) -> np.ndarray:
    """The frames that a conversion would store; arguments and errors as `views_of_array`.

    Returns:
        uint8 (m, h, w, 3), RGB.
    """
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8:
        raise UserError(
            "the frames of a video are expected as a uint8 array (frames, height, width, 3), "
            f"found {frames.dtype} {frames.shape}"
        )
    if frames.size == 0:
        raise UserError(f"the array of frames is empty: {frames.shape}")
    height, width = scaled_size(frames.shape[1], frames.shape[2], short_side)
    try:
        check_scaled((height, width), frames.shape[1:3])
    except VideoError as error:
        raise UserError(f"the array: {error}") from error
    chosen = frames[uniform_indices(len(frames), max_frames)]
    small = [
        scaled(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame)), height, width)
        for frame in chosen
    ]
    return np.stack(small)


def views_of_frames(
    frames: np.ndarray,
    *,
    num_frames: int,
    image_size: int,
    num_temporal_views: int = 1,
    num_crops: int = 1,
) -> np.ndarray:
    """The views that evaluation takes of stored frames: frames chosen, cropped and resized.

    Args:
        frames: uint8 (m, h, w, 3), RGB, those that a converted dataset would store.
        num_frames: T, frames of each view.
        image_size: S, height and width of the result.
        num_temporal_views: views along time.
        num_crops: 1 or 3 crops of each.

    Returns:
        uint8 (V, T, S, S, 3) with V = temporal views x crops; the crops of one view are neighbours.

    Raises:
        UserError: another number of crops.
    """
    stored, height, width = frames.shape[:3]
    positions = evaluation_positions(np.array([stored]), num_frames, num_temporal_views)[0]
    crops = evaluation_crops(np.array([height]), np.array([width]), num_crops)[0]
    return np.stack(
        [
            resize_bilinear(frames[view, top : top + h, left : left + w], image_size)
            for view in positions
            for top, left, h, w in crops
        ]
    )


def read_video(
    path: str | Path, *, select: Callable[[int], np.ndarray], short_side: int | None = None
) -> Video:
    """The selected frames of a video, all in memory; arguments and errors as `map_frames`."""
    frames, facts = map_frames(lambda frame: frame, path, select=select, short_side=short_side)
    height, width = scaled_size(facts.height, facts.width, short_side)
    stacked = np.stack(frames) if frames else np.zeros((0, height, width, 3), np.uint8)
    return Video(frames=stacked, **vars(facts))
