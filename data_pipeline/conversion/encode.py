"""Videos -> JPEG frames, in processes of their own."""

import io
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from animal_clip_jax.errors import UserError
from data_pipeline.batches.sampling import uniform_indices
from data_pipeline.bouts import map_bout
from data_pipeline.decoding import VideoError, VideoFacts, map_frames, scaled_size
from data_pipeline.frame_folders import map_folder
from data_pipeline.limits import MOST_RECORD_BYTES, decoding_seconds
from data_pipeline.processes import end_with_parent, fresh_processes

# Colour at full resolution: halving it again, after the video and the resizing, costs more PSNR
# than the bytes are worth.
JPEG_QUALITY = 92
JPEG_SUBSAMPLING = "4:4:4"
# Videos that are decoded ahead of the one being written, for each process: enough to keep it busy,
# few enough to hold.
VIDEOS_AHEAD = 4
KILLED = "its decoding killed the process"
# Beyond what a video may take, when the decoder itself does not return to notice it.
HANGING_SECONDS = 15.0


class EncodingError(UserError):
    """No process can be started to decode videos."""


@dataclass(frozen=True)
class Footage:
    """What a clip is made of.

    Attributes:
        path: a video, or a folder of its frames.
        start: of a bout in it, in seconds; None for all of it.
        stop: of the bout.
        is_folder: whether it is a folder of frames.
    """

    path: Path
    start: float | None = None
    stop: float | None = None
    is_folder: bool = False


@dataclass(frozen=True)
class EncodedVideo:
    """The stored form of a video: JPEG files of the frames `facts.frame_indices`, and their
    size."""

    frames: tuple[bytes, ...]
    height: int
    width: int
    facts: VideoFacts


@dataclass(frozen=True)
class Failure:
    """A video that could not be encoded, and why."""

    reason: str


Encode = Callable[..., EncodedVideo | Failure]


def encode_video(
    footage: Footage, *, short_side: int, max_frames: int, stills: bool = False
) -> EncodedVideo | Failure:
    """Decodes evenly spaced frames of a video or bout and compresses them one by one.

    Args:
        footage: the video or bout.
        short_side: size of the shorter side of the stored frames, in pixels.
        max_frames: the most frames that are stored; 0 stores all.
        stills: whether a still picture is a video of one frame.

    Returns:
        The frames, or the reason why there are none.
    """
    path, start, stop = footage.path, footage.start, footage.stop
    select = partial(uniform_indices, max_frames=max_frames)
    try:
        if footage.is_folder:
            frames, facts = map_folder(_jpeg, path, select=select, short_side=short_side)
        elif start is not None and stop is not None:
            frames, facts = map_bout(_jpeg, path, start, stop, select=select, short_side=short_side)
        else:
            frames, facts = map_frames(
                _jpeg, path, select=select, short_side=short_side, stills=stills
            )
    except VideoError as error:
        return Failure(str(error))
    size = sum(map(len, frames))
    if size > MOST_RECORD_BYTES:
        return Failure(f"its frames take {size} bytes; {MOST_RECORD_BYTES} are the most of a clip")
    height, width = scaled_size(facts.height, facts.width, short_side)
    return EncodedVideo(tuple(frames), height, width, facts)


def most_seconds(footage: Footage) -> float:
    """How long a process may be busy with a video, in seconds."""
    try:
        size = footage.path.stat().st_size
    except OSError:
        size = 0
    return decoding_seconds(size) + HANGING_SECONDS


def encode_in_order(
    videos: Sequence[Footage],
    *,
    short_side: int,
    max_frames: int,
    workers: int,
    encode: Encode = encode_video,
    seconds: Callable[[Footage], float] = most_seconds,
) -> Generator[EncodedVideo | Failure, None, None]:
    """Encodes videos in parallel and yields them in order, holding few of them at a time.

    A video that kills the process that decodes it, every time, is a `Failure` like any other, and
    so is one whose decoding does not end.

    Args:
        videos: what to encode.
        short_side: as for `encode_video`.
        max_frames: as for `encode_video`.
        workers: number of processes.
        encode: what is done with each video, in another process: a function of a module, called as
            `encode_video` is.
        seconds: how long a process may take over a video, before it is ended; a function of a
            module too.

    Raises:
        EncodingError: processes cannot be started.
    """
    job = partial(encode, short_side=short_side, max_frames=max_frames)
    with closing(_Processes(workers, job, seconds)) as processes:
        for video in videos:
            if processes.num_waiting == VIDEOS_AHEAD * workers:
                yield processes.next_result()
            processes.submit(video)
        while processes.num_waiting:
            yield processes.next_result()


