"""Copies of videos with what the model says of them drawn in."""

import contextlib
import os
from collections.abc import Callable, Iterator
from fractions import Fraction

from etils import epath

from animal_clip_jax.files import as_path
from animal_clip_jax.inference.formats.timeline import readable, written_bouts
from animal_clip_jax.inference.media.drawing import Overlay
from animal_clip_jax.inference.media.encoding import (
    ENDING,
    VideoWriter,
    comment_of,
    is_finished,
    new_video,
)
from animal_clip_jax.inference.media.file_names import video_names
from animal_clip_jax.inference.media.fonts import Lettering
from animal_clip_jax.inference.media.frames import Frames
from animal_clip_jax.inference.media.sound import Sound
from animal_clip_jax.inference.media.told import Told
from animal_clip_jax.inference.results import Header, Results, VideoResult, result_line
from data_pipeline.decoding import VideoError

FOLDER = "videos"
_COMMENT = "animal-clip predictions"
# Raised when the drawing changes, so that copies are made anew.
_VERSION = 1


def write_videos(
    results: Results,
    folder: epath.Path,
    *,
    threshold: float | None,
    advance: Callable[[float], object] = lambda done: None,
) -> Iterator[Told]:
    """Writes `videos/NAME.mp4` for each video that the model says something of.

    Each is decoded once, frame by frame. A copy that is there already and was made of the same
    results stays. Of a video that breaks off there is a copy of what can be decoded.

    Args:
        results: of the videos.
        folder: that the folder of the copies is in.
        threshold: as `timeline.written_bouts` takes it.
        advance: is told how many videos are done.

    Yields:
        why there is no copy of a video, or what it lacks; and labels that cannot be drawn.

    Raises:
        UserError: a copy cannot be written, since the disk is full, for instance.
    """
    names = video_names((result.name for result in results), ENDING)
    lettering = Lettering()
    for number, result in enumerate(results, start=1):
        if result.is_answered:
            path = folder / FOLDER / names[result.name]
            labels = (results.header.actions, results.header.animals)
            comment = comment_of(_COMMENT, result_line(result), labels, threshold, _VERSION)
            if not is_finished(path, comment):
                problem = _write(result, results.header, threshold, path, comment, lettering)
                if problem and problem != result.problem:
                    yield Told(readable(result.name), problem)
        advance(number)
    for text, instead in lettering.unwritable.items():
        text_instead = f"no font of this machine has its letters: it is written {instead!r}"
        yield Told(text, text_instead, is_failure=False)


def _write(
    result: VideoResult,
    header: Header,
    threshold: float | None,
    path: epath.Path,
    comment: str,
    lettering: Lettering,
) -> str:
    """Writes a copy; what is to be told of it."""
    source = os.fspath(as_path(result.path))
    try:
        frames = Frames(source)
    except VideoError as error:
        return f"no copy with labels: {error}"
    bouts = written_bouts(result, header, threshold) if result.windows is not None else []
    overlay = Overlay(result, header, bouts, frames.size, lettering)
    offset = frames.zero - frames.begin  # of the first frame in the copy
    problem = frames.problem
    with contextlib.closing(frames), new_video(path, comment) as container:
        video = VideoWriter(
            container, overlay.size, frames.time_base, frames.frame_rate, frames.pixel_aspect
        )
        sound = Sound(source, container, frames.begin)
        end = Fraction(0)
        with contextlib.closing(sound):
            try:
                for image, start, duration in frames:
                    video.add(overlay.draw(image, float(start)), start + offset, duration)
                    end = start + offset + duration
                    sound.write_until(float(end))
            except VideoError as error:
                problem = str(error)
            video.finish()
            sound.finish(float(end))
    return problem or sound.problem
