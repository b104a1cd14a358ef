"""The sound of a video, beside its frames in another file: as it is, or encoded anew."""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np

from data_pipeline.decoding import open_video, reason_of

# What may be in an MP4 as it is, and is played there.
_COPIED = frozenset(("aac", "ac3", "alac", "eac3", "flac", "mp3", "mp3float", "opus"))
_ENCODER = "aac"
_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_LAYOUTS = frozenset(("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1"))
_MOST_SILENCE = 4096  # samples that are made at a time
# Before what is wanted of the sound, decoders need a little.
_LEAD_SECONDS = 2


class Sound:
    """Puts the sound of a video into another file, as far as its frames have come.

    The video is opened once more: it is read for its sound alone.

    Args:
        path: of the video.
        output: where the sound goes; nothing is written into it yet.
        origin: the time in the video, in seconds, that is 0 in the output.
        length: of what is wanted from there on, in seconds, exact to the sample; None takes all,
            without encoding it anew where MP4 takes it as it is.

    Attributes:
        problem: what was lost of it; "" if nothing.

    Raises:
        VideoError: it is no video.
    """

    def __init__(
        self,
        path: str | Path,
        output: av.container.OutputContainer,
        origin: Fraction,
        length: Fraction | None = None,
    ) -> None:
        self.problem = ""
        self._path, self._origin = path, origin
        self._input = open_video(path)
        self._tracks: dict[int, _Copied | _Encoded] = {}
        for stream in self._input.streams.audio:
            if stream.codec_context is None:
                self.problem = "a track of its sound is left out: no decoder is known for it"
            elif length is None and stream.codec_context.name in _COPIED:
                self._tracks[stream.index] = _Copied(stream, output, origin)
            else:
                self._tracks[stream.index] = _Encoded(stream, output, origin, length)
        self._packets = self._read()
        self._next = self._first_wanted() if length is not None else next(self._packets, None)

    def write_until(self, seconds: float) -> None:
        """Writes the sound up to a time in the output."""
        while self._next is not None and self._time(self._next) <= seconds:
            self._tracks[self._next.stream.index].add(self._next)
            self._next = next(self._packets, None)

    def finish(self, seconds: float) -> None:
        """Writes the rest; `seconds` is where the frames end in the output."""
        is_copied = any(isinstance(track, _Copied) for track in self._tracks.values())
        self.write_until(math.inf if is_copied else seconds)
        for track in self._tracks.values():
            track.finish()

    def close(self) -> None:
        """Closes the video."""
        self._input.close()

    def _first_wanted(self) -> av.Packet | None:
        """The packet to begin with: shortly before what is wanted, where the file can be sought in;
        else the first."""
        first = next(self._packets, None)
        if first is None or self._time(first) > -2 * _LEAD_SECONDS:
            return first
        goal = int((self._origin - _LEAD_SECONDS) / first.time_base)
        try:
            self._input.seek(goal, stream=first.stream)
            found = next(self._packets, None)
        except av.FFmpegError:
            found = None
        if found is not None and self._time(found) <= -_LEAD_SECONDS / 2:
            return found
        self._input.seek(0)
        return next(self._packets, None)

    def _time(self, packet: av.Packet) -> float:
        stamp = packet.dts if packet.pts is None else packet.pts
        return 0.0 if stamp is None else float(stamp * packet.time_base - self._origin)

    def _read(self) -> Iterator[av.Packet]:
        streams = [stream for stream in self._input.streams.audio if stream.index in self._tracks]
        try:
            for packet in self._input.demux(streams) if streams else ():
                if packet.size:
                    yield packet
        except av.FFmpegError as error:
            self.problem = f"its sound breaks off ({reason_of(error)})"


class _Copied:
    """A track whose packets are put into another file as they are."""

    def __init__(self, stream: Any, output: av.container.OutputContainer, origin: Fraction) -> None:
        self._output = output
        self._stream = output.add_stream_from_template(stream)
        self._shift = round(origin / stream.time_base)

    def add(self, packet: av.Packet) -> None:
        shown = packet.dts if packet.pts is None else packet.pts
        if shown is None:
            return
        packet.dts = (shown if packet.dts is None else packet.dts) - self._shift
        packet.pts = shown - self._shift
        packet.stream = self._stream
        self._output.mux(packet)

    def finish(self) -> None:
        """Nothing is held."""


class _Encoded:
    """A track that is decoded, cut to the sample, and encoded as AAC."""

    def __init__(
        self,
        stream: Any,
        output: av.container.OutputContainer,
        origin: Fraction,
        length: Fraction | None,
    ) -> None:
        self._context = stream.codec_context
        given = self._context.sample_rate
        self._rate = min((rate for rate in _RATES if rate >= given), default=_RATES[-1])
        layout = self._context.layout
        self._layout = "mono" if layout.nb_channels == 1 else "stereo"
        if layout.name in _LAYOUTS:
            self._layout = layout.name
        self._output, self._origin = output, origin
        self._stream = cast(Any, output.add_stream(_ENCODER, rate=self._rate, layout=self._layout))
        self._resampler = av.AudioResampler("fltp", self._layout, self._rate)
        self._most = None if length is None else round(length * self._rate)
        self._place = 0  # of the next samples by the clock of the video; 0 is the origin
        self._written = 0

    def add(self, packet: av.Packet) -> None:
        try:
            frames = self._context.decode(packet)
        except av.FFmpegError:
            return  # a gap, which becomes silence
        for frame in frames:
            self._take(frame)

    def finish(self) -> None:
        for resampled in self._resampler.resample(None):
            self._put(resampled.to_ndarray())
        if self._written:
            self._encode(None)

    def _take(self, frame: av.AudioFrame) -> None:
        if frame.pts is not None and frame.time_base is not None:
            place = (frame.pts * frame.time_base - self._origin) * self._rate
            # Many files round their times: what is almost where the last samples end is there.
            if abs(place - self._place) > self._rate / 20:
                self._place = round(place)
        frame.pts = None
        for resampled in self._resampler.resample(frame):
            self._put(resampled.to_ndarray())

    def _put(self, samples: np.ndarray) -> None:
        """Puts samples, float32 (channels, n), where the clock of the video has them."""
        first, self._place = self._place, self._place + samples.shape[1]
        while self._written < first and self._room(1):
            silence = self._room(min(first - self._written, _MOST_SILENCE))
            self._write(np.zeros((len(samples), silence), np.float32))
        samples = samples[:, max(self._written - first, 0) :]
        self._write(samples[:, : self._room(samples.shape[1])])

    def _room(self, wanted: int) -> int:
        return wanted if self._most is None else max(min(wanted, self._most - self._written), 0)

    def _write(self, samples: np.ndarray) -> None:
        if not samples.shape[1]:
            return
        samples = np.ascontiguousarray(samples)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=self._layout)
        frame.sample_rate, frame.pts = self._rate, self._written
        frame.time_base = Fraction(1, self._rate)
        self._written += samples.shape[1]
        self._encode(frame)

    def _encode(self, frame: av.AudioFrame | None) -> None:
        for packet in self._stream.encode(frame):
            self._output.mux(packet)
