"""Frames along a video: windows of some seconds, one after the other, in one pass of decoding.

Frames are chosen by the times at which they are shown, also where the frame rate varies. However
long the video is, no more frames are held than a window has.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from data_pipeline.decoding import (
    Clock,
    VideoError,
    check_scaled,
    missing_part,
    open_video,
    picture_streams,
    prepare,
    reason_of,
    scaled_size,
    shown_frames,
    upright_image,
    upright_size,
)


@dataclass(frozen=True)
class FrameTimes:
    """When the frames of a video are shown.

    Attributes:
        starts: float64 (n), seconds from the first frame, increasing.
        end: of the last one.
        frame_rate: frames a second on average; 0 where the file does not say.
        has_audio: whether there is sound in the file.
        problem: why there are fewer than the video should have; "" if there are not.
    """

    starts: np.ndarray
    end: float
    frame_rate: float
    has_audio: bool
    problem: str = ""


@dataclass(frozen=True)
class WindowFrames:
    """The frames of a window.

    Attributes:
        start, stop: in seconds from the first frame.
        frames: one uint8 (n, height, width, 3) for each of the numbers of frames asked for.
        size: height and width of the video as shown.
    """

    start: float
    stop: float
    frames: tuple[np.ndarray, ...]
    size: tuple[int, int]


def window_spans(duration: float, window: float, stride: float) -> np.ndarray:
    """Where windows begin and end: float64 (W, 2), in seconds.

    The first begins with the video; the last is the first that reaches its end, and ends there. A
    video that is shorter than a window has one, of its own length.
    """
    count = max(int(np.ceil(max(duration - window, 0) / stride - 1e-9)), 0) + 1
    starts = np.arange(count) * stride
    return np.stack([starts, np.minimum(starts + window, duration)], axis=1)


def indices_in(times: np.ndarray, start: float, stop: float, num_frames: int) -> np.ndarray:
    """The frames of a window: those that are shown in the middle of equal parts of it.

    Args:
        times: float64 (n), when each frame of the video is first shown, increasing.
        start, stop: of the window, which has at least one frame.
        num_frames: how many are wanted; fewer are repeated.

    Returns:
        int64 (num_frames), not decreasing.
    """
    middles = start + (np.arange(num_frames) + 0.5) / num_frames * (stop - start)
    shown = np.searchsorted(times, middles + 1e-9, side="right") - 1
    return np.clip(shown, 0, len(times) - 1)


def frame_times(path: str | Path) -> FrameTimes:
    """When the frames of a video are shown, as far as its packets tell, without decoding.

    Raises:
        VideoError: it is no video, or has no frames.
    """
    clock = Clock(path)
    stamps: list[int] = []
    end, problem, in_order = 0.0, "", True
    with open_video(path) as container:
        has_audio = bool(container.streams.audio)
        stream = picture_streams(container)[0]
        rate = float(stream.average_rate or 0)
        first, base = stream.start_time or 0, float(stream.time_base or 0)
        try:
            for number, packet in enumerate(container.demux(stream)):
                clock.check(number)
                if not packet.size or packet.is_discard:
                    continue
                if packet.is_corrupt:
                    problem = f"it breaks off or is damaged at frame {len(stamps)}"
                    break
                # AVI has no times of showing, and those that are made up for it are not in order.
                in_order &= packet.pts is not None and (
                    container.format.name != "avi" or packet.pts == packet.dts
                )
                stamps.append(packet.pts or 0)
                end = max(end, (stamps[-1] - first + (packet.duration or 0)) * base)
        except av.FFmpegError as error:
            problem = f"it breaks off at frame {len(stamps)} ({reason_of(error)})"
        problem = problem or missing_part(container, stream, len(stamps), end + first * base)
    if not stamps:
        raise VideoError(problem or "not one frame of it can be decoded")
    times = (np.sort(np.array(stamps, np.float64)) - first) * base
    if not in_order or base <= 0 or (np.diff(times) <= 0).any():
        if rate <= 0:
            raise VideoError("the file does not say when its frames are shown")
        times, end = np.arange(len(stamps)) / rate, len(stamps) / rate
    # The last frame is shown at least as long as the others are on average.
    shortest = 1 / rate if rate > 0 else (times[-1] / max(len(times) - 1, 1))
    return FrameTimes(times, max(end, times[-1] + shortest), rate, has_audio, problem)


def windows_of(
    path: str | Path,
    times: FrameTimes,
    *,
    window: float,
    stride: float,
    nums_of_frames: tuple[int, ...],
    short_side: int,
) -> Iterator[WindowFrames]:
    """The frames of each window, in order.

    Args:
        path: the video.
        times: of its frames.
        window: seconds.
        stride: from the beginning of a window to that of the next, in seconds.
        nums_of_frames: how many frames are wanted of a window; several, for several uses.
        short_side: of the frames, in pixels.

    Raises:
        VideoError: it breaks off, after the windows before and what was decoded of the next.
    """
    spans = window_spans(times.end, window, stride)
    wanted = [
        [indices_in(times.starts, start, stop, number) for number in nums_of_frames]
        for start, stop in spans
    ]
    chosen = np.unique(np.concatenate([indices for of_span in wanted for indices in of_span]))
    firsts = [min(int(indices[0]) for indices in of_span) for of_span in wanted]
    lasts = [max(int(indices[-1]) for indices in of_span) for of_span in wanted]
    held: dict[int, np.ndarray] = {}
    done = 0
    size = (0, 0)
    try:
        for index, frame, size in chosen_frames(path, chosen, short_side):
            held[index] = frame
            while done < len(spans) and lasts[done] <= index:
                yield _window(spans[done], wanted[done], held, size)
                done += 1
                if done < len(spans):
                    held = {k: held[k] for k in held if k >= firsts[done]}
        if done < len(spans):
            raise VideoError("it has fewer frames than its packets tell")
    except VideoError:
        if held and done < len(spans):
            # What was decoded of the window in which it breaks off.
            last = max(held)
            start, stop = spans[done]
            end = times.starts[last + 1] if last + 1 < len(times.starts) else times.end
            yield _window((start, min(stop, end)), wanted[done], held, size)
        raise


def _window(
    span: Sequence[float],
    wanted: Sequence[np.ndarray],
    held: Mapping[int, np.ndarray],
    size: tuple[int, int],
) -> WindowFrames:
    known = np.array(sorted(held))
    frames = []
    for indices in wanted:
        # Of frames that there are not any more, the last that there is.
        nearest = known[np.maximum(np.searchsorted(known, indices, side="right") - 1, 0)]
        frames.append(np.stack([held[int(k)] for k in nearest]))
    return WindowFrames(float(span[0]), float(span[1]), tuple(frames), size)


def chosen_frames(
    path: str | Path, chosen: np.ndarray, short_side: int
) -> Iterator[tuple[int, np.ndarray, tuple[int, int]]]:
    """Yields (index, frame, height and width of the video) of some frames of a video, in order.

    Args:
        path: the video.
        chosen: int (m), their indices, increasing.
        short_side: of the frames, in pixels.

    Raises:
        VideoError: it breaks off or is damaged on the way.
    """
    clock = Clock(path)
    wanted = frozenset(chosen.tolist())
    last = int(chosen[-1])
    size = original = (0, 0)
    with open_video(path) as container:
        stream = picture_streams(container)[0]
        prepare(stream)
        for index, frame in enumerate(shown_frames(container, stream)):
            clock.check(index)
            if index == 0:
                original = upright_size(frame)
                size = scaled_size(*original, short_side)
                check_scaled(size, original)
            if index in wanted:
                image = upright_image(frame, *size)
                with clock.paused():
                    yield index, image, original
            if index == last:
                return
