"""Decoding with PyAV: chosen frames of a video, upright, at a given short side."""

import contextlib
import re
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import av
import numpy as np

from animal_clip_jax.files import is_remote
from data_pipeline.limits import MOST_FRAME_PIXELS, MOST_JPEG_SIDE, decoding_seconds

# A file that announces more than it holds has broken off; less than this is inexact writing.
ANNOUNCED_SHARE = 0.9
ANNOUNCED_SLACK_SECONDS = 0.5

# What may be in a file, whatever it is called. Playlists, which make FFmpeg open other files, and
# stills, which it would show as videos of one frame, are not among these.
VIDEO_FORMATS = (
    *("asf", "avi", "flv", "gif", "m4v", "matroska", "mov", "mp4", "mpeg", "mpegts", "mpegvideo"),
    *("mxf", "ogg", "webm"),
)
# Stills that may be taken for videos of one frame, by how their files begin. FFmpeg is told so: it
# would take a still's name for that of a series of them.
_STILL_FORMATS = (
    (re.compile(rb"\xff\xd8\xff"), "jpeg_pipe"),
    (re.compile(rb"\x89PNG\r\n"), "png_pipe"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "webp_pipe"),
)
# Stills in the form of MP4: the brands of HEIF and AVIF.
STILL_BRANDS = frozenset(("avif", "heic", "heim", "heis", "heix", "mif1", "mif2"))

T = TypeVar("T")


class VideoError(Exception):
    """A video that cannot be decoded whole; the message is the reason, in one line."""


@dataclass(frozen=True, kw_only=True)
class VideoFacts:
    """What decoding found out about a video.

    Attributes:
        frame_indices: int64 (m), which frames were selected.
        num_frames: how many frames the video has.
        frame_rate: frames per second on average; 0 where the file does not say.
        height: of the video as shown, in pixels.
        width: of the video as shown, in pixels.
    """

    frame_indices: np.ndarray
    num_frames: int
    frame_rate: float
    height: int
    width: int


def map_frames(
    function: Callable[[np.ndarray], T],
    path: str | Path,
    *,
    select: Callable[[int], np.ndarray],
    short_side: int | None = None,
    stills: bool = False,
) -> tuple[list[T], VideoFacts]:
    """Decodes the frames that `select` asks for, one after the other, and applies `function` to
    each.

    Frames count in the order in which they are shown, whatever their time stamps: a variable frame
    rate does not repeat or drop any. Frames are turned upright as the rotation in the file asks.

    Args:
        function: of a frame, uint8 (h, w, 3), RGB.
        path: a file in one of `VIDEO_FORMATS`.
        select: takes the number of frames of the video and returns the indices wanted, increasing.
        short_side: size of the shorter side of the frames in pixels, the other in proportion; None
            keeps the size.
        stills: whether a still picture is a video of one frame.

    Returns:
        The results for the selected frames, and what is known of the video.

    Raises:
        VideoError: there is no such file, it is no video, has no frames, breaks off or is damaged
            on the way, has very large frames, or takes very long to decode (`data_pipeline.limits`
            has how large and how long).
    """
    clock = Clock(path)
    expected = _count_packets(path, clock, stills)
    results, facts = _decode(function, path, select(expected), short_side, clock, stills)
    if facts.num_frames != expected:
        # The file does not show one frame for each of its packets: now the number is known.
        wanted = select(facts.num_frames)
        results, facts = _decode(function, path, wanted, short_side, clock, stills)
    return results, facts


def scaled_size(height: int, width: int, short_side: int | None) -> tuple[int, int]:
    """Height and width with the shorter one `short_side`, in proportion; as they are if None."""
    if short_side is None:
        return height, width
    scale = short_side / min(height, width)
    return round(height * scale), round(width * scale)


class Clock:
    """Ends the decoding of a video that takes longer than one of its size may."""

    def __init__(self, path: str | Path) -> None:
        self._seconds = decoding_seconds(_regular_size(path))
        self._start = time.monotonic()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Does not count the time of the block, such as that of who uses a frame."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self._start += time.monotonic() - begin

    def check(self, count: int) -> None:
        """Raises VideoError if the time is over; `count` frames are done."""
        if time.monotonic() - self._start > self._seconds:
            raise VideoError(
                f"decoding it takes more than {self._seconds:.0f} s, the most for a file of its "
                f"size; frame {count} was reached"
            )