class _Processes:
    """Processes that encode videos, and the videos submitted to them whose turn has not come."""

    def __init__(
        self,
        workers: int,
        job: Callable[[Footage], EncodedVideo | Failure],
        seconds: Callable[[Footage], float],
    ) -> None:
        self._workers = workers
        self._job = partial(_in_time, job, seconds)
        self._seconds = seconds
        self._pool = _pool(workers)
        self._waiting: deque[tuple[Footage, Future[EncodedVideo | Failure]]] = deque()

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    def submit(self, video: Footage) -> None:
        self._waiting.append((video, self._start(video)))

    def next_result(self) -> EncodedVideo | Failure:
        if _is_lost(self._waiting[0][1]):
            self._recover()
        return self._waiting.popleft()[1].result()

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, video: Footage) -> Future[EncodedVideo | Failure]:
        try:
            return self._pool.submit(self._job, video)
        except BrokenProcessPool as error:
            lost: Future[EncodedVideo | Failure] = Future()
            lost.set_exception(error)
            return lost

    def _recover(self) -> None:
        """Goes on after the death of a process, which takes the whole pool with it.

        The videos that were being decoded are the first of those that are lost: as many as there
        are processes are tried, each alone. If it was none of them, since some had just been
        finished, the new pool dies like the old one and the next ones are tried; so every death
        settles at least one video.
        """
        self.close()
        lost = [k for k, (_, future) in enumerate(self._waiting) if _is_lost(future)]
        for k in lost[: self._workers]:
            video = self._waiting[k][0]
            settled: Future[EncodedVideo | Failure] = Future()
            settled.set_result(self._alone(video))
            self._waiting[k] = video, settled
        self._pool = _pool(self._workers)
        for k in lost[self._workers :]:
            video = self._waiting[k][0]
            self._waiting[k] = video, self._start(video)

    def _alone(self, video: Footage) -> EncodedVideo | Failure:
        with _pool(1) as pool:
            try:
                # Were a process to die before it has any video, no video would be to blame.
                pool.submit(os.getpid).result()
            except BrokenProcessPool as error:
                raise EncodingError(
                    "processes that decode videos die as soon as they are started; is memory "
                    'short, or does a script call this outside of `if __name__ == "__main__":`?'
                ) from error
            start = time.monotonic()
            try:
                return pool.submit(self._job, video).result()
            except BrokenProcessPool:
                seconds = self._seconds(video)
                if time.monotonic() - start < seconds:
                    return Failure(KILLED)
                return Failure(f"its decoding had not ended after {seconds:.0f} s")


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        workers, mp_context=fresh_processes(__name__), initializer=end_with_parent
    )


def _is_lost(future: Future) -> bool:
    """Whether the process died in which the result would have been computed; waits for that."""
    return future.cancelled() or isinstance(future.exception(), BrokenProcessPool)


def _in_time(
    encode: Callable[[Footage], EncodedVideo | Failure],
    seconds: Callable[[Footage], float],
    video: Footage,
) -> EncodedVideo | Failure:
    """Encodes a video; whatever happens to it is a `Failure`.

    A process that takes too long over it is ended by the operating system: a decoder that hangs may
    never give Python a chance to.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds(video))
    try:
        return encode(video)
    except Exception as error:
        # Libraries that decode and encode may raise anything: this video is what they cannot do.
        return Failure(f"it cannot be encoded ({type(error).__name__}: {_one_line(error)})")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _jpeg(frame: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(
        buffer, format="JPEG", quality=JPEG_QUALITY, subsampling=JPEG_SUBSAMPLING
    )
    return buffer.getvalue()
