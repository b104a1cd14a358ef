"""A look at a video that does not decode the whole of it: how long, how large, a few frames."""

import io
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import av
import numpy as np
from PIL import Image

from data_pipeline.batches.sampling import uniform_indices
from data_pipeline.bouts import map_bout
from data_pipeline.conversion.encode import EncodedVideo, Failure, Footage
from data_pipeline.decoding import (
    VideoError,
    VideoFacts,
    open_video,
    picture_streams,
    prepare,
    scaled_size,
    shown_frames,
    upright_image,
    upright_size,
)
from data_pipeline.frame_folders import map_folder
from data_pipeline.frames_at_times import frame_at

# (start, stop) in seconds; None is from the beginning or to the end.
Part = tuple[float | None, float | None]


def glimpse(
    footage: Footage,
    *,
    short_side: int,
    max_frames: int,
    parts: Mapping[Path, Sequence[Part]],
) -> EncodedVideo | Failure:
    """What the header of a video says, and frames of parts of it.

    Args:
        footage: the whole video, or the folder of its frames.
        short_side: of the frames, in pixels.
        max_frames: frames of each part, evenly spaced.
        parts: of each video, those that frames are wanted of; a video that is not there has none.

    Returns:
        The frames of its parts one after the other, `max_frames` of each, b"" where there is none;
        and the size, rate and number of frames as the header gives them (0 where it does not). Or
        why it is no video.
    """
    wanted = parts.get(footage.path, ())
    try:
        if footage.path.is_dir():
            return _of_folder(footage.path, short_side, max_frames, wanted)
        return _of_video(footage.path, short_side, max_frames, wanted)
    except VideoError as error:
        return Failure(str(error))


def _of_video(
    path: Path, short_side: int, max_frames: int, parts: Sequence[Part]
) -> EncodedVideo | Failure:
    frames: list[bytes] = []
    with open_video(path) as container:
        stream = picture_streams(container)[0]
        prepare(stream)
        first = next(shown_frames(container, stream), None)
        if first is None:
            return Failure("not one frame of it can be decoded")
        height, width = upright_size(first)
        small = scaled_size(height, width, short_side)
        seconds = _seconds(container, stream)
        rate = float(stream.average_rate or 0)
        last = max(seconds - 1 / rate, 0.0) if rate else seconds
        for start, stop in parts:
            if start is not None and stop is not None:
                frames += _of_bout(path, start, stop, short_side, max_frames)
                continue
            times = (first.time or 0.0) + np.linspace(0.0, last, max_frames)
            shown = (frame_at(container, stream, time, first) for time in times)
            frames += [_jpeg(upright_image(frame, *small)) for frame in shown]
    facts = VideoFacts(
        frame_indices=np.zeros(0, np.int64),
        num_frames=stream.frames or round(seconds * rate),
        frame_rate=rate,
        height=height,
        width=width,
    )
    return EncodedVideo(tuple(frames), *small, facts)


def _of_bout(
    path: Path, start: float, stop: float, short_side: int, max_frames: int
) -> list[bytes]:
    try:
        frames, _ = map_bout(
            _jpeg,
            path,
            start,
            stop,
            select=partial(uniform_indices, max_frames=max_frames),
            short_side=short_side,
        )
    except VideoError:
        frames = []  # the conversion will say why
    return _filled(frames, max_frames)


def _filled(frames: Sequence[bytes], most: int) -> list[bytes]:
    return [*frames, *[b""] * (most - len(frames))]


def _seconds(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else 0.0


def _of_folder(path: Path, short_side: int, max_frames: int, parts: Sequence[Part]) -> EncodedVideo:
    most = max_frames if parts else 1
    frames, facts = map_folder(
        _jpeg, path, select=partial(uniform_indices, max_frames=most), short_side=short_side
    )
    small = scaled_size(facts.height, facts.width, short_side)
    shown = _filled(frames, max_frames) if parts else []
    return EncodedVideo(tuple(shown * len(parts)), *small, facts)


def _jpeg(frame: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format="JPEG", quality=80)
    return buffer.getvalue()