def _regular_size(path: str | Path) -> int:
    """The bytes of a file, which has to be one: a pipe may never end."""
    if is_remote(path):
        raise VideoError("videos are read from this machine, not from a URL")
    try:
        status = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise VideoError("there is no such file") from error
    except (OSError, ValueError) as error:
        raise VideoError(f"it cannot be read ({reason_of(error)})") from error
    if not stat.S_ISREG(status.st_mode):
        raise VideoError("it is not a file")
    if status.st_size == 0:
        raise VideoError("the file is empty")
    return status.st_size


def open_video(path: str | Path, stills: bool = False) -> av.container.InputContainer:
    """A file of one of `VIDEO_FORMATS`, with a stream of pictures in it.

    Raises:
        VideoError: it is something else.
    """
    _regular_size(path)
    still = _still_format(path) if stills else None
    try:
        # With the protocol named, a colon in a file's name names none.
        container = av.open(
            f"file:{path}",
            format=still,
            options={
                "protocol_whitelist": "file",
                "format_whitelist": still or ",".join(VIDEO_FORMATS),
            },
        )
    except av.ArgumentError as error:
        raise VideoError(
            f"it is none of the formats of videos ({', '.join(VIDEO_FORMATS)}), but a sound, a "
            "still or a playlist, or damaged"
        ) from error
    except (av.FFmpegError, ValueError) as error:
        raise VideoError(f"not a readable video ({reason_of(error)})") from error
    streams = picture_streams(container)
    if not streams:
        container.close()
        raise VideoError("there is no moving picture in it, only other streams")
    if streams[0].codec_context is None:
        container.close()
        raise VideoError("no decoder is known for its pictures, or it is damaged")
    if container.metadata.get("major_brand") in STILL_BRANDS and not stills:
        container.close()
        raise VideoError("it is a still picture")
    try:
        _check_size(streams[0].codec_context.height, streams[0].codec_context.width)
    except VideoError:
        container.close()
        raise
    return container


def _still_format(path: str | Path) -> str | None:
    """FFmpeg's name of the format of a still; None if the file is none."""
    with open(path, "rb") as file:
        beginning = file.read(12)
    return next((name for start, name in _STILL_FORMATS if start.match(beginning)), None)


def _check_size(height: int, width: int) -> None:
    if height * width > MOST_FRAME_PIXELS:
        raise VideoError(
            f"its frames are {width}x{height}; {MOST_FRAME_PIXELS} pixels are the most"
        )


def picture_streams(container: av.container.InputContainer) -> list[av.video.stream.VideoStream]:
    """The video streams that are not the cover of a sound file."""
    cover = av.stream.Disposition.attached_pic
    return [stream for stream in container.streams.video if not stream.disposition & cover]


def _count_packets(path: str | Path, clock: Clock, stills: bool) -> int:
    """The number of frames that will be shown, as far as one can tell without decoding."""
    count, end = 0, 0.0
    with open_video(path, stills) as container:
        stream = picture_streams(container)[0]
        try:
            for packet in container.demux(stream):
                clock.check(count)
                if packet.is_corrupt:
                    raise VideoError(f"it breaks off or is damaged at frame {count}")
                if packet.pts is not None and packet.time_base:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.size and not packet.is_discard:
                    count += 1
        except av.FFmpegError as error:
            raise VideoError(f"it breaks off at frame {count} ({reason_of(error)})") from error
        problem = missing_part(container, stream, count, end)
        if problem:
            raise VideoError(problem)
        if container.format.name == "gif" and count == 1 and not stills:
            raise VideoError("it is a still picture")
    return count


