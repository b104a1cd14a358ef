"""Decoding a bout: the frames of a recording that are shown from one time to another.

A recording may be hours long and hold hundreds of bouts, so decoding begins with the last key frame
before the bout, and ends with it. Times count from the first picture, as players show them.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import av
import numpy as np

from data_pipeline.decoding import (
    Clock,
    VideoError,
    VideoFacts,
    check_scaled,
    map_frames,
    open_video,
    picture_streams,
    prepare,
    reason_of,
    scaled_size,
    upright_image,
    upright_size,
)

# Files without an index only find about the place that is asked for.
EARLY_SECONDS = 1.0
# So much later than the recording a bout may end: the clocks of annotation programs are not exact.
LATE_SECONDS = 1.0
# Time stamps are whole numbers of some unit, and the times of annotations are rounded.
ROUNDING_SECONDS = 1e-6

T = TypeVar("T")


class _NotInOrderError(Exception):
    """The time stamps do not tell when the frames are shown."""


def map_bout(
    function: Callable[[np.ndarray], T],
    path: str | Path,
    start: float,
    stop: float,
    *,
    select: Callable[[int], np.ndarray],
    short_side: int | None = None,
) -> tuple[list[T], VideoFacts]:
    """`decoding.map_frames` for the frames that are shown from `start` to before `stop`.

    Args:
        function: of a frame, uint8 (h, w, 3), RGB.
        path: the recording.
        start: in seconds.
        stop: in seconds.
        select: takes the number of frames of the bout and returns the positions wanted among them,
            increasing.
        short_side: as for `map_frames`.

    Returns:
        The results for the selected frames, and what is known of the bout: `num_frames` and
        `frame_indices` count its frames, not the recording's.

    Raises:
        VideoError: as `map_frames`; or no frame lies in the bout, or it ends later than the
            recording. Damage elsewhere in the recording is not noticed.
    """
    clock = Clock(path)
    bout = _Bout(path, start, stop, clock)
    for seeks in (True, False):
        try:
            return _map_by_time(function, bout, seeks, select, short_side)
        except _NotInOrderError:
            continue
    return _map_by_number(function, bout, select, short_side)


class _Bout:
    """A recording, and a time in it."""

    def __init__(self, path: str | Path, start: float, stop: float, clock: Clock) -> None:
        self.path, self.start, self.stop, self.clock = path, start, stop, clock

    def holds(self, time: float) -> bool:
        return self.start - ROUNDING_SECONDS <= time < self.stop - ROUNDING_SECONDS

    def is_over(self, time: float) -> bool:
        return time >= self.stop - ROUNDING_SECONDS

    def check(self, count: int, end: float | None) -> None:
        """Raises VideoError if no frame is in it, or the recording ends before it does."""
        if end is not None and self.stop > end + LATE_SECONDS + ROUNDING_SECONDS:
            raise VideoError(
                f"the bout from {self.start:g} to {self.stop:g} s is not in the recording, which "
                f"ends at {end:.3f} s"
            )
        if count == 0:
            raise VideoError(f"no frame is shown from {self.start:g} to {self.stop:g} s")


def _map_by_time(
    function: Callable[[np.ndarray], T],
    bout: _Bout,
    seeks: bool,
    select: Callable[[int], np.ndarray],
    short_side: int | None,
) -> tuple[list[T], VideoFacts]:
    expected = _count_packets(bout, seeks)
    results, facts = _decode(function, bout, seeks, select(expected), short_side)
    if facts.num_frames != expected:
        # Not every packet is a frame that is shown: now the number is known.
        wanted = select(facts.num_frames)
        results, facts = _decode(function, bout, seeks, wanted, short_side)
    return results, facts


def _map_by_number(
    function: Callable[[np.ndarray], T],
    bout: _Bout,
    select: Callable[[int], np.ndarray],
    short_side: int | None,
) -> tuple[list[T], VideoFacts]:
    """Of a file without time stamps: each frame is shown for the same time."""
    with open_video(bout.path) as container:
        rate = float(picture_streams(container)[0].average_rate or 0)
    if rate <= 0:
        raise VideoError("the file does not say when its frames are shown: no bout can be cut out")
    first = math.ceil((bout.start - ROUNDING_SECONDS) * rate)
    last = math.ceil((bout.stop - ROUNDING_SECONDS) * rate)

    def in_recording(num_frames: int) -> np.ndarray:
        count = max(min(last, num_frames) - first, 0)
        bout.check(count, num_frames / rate)
        return first + select(count)

    results, facts = map_frames(function, bout.path, select=in_recording, short_side=short_side)
    return results, VideoFacts(
        frame_indices=facts.frame_indices - first,
        num_frames=min(last, facts.num_frames) - first,
        frame_rate=rate,
        height=facts.height,
        width=facts.width,
    )


def _count_packets(bout: _Bout, seeks: bool) -> int:
    """The number of frames of the bout, as far as one can tell without decoding."""
    count, end = 0, 0.0
    with open_video(bout.path) as container:
        stream = picture_streams(container)[0]
        time_of = _times(stream)
        _go_to(container, stream, bout, seeks)
        try:
            for number, packet in enumerate(container.demux(stream)):
                bout.clock.check(number)
                if not packet.size:
                    continue
                if packet.pts is None or ("avi" in container.format.name and _reorders(packet)):
                    raise _NotInOrderError
                time = time_of(packet.pts)
                end = max(end, time + float((packet.duration or 0) * packet.time_base))
                if packet.dts is not None and bout.is_over(time_of(packet.dts)):
                    bout.check(count, None)
                    return count
                if bout.holds(time) and not packet.is_discard:
                    if packet.is_corrupt:
                        raise VideoError(f"it breaks off or is damaged at {time:.3f} s")
                    count += 1
        except av.FFmpegError as error:
            raise VideoError(f"it breaks off at {end:.3f} s ({reason_of(error)})") from error
    bout.check(count, end)
    return count


def _reorders(packet: av.Packet) -> bool:
    # AVI has no times of showing, and those that are made up for it are of another order.
    return packet.pts != packet.dts


def _decode(
    function: Callable[[np.ndarray], T],
    bout: _Bout,
    seeks: bool,
    wanted: np.ndarray,
    short_side: int | None,
) -> tuple[list[T], VideoFacts]:
    chosen = frozenset(wanted.tolist())
    results: list[T] = []
    indices: list[int] = []
    count = height = width = 0
    with open_video(bout.path) as container:
        stream = picture_streams(container)[0]
        prepare(stream)
        rate = float(stream.average_rate or 0)
        for frame in _frames_within(container, stream, bout, seeks):
            if count == 0:
                height, width = upright_size(frame)
            if count in chosen:
                size = scaled_size(height, width, short_side)
                check_scaled(size, (height, width))
                results.append(function(upright_image(frame, *size)))
                indices.append(count)
            count += 1
    bout.check(count, None)
    return results, VideoFacts(
        frame_indices=np.array(indices, np.int64),
        num_frames=count,
        frame_rate=rate,
        height=height,
        width=width,
    )


def _frames_within(
    container: av.container.InputContainer,
    stream: av.video.stream.VideoStream,
    bout: _Bout,
    seeks: bool,
) -> Iterator[av.VideoFrame]:
    time_of = _times(stream)
    _go_to(container, stream, bout, seeks)
    before = -math.inf
    try:
        for number, frame in enumerate(container.decode(stream)):
            bout.clock.check(number)
            if frame.pts is None:
                raise _NotInOrderError
            time = time_of(frame.pts)
            if time <= before or (seeks and number == 0 and time > bout.start > 0):
                raise _NotInOrderError
            before = time
            if bout.is_over(time):
                return
            if bout.holds(time):
                if frame.is_corrupt:
                    raise VideoError(f"the frame at {time:.3f} s is damaged")
                yield frame
    except av.FFmpegError as error:
        place = max(before, bout.start)
        raise VideoError(
            f"a frame after {place:.3f} s cannot be decoded ({reason_of(error)})"
        ) from error


def _go_to(
    container: av.container.InputContainer,
    stream: av.video.stream.VideoStream,
    bout: _Bout,
    seeks: bool,
) -> None:
    """Makes the next packet that of a key frame before the bout; the first of all if it may not
    seek, or cannot."""
    place = bout.start - EARLY_SECONDS
    if not seeks or place <= 0 or stream.time_base is None:
        return
    offset = (stream.start_time or 0) + math.floor(place / stream.time_base)
    try:
        container.seek(offset, stream=stream)
    except av.FFmpegError as error:
        raise _NotInOrderError from error


def _times(stream: av.video.stream.VideoStream) -> Callable[[int], float]:
    first, base = stream.start_time or 0, stream.time_base
    if base is None:
        raise _NotInOrderError

    def time_of(stamp: int) -> float:
        return float((stamp - first) * base)

    return time_of
