"""Frames of a video at some times, without decoding the whole of a long one."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from data_pipeline.decoding import (
    Clock,
    VideoError,
    open_video,
    picture_streams,
    prepare,
    scaled_size,
    shown_frames,
    upright_image,
    upright_size,
)

# From a key frame to the frame that is wanted; where key frames are rarer, an earlier one is shown.
MOST_FRAMES_DECODED = 600
# Frames that are no further apart are decoded one after the other, which is faster than entering
# the file anew for each of them.
_SECONDS_APART = 2.0
# Of the time from one to the next, so much too early a frame may be in a long video.
_EARLY_SHARE = 0.25
_ROUNDING_SECONDS = 1e-6


class TimedFrame(NamedTuple):
    """A frame, and when it is shown.

    Attributes:
        seconds: from the first frame of the video.
        image: uint8 (height, width, 3), RGB, upright.
    """

    seconds: float
    image: np.ndarray


def spread_frames(
    path: str | Path, count: int, duration: float, *, short_side: int
) -> list[TimedFrame]:
    """Frames at even times: those in the middles of `count` equal parts of a video.

    In a video of more than some seconds a frame may be earlier by a quarter of such a part, so that
    few frames have to be decoded.

    Args:
        path: of the video.
        count: how many.
        duration: of the video, in seconds.
        short_side: of the images, in pixels.

    Returns:
        by time. Where the video breaks off, those until then; where it has fewer frames, each once.

    Raises:
        VideoError: as `decoding.map_frames`; not one frame can be decoded.
    """
    clock = Clock(path)
    part = duration / count
    with open_video(path) as container:
        stream = picture_streams(container)[0]
        prepare(stream)
        first = next(shown_frames(container, stream), None)
        if first is None:
            raise VideoError("not one frame of it can be decoded")
        begin = first.time or 0.0
        times = [begin + (number + 0.5) * part for number in range(count)]
        size = scaled_size(*upright_size(first), short_side)
        found: dict[float, TimedFrame] = {}
        try:
            for number, frame in enumerate(_frames_at(container, stream, times, part, first)):
                clock.check(number)
                seconds = max((begin if frame.time is None else frame.time) - begin, 0.0)
                if seconds not in found:
                    found[seconds] = TimedFrame(seconds, upright_image(frame, *size))
        except (VideoError, av.FFmpegError):
            if not found:
                found[0.0] = TimedFrame(0.0, upright_image(first, *size))
    return [found[seconds] for seconds in sorted(found)]


def frames_between(
    path: str | Path, start: float, stop: float, count: int, *, short_side: int
) -> list[np.ndarray]:
    """Frames at even times of a part of a video: in the middles of `count` equal parts of it.

    Decoding begins at the key frame before the part, or at the beginning of a file that cannot be
    entered in its middle.

    Args:
        path: of the video.
        start, stop: in seconds from the first frame.
        count: how many.
        short_side: of the images, in pixels.

    Returns:
        uint8 (height, width, 3), RGB, upright; fewer than `count` where the video breaks off.

    Raises:
        VideoError: as `decoding.map_frames`; not one frame can be decoded.
    """
    clock = Clock(path)
    part = (stop - start) / count
    with open_video(path) as container:
        stream = picture_streams(container)[0]
        prepare(stream)
        first = next(shown_frames(container, stream), None)
        if first is None:
            raise VideoError("not one frame of it can be decoded")
        begin = (first.time or 0.0) + start
        with contextlib.suppress(av.FFmpegError):
            container.seek(int(begin * av.time_base))
        size = scaled_size(*upright_size(first), short_side)
        times = [begin + (number + 0.5) * part for number in range(count)]
        found = []
        with contextlib.suppress(VideoError, av.FFmpegError):
            for number, frame in enumerate(_one_after_other(container, stream, times)):
                clock.check(number)
                found.append(upright_image(frame, *size))
    return found or [upright_image(first, *size)]


def _frames_at(
    container: av.container.InputContainer,
    stream: av.video.stream.VideoStream,
    times: Sequence[float],
    part: float,
    first: av.VideoFrame,
) -> Iterator[av.VideoFrame]:
    """A frame for each time, which are so many seconds apart."""
    if part <= _SECONDS_APART:
        container.seek(0)
        yield from _one_after_other(container, stream, times)
        return
    for time in times:
        yield frame_at(container, stream, time, first, part * _EARLY_SHARE)


def _one_after_other(
    container: av.container.InputContainer,
    stream: av.video.stream.VideoStream,
    times: Sequence[float],
) -> Iterator[av.VideoFrame]:
    """Of each time, the frame that is shown then; the last one after the end."""
    waiting = list(times)
    before = None
    for frame in shown_frames(container, stream):
        while waiting and before is not None and _is_after(frame, waiting[0]):
            yield before
            waiting.pop(0)
        if not waiting:
            return
        before = frame
    if before is not None:
        yield from [before] * len(waiting)


def _is_after(frame: av.VideoFrame, time: float) -> bool:
    return frame.time is not None and frame.time > time + _ROUNDING_SECONDS


def frame_at(
    container: av.container.InputContainer,
    stream: av.video.stream.VideoStream,
    time: float,
    first: av.VideoFrame,
    early: float = 0.0,
) -> av.VideoFrame:
    """The frame that is shown at a time, or one shortly before it.

    Args:
        container: an open file.
        stream: of it.
        time: as the file counts it, in seconds.
        first: the first frame, for files that cannot be entered in their middle.
        early: by so many seconds the frame may be earlier.

    Raises:
        VideoError: frames on the way cannot be decoded.
    """
    try:
        container.seek(int(time * av.time_base))
    except av.FFmpegError:
        return first  # not every form of file can be entered in its middle
    nearest = first
    for number, frame in enumerate(shown_frames(container, stream)):
        if _is_after(frame, time):
            return frame if number == 0 else nearest
        nearest = frame
        is_near = early and frame.time is not None and frame.time >= time - early
        if is_near or number == MOST_FRAMES_DECODED:
            break
    return nearest
