"""Which frames of a clip are looked at: whole-number arithmetic, without any video.

All functions work on positions among the n frames that a clip has: when fewer frames were stored
than the video had, the stored frames, evenly spaced themselves, take the place of the video's.
"""

import numpy as np


def uniform_indices(num_frames: int, max_frames: int) -> np.ndarray:
    """Indices of at most `max_frames` frames, evenly spaced over the video.

    i-th of m: floor(i n/m + n/(2m)), the middle of the i-th of m equal segments.

    Args:
        num_frames: n, frames of the video.
        max_frames: the most that are kept; 0 keeps all.

    Returns:
        int64 (min(n, max_frames)), increasing.
    """
    if max_frames == 0 or num_frames <= max_frames:
        return np.arange(num_frames, dtype=np.int64)
    return evaluation_positions(np.array([num_frames]), max_frames, 1)[0, 0]


def training_positions(num_frames: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """One random frame in each of T equal segments of floor(n/T) frames.

    A clip shorter than T frames gives round(i n/T), i = 0 .. T-1, where the last frame stands in
    for a rounding beyond it.

    Args:
        num_frames: int (N), frames of each clip, at least 1.
        uniforms: float (N, T) in [0, 1), where in its segment each frame lies.

    Returns:
        int64 (N, T), not decreasing along T.
    """
    num_samples = uniforms.shape[1]
    frames = np.asarray(num_frames, np.int64)[:, None]
    step = np.arange(num_samples, dtype=np.int64)
    segment = frames // num_samples
    drawn = step * segment + np.floor(uniforms * segment).astype(np.int64)
    spread = np.rint(step * frames / num_samples).astype(np.int64)
    return np.minimum(np.where(segment > 0, drawn, spread), frames - 1)


def evaluation_positions(
    num_frames: np.ndarray, num_samples: int, num_temporal_views: int
) -> np.ndarray:
    """Evenly spaced frames; several views share the segments out between them.

    Frame i of T in view v of V: floor(i n/T + (2v + 1) n/(2 V T)). A single view takes the middle
    of each of T segments, floor(i n/T + n/(2T)); V views the middles of V parts of each segment, so
    that together they are the V T evenly spaced frames of a single view of V T.

    Args:
        num_frames: int (N), frames of each clip, at least 1.
        num_samples: T.
        num_temporal_views: V.

    Returns:
        int64 (N, V, T), not decreasing along T.
    """
    frames = np.asarray(num_frames, np.int64)[:, None, None]
    view = np.arange(num_temporal_views, dtype=np.int64)[:, None]
    step = np.arange(num_samples, dtype=np.int64)
    numerator = 2 * num_temporal_views * step + 2 * view + 1
    return frames * numerator // (2 * num_temporal_views * num_samples)
