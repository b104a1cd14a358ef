"""The frames of a video, whole and upright, at the times that results speak of."""

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_pipeline.decoding import (
    Clock,
    VideoError,
    open_video,
    picture_streams,
    prepare,
    shown_frames,
    upright_image,
    upright_size,
)
from data_pipeline.window_frames import frame_times


class TimedFrame(NamedTuple):
    """A frame.

    Attributes:
        image: uint8 (height, width, 3), RGB; all of a video are of one size.
        start: when it is shown, in seconds, as results count them.
        duration: how long, in seconds.
    """

    image: np.ndarray
    start: Fraction
    duration: Fraction


class Frames:
    """The frames of a video, one by one and once.

    Args:
        path: of the video.

    Attributes:
        size: height and width of the frames, in pixels.
        pixel_aspect: width of their pixels by the height; None where the file says nothing.
        time_base: the step of their times, in seconds.
        frame_rate: frames a second, on average.
        zero: the time in the file, in seconds, that is 0 in results: of the first frame.
        begin: the time in the file, in seconds, at which its first stream begins; from 0 to `zero`.
        end: of the last frame, in seconds, as results count them.
        problem: why there are fewer frames than there should be; "" if there are not.

    Raises:
        VideoError: not one frame of it can be decoded.
    """

    def __init__(self, path: str | Path) -> None:
        times = frame_times(path)
        self._starts, self.end, self.problem = times.starts, times.end, times.problem
        self._clock = Clock(path)
        self._container = open_video(path)
        try:
            stream: Any = picture_streams(self._container)[0]
            prepare(stream)
            self.time_base = Fraction(stream.time_base or Fraction(1, 90_000))
            self._first = stream.start_time or 0
            self.zero = self._first * self.time_base
            begin = Fraction(self._container.start_time or 0, 1_000_000)
            self.begin = min(max(begin, Fraction(0)), self.zero)
            rate = stream.average_rate or len(self._starts) / times.end
            self.frame_rate = Fraction(rate).limit_denominator(1001)
            self._frames = shown_frames(self._container, stream)
            first = next(self._frames, None)
            if first is None:
                raise VideoError("not one frame of it can be decoded")
            self._frames = itertools.chain([first], self._frames)
            self.size = upright_size(first)
            self.pixel_aspect = stream.sample_aspect_ratio
            if self.pixel_aspect and self.size != (first.height, first.width):
                self.pixel_aspect = 1 / self.pixel_aspect
        except BaseException:
            self._container.close()
            raise

    def __iter__(self) -> Iterator[TimedFrame]:
        """The frames. The time that their user takes is not counted as decoding's.

        Raises:
            VideoError: it breaks off or is damaged on the way.
        """
        last = Fraction(-1)
        for index, frame in enumerate(self._frames):
            self._clock.check(index)
            start = max(self._time_of(index, frame.pts), last + self.time_base)
            last = start
            image = upright_image(frame, *self.size)
            with self._clock.paused():
                yield TimedFrame(image, start, max(self._end_of(start) - start, self.time_base))

    def close(self) -> None:
        """Closes the video."""
        self._container.close()

    def _time_of(self, index: int, pts: int | None) -> Fraction:
        """Of a frame: its own where that is one of those that its packets tell, else by its
        number."""
        if pts is not None:
            own = (pts - self._first) * self.time_base
            nearest = np.abs(self._starts[self._around(float(own))] - float(own)).min()
            if nearest < self.time_base / 2:
                return own
        if index < len(self._starts):
            seconds = self._starts[index]
        else:
            seconds = self.end + (index - len(self._starts)) / float(self.frame_rate)
        return round(Fraction(float(seconds)) / self.time_base) * self.time_base

    def _end_of(self, start: Fraction) -> Fraction:
        """When the frame after one is shown, or the video ends."""
        after = np.searchsorted(self._starts, float(start + self.time_base / 2))
        seconds = self._starts[after] if after < len(self._starts) else self.end
        return round(Fraction(float(seconds)) / self.time_base) * self.time_base

    def _around(self, seconds: float) -> np.ndarray:
        place = int(np.searchsorted(self._starts, seconds))
        return np.clip([place - 1, place], 0, len(self._starts) - 1)
