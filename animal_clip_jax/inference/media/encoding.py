"""Writing MP4: frames with the times at which they are shown, and sound beside them."""

import contextlib
import hashlib
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple, cast

import av
import numpy as np
from etils import epath

from animal_clip_jax.errors import UserError
from animal_clip_jax.files import is_file
from animal_clip_jax.inference.formats.outputs import whole

ENDING = ".mp4"
_COMMENT = "comment"
# The most that MPEG-4's own encoder can say of times.
_MOST_TICKS = {"mpeg4": 65_535}


class Encoder(NamedTuple):
    """How frames are compressed: an encoder of FFmpeg, and its settings."""

    name: str
    options: dict[str, str]


# H.264 is played everywhere; a build of FFmpeg without it has MPEG-4 all the same. No frame refers
# to a later one ("bf"): else, where frame rates vary, MP4 says too short a length.
_ENCODERS = (
    Encoder("libx264", {"preset": "veryfast", "crf": "20", "bf": "0"}),
    Encoder("libopenh264", {"b:v": "4M"}),
    Encoder("mpeg4", {"q:v": "3"}),
)


def encoder() -> Encoder:
    """The encoder that this installation has: H.264, else MPEG-4.

    Raises:
        UserError: it has neither.
    """
    for each in _ENCODERS:
        with contextlib.suppress(av.FFmpegError):
            av.Codec(each.name, "w")
            return each
    raise UserError(
        "this installation of PyAV can write neither H.264 nor MPEG-4; install av>=18.1"
    )


def comment_of(what: str, *made_of: object) -> str:
    """What is written into a video, to know it again: what it is, and a digest of all that it was
    made of."""
    content = repr(made_of).encode(errors="surrogateescape")
    return f"{what} {hashlib.sha256(content).hexdigest()[:32]}"


def is_finished(path: epath.Path, comment: str) -> bool:
    """Whether there is a video that was written whole with this comment."""
    return is_file(path) and _comment_in(path) == comment


def begins_with_comment(path: epath.Path, what: str) -> bool:
    """Whether there is a video that was written whole, and is this."""
    return is_file(path) and _comment_in(path).startswith(f"{what} ")


def _comment_in(path: epath.Path) -> str:
    try:
        options = {"protocol_whitelist": "file", "format_whitelist": "mov,mp4"}
        with av.open(f"file:{path}", options=options) as container:
            return container.metadata.get(_COMMENT, "")
    except (av.FFmpegError, ValueError):
        return ""


class VideoWriter:
    """Writes the frames of an MP4; sound is put into `container` by others.

    Args:
        container: that is written.
        size: height and width of the frames. H.264 needs even ones: the last row or column is
            repeated where they are not.
        time_base: of the times of frames, in seconds.
        frame_rate: frames a second, roughly; the times of the frames count.
        pixel_aspect: width of a pixel by its height.
    """

    def __init__(
        self,
        container: av.container.OutputContainer,
        size: tuple[int, int],
        time_base: Fraction,
        frame_rate: Fraction,
        pixel_aspect: Fraction | None = None,
    ) -> None:
        chosen = encoder()
        self._container, self._size = container, size
        most = _MOST_TICKS.get(chosen.name, math.inf)
        self._time_base = time_base if time_base.denominator <= most else Fraction(1, 1000)
        stream = container.add_stream(chosen.name, rate=frame_rate, options=dict(chosen.options))
        self._stream = cast(av.VideoStream, stream)
        self._stream.height, self._stream.width = (side + side % 2 for side in size)
        self._stream.pix_fmt = "yuv420p"
        self._stream.time_base = self._time_base
        context = self._stream.codec_context
        context.time_base = self._time_base
        # What the numbers of a pixel mean is said, or players guess by the size of the frames.
        context.colorspace = av.video.reformatter.Colorspace.ITU709
        context.color_primaries = av.video.reformatter.ColorPrimaries.BT709
        context.color_trc = av.video.reformatter.ColorTrc.BT709
        context.color_range = av.video.reformatter.ColorRange.MPEG
        if pixel_aspect:
            context.sample_aspect_ratio = pixel_aspect
        self._last = -1
        self._durations: dict[int, int] = {}

    def add(self, image: np.ndarray, start: Fraction, duration: Fraction) -> None:
        """Adds a frame.

        Args:
            image: uint8 (height, width, 3), RGB, of the size.
            start: when it is shown, in seconds; later than the one before.
            duration: how long.
        """
        height, width = self._size
        if height % 2 or width % 2:
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(
            format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
        )
        self._last = frame.pts = max(round(start / self._time_base), self._last + 1)
        frame.time_base = self._time_base
        self._durations[frame.pts] = max(round(duration / self._time_base), 1)
        self._mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Writes what the encoder still holds."""
        self._mux(self._stream.encode(None))

    def _mux(self, packets: list[av.Packet]) -> None:
        for packet in packets:
            # Of the last frame nothing else says how long it is shown.
            duration = self._durations.pop(packet.pts or 0, None)
            if duration is not None:
                packet.duration = duration
            self._container.mux(packet)


@contextlib.contextmanager
def new_video(path: epath.Path, comment: str) -> Iterator[av.container.OutputContainer]:
    """An MP4 to write, which is at its place once the block ends; else what was there stays.

    Args:
        path: of the file, whose folder is made.
        comment: is written into it, see `is_finished`.

    Raises:
        UserError: it cannot be written, since the disk is full, for instance; names the path.
    """
    with whole(path) as new:
        with _as_os_errors():
            container = av.open(
                f"file:{new}", "w", format="mp4", options={"movflags": "+faststart"}
            )
        container.metadata[_COMMENT] = comment
        try:
            with _as_os_errors():
                yield container
        except BaseException:
            # Its end cannot be written, or is of no use.
            with contextlib.suppress(av.FFmpegError, OSError):
                container.close()
            raise
        with _as_os_errors():
            container.close()


@contextlib.contextmanager
def _as_os_errors() -> Iterator[None]:
    try:
        yield
    except av.FFmpegError as error:
        raise OSError(error.errno, error.strerror) from error
