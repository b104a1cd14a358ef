"""Frames that several places of a clip's views show: decoded for the first, copied for the others.

A clip of fewer frames than its views have together shows some of them several times. They are kept
from the first place to the last, so that no more are in memory than are still to come.
"""

import numpy as np

from data_pipeline.batches.plan import first_uses


class SharedFrames:
    """Fills the views of a batch of clips in, one after the other.

    Args:
        positions: int64 (n, V, T), of the frames of each clip.
    """

    def __init__(self, positions: np.ndarray) -> None:
        self._positions = positions
        self._is_first = first_uses(positions)
        self._kept: dict[tuple[int, int], np.ndarray] = {}
        self._last_view: dict[tuple[int, int], int] = {}
        for clip, view, step in zip(*np.nonzero(~self._is_first), strict=True):
            self._last_view[int(clip), int(positions[clip, view, step])] = int(view)

    def fill(self, frames: np.ndarray, view: int) -> np.ndarray:
        """The frames of a view, with those that were shown before in their places.

        Args:
            frames: (b, T, …) with b at least n, right at the first place of each frame.
            view: which one; they come in order.

        Returns:
            the same array where no frame is shown a second time; otherwise a copy.
        """
        if not self._last_view:
            return frames
        if not self._is_first[:, view].all():
            frames = frames.copy()
        for clip, positions in enumerate(self._positions[:, view]):
            for step, position in enumerate(positions.tolist()):
                key = clip, position
                if not self._is_first[clip, view, step]:
                    frames[clip, step] = self._kept[key]
                elif key in self._last_view:
                    self._kept[key] = frames[clip, step].copy()
        for key in [key for key, last in self._last_view.items() if last <= view]:
            self._kept.pop(key, None)
            del self._last_view[key]
        return frames
