"""A short video for each bout, in folders by action: to look through, and to train on."""

import contextlib
import csv
import os
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from etils import epath

from animal_clip_jax.files import as_path, is_file
from animal_clip_jax.inference.formats.outputs import rows_into, whole_text
from animal_clip_jax.inference.formats.timeline import readable, written_bouts
from animal_clip_jax.inference.media.encoding import (
    ENDING,
    VideoWriter,
    begins_with_comment,
    comment_of,
    is_finished,
    new_video,
)
from animal_clip_jax.inference.media.file_names import folder_names, safe_name, untaken, video_names
from animal_clip_jax.inference.media.frames import Frames, TimedFrame
from animal_clip_jax.inference.media.sound import Sound
from animal_clip_jax.inference.media.told import Told
from animal_clip_jax.inference.results import Bout, Results, VideoResult
from data_pipeline.decoding import VideoError

FOLDER = "clips"
LIST_FILE = "clips.csv"
COLUMNS = ("video", "actions", "animals", "score")
_COMMENT = "animal-clip bout"
_VERSION = 1
# Clips that are written at a time, where bouts overlap: each has an encoder, and memory for it.
_AT_A_TIME = 4
# Times of bouts are in whole milliseconds.
_TOLERANCE = Fraction(1, 2000)


class Clip(NamedTuple):
    """A bout, its file below the folder of clips, and the comment in that once it is whole."""

    bout: Bout
    file: str
    comment: str


def write_clips(
    results: Results,
    folder: epath.Path,
    *,
    threshold: float | None,
    advance: Callable[[float], object] = lambda done: None,
) -> Iterator[Told]:
    """Writes `clips/ACTION/NAME_START-STOP.mp4` for each bout, and `clips/clips.csv`, their list.

    A clip has the frames that are first shown in its bout, or the one that is shown all through it,
    and their sound. Clips that are there already stay; those of a former list whose bouts there are
    not any more are removed.

    Args:
        results: of the videos.
        folder: that the folder of clips is in.
        threshold: as `timeline.written_bouts` takes it.
        advance: is told how many videos are done.

    Yields:
        why clips of a video are missing or incomplete.

    Raises:
        UserError: a clip cannot be written, since the disk is full, for instance.
    """
    place = folder / FOLDER
    made: list[Clip] = []
    of_videos = zip(results, _clips_of(results, threshold), strict=True)
    for number, (result, clips) in enumerate(of_videos, start=1):
        waiting = [clip for clip in clips if not is_finished(place / clip.file, clip.comment)]
        problem = _write(result, waiting, place) if waiting else ""
        if problem and problem != result.problem:
            yield Told(readable(result.name), problem)
        made += [clip for clip in clips if is_file(place / clip.file)]
        advance(number)
    place.mkdir(parents=True, exist_ok=True)
    _remove_former(place, {clip.file for clip in made})
    with whole_text(place / LIST_FILE) as file:
        rows = rows_into(file)
        rows.writerow(COLUMNS)
        for bout, name, _ in made:
            rows.writerow((name, readable(bout.action), readable(bout.animal), f"{bout.score:.4f}"))


def _clips_of(results: Results, threshold: float | None) -> Iterator[list[Clip]]:
    """The clips of each video."""
    folders = folder_names(results.header.actions)
    stems = video_names((result.name for result in results), "")
    taken: set[str] = set()
    for result in results:
        stem = safe_name(stems[result.name].replace("/", "_"))
        clips = []
        for bout in written_bouts(result, results.header, threshold):
            start, stop = f"{bout.start:.3f}", f"{bout.stop:.3f}"
            file = untaken(f"{folders[bout.action]}/{stem}_{start}-{stop}", ENDING, taken)
            comment = comment_of(_COMMENT, result.path, start, stop, bout.action, _VERSION)
            clips.append(Clip(bout, file, comment))
        yield clips


def _write(result: VideoResult, clips: Sequence[Clip], place: epath.Path) -> str:
    """Writes clips of a video; what is to be told of them. It is decoded once, and once more for
    each so many bouts that overlap."""
    source = os.fspath(as_path(result.path))
    waiting, found = list(clips), ""
    while waiting:
        try:
            frames = Frames(source)
        except VideoError as error:
            return f"no clips of its bouts: {error}"
        with contextlib.closing(frames):
            one_pass = _Pass(source, frames, waiting, place)
            problem = one_pass.run() or frames.problem
        found = problem or found
        waiting = one_pass.left
    return found


