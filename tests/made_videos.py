"""Videos that the tests make: each frame carries its own number, readable after compression."""

import io
import struct
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

NUMBER_OF_BITS = 8


def numbered_frame(number: int, height: int, width: int) -> np.ndarray:
    """A grey-blue ramp whose upper part is eight bars: the bits of `number`, lowest on the left."""
    ramp = np.linspace(60, 190, width, dtype=np.float32)[None, :, None]
    frame = np.broadcast_to(ramp, (height, width, 3)).copy()
    frame[..., 2] = 255 - frame[..., 2]
    edges = np.linspace(0, width, NUMBER_OF_BITS + 1).round().astype(int)
    for bit in range(NUMBER_OF_BITS):
        frame[: height // 2, edges[bit] : edges[bit + 1]] = 220 * (number >> bit & 1) + 16
    return frame.astype(np.uint8)


def number_of(frame: np.ndarray) -> int:
    """The number that a frame of `numbered_frame` carries, at whatever size it is now."""
    height, width = frame.shape[:2]
    columns = ((np.arange(NUMBER_OF_BITS) + 0.5) * width / NUMBER_OF_BITS).astype(int)
    bits = frame[height // 4, columns].mean(axis=-1) > 126
    return int((bits << np.arange(NUMBER_OF_BITS)).sum())


def write_video(
    path: Path,
    num_frames: int,
    *,
    height: int = 48,
    width: int = 64,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rate: int = 12,
    time_stamps: list[int] | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Writes numbered frames; `time_stamps` are in units of 1/rate seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options={"crf": "12", **(options or {})})
        stream.height, stream.width, stream.pix_fmt = height, width, pixel_format
        stream.thread_type = "NONE"
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number, height, width))
            if time_stamps is not None:
                frame.pts = time_stamps[number]
                frame.time_base = Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_rotated_video(path: Path, num_frames: int, quarter_turns: int, **shape: int) -> Path:
    """An MP4 whose track header asks the player to turn the picture clockwise."""
    write_video(path, num_frames, **shape)
    content = bytearray(path.read_bytes())
    header = content.index(b"tkhd")
    # In a version 0 header the matrix begins 40 bytes after the version: 16.16 fixed point numbers
    # for the four of the rotation, 2.30 for the last.
    assert content[header + 4] == 0
    cosine, sine = {0: (1, 0), 1: (0, 1), 2: (-1, 0), 3: (0, -1)}[quarter_turns % 4]
    one = 1 << 16
    matrix = (cosine * one, sine * one, 0, -sine * one, cosine * one, 0, 0, 0, 1 << 30)
    start = header + 4 + 40
    content[start : start + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(content)
    return path


def write_video_with_hidden_frames(path: Path, num_frames: int, hidden: set[int]) -> Path:
    """VP8, some packets of which are decoded and not shown."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx", rate=12, options={"b:v": "2M"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        frames = [
            av.VideoFrame.from_ndarray(numbered_frame(number, 48, 64))
            for number in range(num_frames)
        ]
        packets = [packet for frame in (*frames, None) for packet in stream.encode(frame)]
        for number, packet in enumerate(packets):
            if number in hidden:
                content = bytearray(bytes(packet))
                content[0] &= 0b11101111  # the bit that shows the frame
                packet.update(bytes(content))
            container.mux(packet)
    return path


def write_sound(path: Path) -> Path:
    """A file with sound and no picture."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(8000))
    path.write_bytes(buffer.getvalue())
    return path


def peak_signal_to_noise(image: np.ndarray, reference: np.ndarray) -> float:
    """PSNR of two uint8 images, in dB."""
    error = np.mean((image.astype(np.float64) - reference.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else 10 * np.log10(255**2 / error)
