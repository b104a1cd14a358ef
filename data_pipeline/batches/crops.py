"""Where a clip is cropped, for training and evaluation, and the resizing after it.

A crop is (top, left, height, width) in pixels of the stored frame, whose short side is the
reference: a centre crop of 224 from a short side of 256 is 7/8 of it, whatever the size it was
stored at.
"""

import numpy as np

from animal_clip_jax.errors import UserError

MULTI_SCALES = (1.0, 0.875, 0.75, 0.66)
CENTRE_CROP = 224 / 256
NUM_CROP_PLACES = 5


def _candidate_scales() -> np.ndarray:
    """(height, width) scales that are at most one step of `MULTI_SCALES` apart, (10, 2)."""
    steps = range(len(MULTI_SCALES))
    return np.array(
        [(MULTI_SCALES[i], MULTI_SCALES[j]) for i in steps for j in steps if abs(i - j) <= 1]
    )


def multi_scale_crops(heights: np.ndarray, widths: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """Random crops of multi-scale cropping, one a clip.

    Height and width are each one of `MULTI_SCALES` of the short side, at most one step apart, all
    ten combinations alike likely; the place is one of the four corners and the centre.

    Args:
        heights: int (N), of the stored frames.
        widths: int (N).
        uniforms: float (N, 2) in [0, 1): the choice of the scales and of the place.

    Returns:
        int32 (N, 4): top, left, height, width.
    """
    heights, widths = np.asarray(heights, np.int64), np.asarray(widths, np.int64)
    candidates = _candidate_scales()
    scales = candidates[(uniforms[:, 0] * len(candidates)).astype(np.int64)]
    sizes = (np.minimum(heights, widths)[:, None] * scales).astype(np.int64)
    crop_heights, crop_widths = np.maximum(sizes, 1).T
    place = (uniforms[:, 1] * NUM_CROP_PLACES).astype(np.int64)
    # Halves of the room that is left: 0 at the top or left, 2 at the bottom or right, 1 in the
    # middle.
    vertical = np.array([0, 0, 2, 2, 1])[place]
    horizontal = np.array([0, 2, 0, 2, 1])[place]
    top = (heights - crop_heights) * vertical // 2
    left = (widths - crop_widths) * horizontal // 2
    return np.stack([top, left, crop_heights, crop_widths], axis=-1).astype(np.int32)


def evaluation_crops(heights: np.ndarray, widths: np.ndarray, num_crops: int) -> np.ndarray:
    """Square crops for evaluation.

    One: at the centre, 7/8 of the short side (224 of 256). Three: as large as the short side, at
    the start, the end and the middle of the long side.

    Args:
        heights: int (N), of the stored frames.
        widths: int (N).
        num_crops: K, 1 or 3.

    Returns:
        int32 (N, K, 4): top, left, height, width.

    Raises:
        UserError: another number of crops.
    """
    if num_crops not in (1, 3):
        raise UserError(f"an evaluation uses 1 or 3 crops of a clip, not {num_crops}")
    heights, widths = np.asarray(heights, np.int64), np.asarray(widths, np.int64)
    short = np.minimum(heights, widths)
    if num_crops == 1:
        side = np.maximum(np.rint(short * CENTRE_CROP).astype(np.int64), 1)
        halves = np.array([1])
    else:
        side = short
        halves = np.array([0, 2, 1])
    top = (heights - side)[:, None] * halves // 2
    left = (widths - side)[:, None] * halves // 2
    sides = np.broadcast_to(side[:, None], top.shape)
    return np.stack([top, left, sides, sides], axis=-1).astype(np.int32)


def resize_bilinear(frames: np.ndarray, size: int) -> np.ndarray:
    """Bilinear resizing to a square, pixel centres at halves, without smoothing beforehand.

    What `tf.image.resize` computes, for those who have one video and no need of TensorFlow.

    Args:
        frames: uint8 (..., H, W, 3).
        size: of the result.

    Returns:
        uint8 (..., size, size, 3), rounded to the nearest.
    """
    height, width = frames.shape[-3:-1]
    if (height, width) == (size, size):
        return frames
    rows = _interpolate(frames, height, size, axis=-3)
    return np.rint(_interpolate(rows, width, size, axis=-2)).astype(np.uint8)


def _interpolate(values: np.ndarray, old: int, new: int, axis: int) -> np.ndarray:
    position = (np.arange(new, dtype=np.float32) + 0.5) * np.float32(old / new) - 0.5
    lower = np.floor(position)
    weight = (position - lower).reshape((-1,) + (1,) * (-axis - 1))
    first = values.take(np.clip(lower, 0, old - 1).astype(np.int64), axis=axis)
    second = values.take(np.clip(lower + 1, 0, old - 1).astype(np.int64), axis=axis)
    return first + (second.astype(np.float32) - first) * weight
