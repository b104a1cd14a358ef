"""Videos as rows of frames for a model, decoded in processes of their own.

A row is a video as a whole, or a window of it. Rows come in the order of the videos, however many
processes there are, and only a few are held ahead.
"""

import contextlib
import os
import queue
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from animal_clip_jax.errors import UserError
from data_pipeline.batches.sampling import uniform_indices
from data_pipeline.decoding import VideoError
from data_pipeline.processes import end_with_parent, fresh_processes
from data_pipeline.video import Views, frames_of_array, read_video, views_of_frames
from data_pipeline.window_frames import FrameTimes, chosen_frames, frame_times, windows_of

# Rows that a process decodes ahead: a row of 8 frames of 224 pixels has 1.2 MB.
ROWS_AHEAD = 32
KILLED = "its decoding killed the process"
_LOOK_SECONDS = 0.5
# The lengths of frames are rounded in files.
_TOLERANCE = 0.01

# A file, or its frames: uint8 (frames, height, width, 3), RGB.
Video = str | os.PathLike[str] | np.ndarray


@dataclass(frozen=True)
class RowPlan:
    """What rows are made of a video.

    Attributes:
        short_side, max_frames: how many frames are kept of a video as a whole, and how small.
        looks: one for each model that looks at a row.
        window, stride: seconds; None makes one row of the whole video.
    """

    short_side: int
    max_frames: int
    looks: tuple[Views, ...]
    window: float | None = None
    stride: float | None = None


@dataclass(frozen=True)
class Row:
    """Frames of a video, or of a window of it.

    Attributes:
        start, stop: in seconds.
        frames: uint8 (views, frames, size, size, 3), one for each of the looks.
        num_frames: that the views were taken of.
        share: of the video that is done with this row, from 0 to 1.
    """

    start: float
    stop: float
    frames: tuple[np.ndarray, ...]
    num_frames: int
    share: float = 1.0


@dataclass(frozen=True)
class End:
    """The end of a video's rows.

    Attributes:
        times: of its frames; None of a video that could not be opened, and of an array.
        size: height and width; (0, 0) likewise.
        problem: why there are no rows, or not all; "" if there are.
    """

    times: FrameTimes | None = None
    size: tuple[int, int] = (0, 0)
    problem: str = ""


def rows_of(video: Video, plan: RowPlan) -> Iterator[Row | End]:
    """The rows of a video, and its end, whatever happens to it.

    Of a video that breaks off, what was decoded before is used.

    Raises:
        UserError: an array is no video's frames, or is to be cut into windows.
    """
    if isinstance(video, np.ndarray):
        yield _of_array(video, plan)
        yield End(size=video.shape[1:3])
        return
    path = Path(video)
    times: FrameTimes | None = None
    size = (0, 0)
    problem = ""
    try:
        times = frame_times(path)
        rows = _whole(path, plan, times) if plan.window is None else _windows(path, plan, times)
        for row, of_row in rows:
            size = of_row
            yield row
        problem = times.problem
    except VideoError as error:
        problem = str(error)
    yield End(times, size, problem)


def _of_array(frames: np.ndarray, plan: RowPlan) -> Row:
    if plan.window is not None:
        raise UserError("frames without times cannot be cut into windows; give the path of a video")
    stored = frames_of_array(frames, short_side=plan.short_side, max_frames=plan.max_frames)
    return Row(0.0, 0.0, _looks_at(stored, plan), len(stored))


def _looks_at(frames: np.ndarray, plan: RowPlan) -> tuple[np.ndarray, ...]:
    return tuple(views_of_frames(frames, **asdict(look)) for look in plan.looks)


def _whole(path: str | Path, plan: RowPlan, times: FrameTimes) -> Iterator[tuple[Row, tuple]]:
    select = partial(uniform_indices, max_frames=plan.max_frames)
    problem = None
    try:
        video = read_video(path, select=select, short_side=plan.short_side)
        frames, size = video.frames, (video.height, video.width)
    except VideoError as error:
        problem = error
        held = []
        with contextlib.suppress(VideoError):
            for _, frame, of_video in chosen_frames(
                path, select(len(times.starts)), plan.short_side
            ):
                held.append(frame)
                size = of_video
        if not held:
            raise
        frames = np.stack(held)
    yield Row(0.0, times.end, _looks_at(frames, plan), len(frames)), size
    if problem is not None:
        raise problem


def _windows(path: str | Path, plan: RowPlan, times: FrameTimes) -> Iterator[tuple[Row, tuple]]:
    assert plan.window is not None
    shown = times.end / len(times.starts)
    if plan.window < shown * (1 - _TOLERANCE):
        raise VideoError(
            f"a window of {plan.window:g} s is shorter than its frames are shown, {shown:.3g} s on "
            "average; it needs a longer --window"
        )
    for window in windows_of(
        path,
        times,
        window=plan.window,
        stride=plan.stride or plan.window,
        nums_of_frames=tuple(look.num_frames for look in plan.looks),
        short_side=plan.short_side,
    ):
        looks = tuple(
            views_of_frames(
                frames,
                num_frames=look.num_frames,
                image_size=look.image_size,
                num_crops=look.num_crops,
            )
            for look, frames in zip(plan.looks, window.frames, strict=True)
        )
        share = window.stop / times.end
        row = Row(window.start, window.stop, looks, plan.looks[0].num_frames, share)
        yield row, window.size


class Decoders:
    """Processes that decode videos ahead of who uses their rows; to be used in a `with`.

    Args:
        videos: in the order in which their rows are wanted.
        plan: what rows are made of them.
        workers: processes; 0 decodes in this one.
    """

    def __init__(self, videos: Sequence[Video], plan: RowPlan, workers: int) -> None:
        self._videos, self._plan = list(videos), plan
        self._number = min(workers, len(self._videos))
        self._context = fresh_processes(__name__)
        self._processes: dict[int, tuple[Any, Any]] = {}

    def __enter__(self) -> "Decoders":
        for worker in range(self._number):
            self._start(worker, worker)
        return self

    def __exit__(self, *error: object) -> None:
        for process, rows in self._processes.values():
            process.kill()
            process.join()
            rows.cancel_join_thread()
            rows.close()

    def rows(self, number: int) -> Iterator[Row | End]:
        """The rows of a video and its end; to be asked for in the order of the videos.

        A video that kills the process that decodes it ends there, and the next ones go on.
        """
        if not self._number:
            yield from rows_of(self._videos[number], self._plan)
            return
        worker = number % self._number
        while True:
            process, rows = self._processes[worker]
            try:
                item = rows.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                if process.is_alive():
                    continue
                try:
                    item = rows.get(timeout=_LOOK_SECONDS)  # what it sent before it died
                except queue.Empty:
                    self._start(worker, number + self._number)
                    yield End(problem=KILLED)
                    return
            yield item
            if isinstance(item, End):
                return

    def _start(self, worker: int, first: int) -> None:
        rows = self._context.Queue(ROWS_AHEAD)
        videos = self._videos[first :: self._number]
        process = self._context.Process(
            target=_decode_all, args=(videos, self._plan, rows), daemon=True
        )
        process.start()
        self._processes[worker] = process, rows


def _decode_all(videos: Sequence[Video], plan: RowPlan, rows: Any) -> None:
    end_with_parent()
    for video in videos:
        try:
            for item in rows_of(video, plan):
                rows.put(item)
        except Exception as error:
            # Libraries may raise anything: this video is what they cannot do.
            reason = " ".join(str(error).split())[:200]
            rows.put(End(problem=f"it cannot be decoded ({type(error).__name__}: {reason})"))