class _Pass:
    """Decodes a video once, and writes clips of it, a few at a time.

    Attributes:
        left: the clips that came while as many others were written as may be.
    """

    def __init__(
        self, source: str, frames: Frames, clips: Sequence[Clip], place: epath.Path
    ) -> None:
        self._source, self._frames, self._place = source, frames, place
        self._waiting = sorted(clips, key=lambda clip: clip.bout.start)
        self._open: list[_ClipWriter] = []
        self.left: list[Clip] = []

    def run(self) -> str:
        """Writes the clips; why the video or its sound breaks off, or ""."""
        problem = ""
        with contextlib.ExitStack() as unfinished:
            try:
                for frame in self._frames:
                    problem = self._take(frame, unfinished) or problem
                    if not self._waiting and not self._open:
                        break
            except VideoError as error:
                problem = str(error)
            for writer in self._open:
                problem = writer.finish() or problem
        return problem

    def _take(self, frame: TimedFrame, unfinished: contextlib.ExitStack) -> str:
        problem = ""
        for writer in [each for each in self._open if each.stop <= frame.start + _TOLERANCE]:
            self._open.remove(writer)
            problem = writer.finish() or problem
        for clip in [each for each in self._waiting if _begins_with(frame, each.bout)]:
            self._waiting.remove(clip)
            if len(self._open) == _AT_A_TIME:
                self.left.append(clip)
                continue
            writer = _ClipWriter(self._source, self._frames, frame.start, clip, self._place)
            unfinished.push(writer.file)
            self._open.append(writer)
        for writer in self._open:
            writer.add(frame)
        return problem


def _begins_with(frame: TimedFrame, bout: Bout) -> bool:
    """Whether a frame is the first of a bout's that has none yet."""
    begins_in_it = frame.start >= _exact(bout.start) - _TOLERANCE
    return begins_in_it or frame.start + frame.duration >= _exact(bout.stop) - _TOLERANCE


class _ClipWriter:
    """Writes one clip.

    Attributes:
        stop: of the bout, in seconds.
        file: to be closed with the error if there is one, so that no half a clip stays.
    """

    def __init__(
        self, source: str, frames: Frames, origin: Fraction, clip: Clip, place: epath.Path
    ) -> None:
        self.stop = _exact(clip.bout.stop)
        self._origin = origin
        self._end = Fraction(0)
        with contextlib.ExitStack() as opened:
            container = opened.enter_context(new_video(place / clip.file, clip.comment))
            self._video = VideoWriter(
                container, frames.size, frames.time_base, frames.frame_rate, frames.pixel_aspect
            )
            length = max(self.stop - origin, frames.time_base)
            self._sound = Sound(source, container, frames.zero + origin, length)
            opened.callback(self._sound.close)
            self.file = opened.pop_all()

    def add(self, frame: TimedFrame) -> None:
        start = frame.start - self._origin
        self._video.add(frame.image, start, frame.duration)
        self._end = start + frame.duration
        self._sound.write_until(float(self._end))

    def finish(self) -> str:
        """Ends the clip; what is to be told of its sound."""
        self._video.finish()
        self._sound.finish(float(self._end))
        self.file.close()
        return self._sound.problem


def _exact(seconds: float) -> Fraction:
    return Fraction(round(seconds * 1000), 1000)


def _remove_former(place: epath.Path, kept: set[str]) -> None:
    """Removes the clips of a former list that are in this one no more, and folders left empty."""
    path = place / LIST_FILE
    if not is_file(path):
        return
    with open(path, newline="", encoding="utf-8") as file:
        listed = [row.get("video") or "" for row in csv.DictReader(file)]
    for name in listed:
        parts = name.split("/")
        # What else may stand there is none of ours.
        if name in kept or len(parts) != 2 or ".." in parts:
            continue
        clip = place / name
        if begins_with_comment(clip, _COMMENT):
            clip.unlink()
            with contextlib.suppress(OSError):
                os.rmdir(clip.parent)