def missing_part(
    container: av.container.InputContainer,
    stream: av.video.stream.VideoStream,
    count: int,
    end: float,
) -> str:
    """What is missing of a file in one of two formats that just end when they break off, without an
    error, but say how much there was; "" if nothing.

    Of the others, MP4's reader reports an end that comes early, and its announcements count frames
    that an edit list hides; streaming formats announce nothing.
    """
    if container.format.name == "avi" and count < stream.frames * ANNOUNCED_SHARE:
        return f"it breaks off: {stream.frames} frames are announced, {count} are there"
    if "matroska" in container.format.name:
        seconds = _clock_seconds(stream.metadata.get("DURATION", ""))
        if seconds - end > max(ANNOUNCED_SLACK_SECONDS, seconds * (1 - ANNOUNCED_SHARE)):
            return f"it breaks off: {seconds:.1f} s are announced, {end:.1f} s are there"
    return ""


def _clock_seconds(clock: str) -> float:
    """Seconds of a time such as 00:01:02.500; 0 where it is something else."""
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", clock.strip())
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else 0.0


def _decode(
    function: Callable[[np.ndarray], T],
    path: str | Path,
    wanted: np.ndarray,
    short_side: int | None,
    clock: Clock,
    stills: bool,
) -> tuple[list[T], VideoFacts]:
    chosen = frozenset(wanted.tolist())
    results: list[T] = []
    indices: list[int] = []
    count = height = width = 0
    with open_video(path, stills) as container:
        stream = picture_streams(container)[0]
        prepare(stream)
        frame_rate = float(stream.average_rate or 0)
        for frame in shown_frames(container, stream):
            clock.check(count)
            if count == 0:
                height, width = upright_size(frame)
            if count in chosen:
                size = scaled_size(height, width, short_side)
                check_scaled(size, (height, width))
                image = upright_image(frame, *size)
                results.append(function(image))
                indices.append(count)
            count += 1
    if count == 0:
        raise VideoError("not one frame of it can be decoded")
    facts = VideoFacts(
        frame_indices=np.array(indices, np.int64),
        num_frames=count,
        frame_rate=frame_rate,
        height=height,
        width=width,
    )
    return results, facts


def prepare(stream: av.video.stream.VideoStream) -> None:
    """Sets a stream up before it is decoded."""
    # One thread: the processes of a conversion share the cores out between them.
    stream.thread_type = "NONE"
    # The size that the file announces is checked; that of each frame may be another.
    stream.codec_context.options = {"max_pixels": str(MOST_FRAME_PIXELS)}


def check_scaled(size: tuple[int, int], original: tuple[int, ...]) -> None:
    """Raises VideoError if frames of the original height and width would be too large as `size`."""
    if max(size) > MOST_JPEG_SIDE or size[0] * size[1] > MOST_FRAME_PIXELS:
        raise VideoError(
            f"its frames, {original[1]}x{original[0]}, would be {size[1]}x{size[0]} when scaled; "
            f"{MOST_JPEG_SIDE} a side and {MOST_FRAME_PIXELS} pixels are the most"
        )


def shown_frames(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream
) -> Iterator[av.VideoFrame]:
    count = 0
    try:
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise VideoError(f"frame {count} is damaged")
            yield frame
            count += 1
    except av.ArgumentError as error:
        # Of a frame that is larger than the file has announced, nothing else is said.
        raise VideoError(
            f"frame {count} cannot be decoded: it is damaged, or has more than "
            f"{MOST_FRAME_PIXELS} pixels"
        ) from error
    except av.FFmpegError as error:
        raise VideoError(f"frame {count} cannot be decoded ({reason_of(error)})") from error


def _quarter_turns(frame: av.VideoFrame) -> int:
    """Anticlockwise quarter turns that bring the frame upright."""
    return round(frame.rotation / 90) % 4


def upright_size(frame: av.VideoFrame) -> tuple[int, int]:
    size = (frame.height, frame.width)
    return size if _quarter_turns(frame) % 2 == 0 else size[::-1]


def upright_image(frame: av.VideoFrame, height: int, width: int) -> np.ndarray:
    turns = _quarter_turns(frame)
    if turns % 2:
        height, width = width, height
    return np.rot90(scaled(frame, height, width), turns)


def scaled(frame: av.VideoFrame, height: int, width: int) -> np.ndarray:
    """uint8 (height, width, 3), RGB."""
    return frame.reformat(width=width, height=height, format="rgb24", threads=1).to_ndarray()


def reason_of(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
