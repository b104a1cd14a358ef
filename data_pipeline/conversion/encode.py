"""Videos -> JPEG frames, in processes of their own."""

import io
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from data_pipeline.batches.sampling import uniform_indices
from data_pipeline.video import VideoError, VideoFacts, map_frames, scaled_size

# Colour at full resolution: halving it again, after the video and the resizing, costs more PSNR
# than the bytes are worth.
JPEG_QUALITY = 92
JPEG_SUBSAMPLING = "4:4:4"
# Videos that are decoded ahead of the one being written, for each process: enough to keep it busy,
# few enough to hold.
VIDEOS_AHEAD = 4


class EncodingError(Exception):
    """The processes that decode cannot go on."""


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


def encode_video(path: Path, *, short_side: int, max_frames: int) -> EncodedVideo | Failure:
    """Decodes evenly spaced frames of a video and compresses them one by one.

    Args:
        path: the video.
        short_side: size of the shorter side of the stored frames, in pixels.
        max_frames: the most frames that are stored; 0 stores all.

    Returns:
        The frames, or the reason why there are none.
    """
    try:
        frames, facts = map_frames(
            _jpeg,
            path,
            select=partial(uniform_indices, max_frames=max_frames),
            short_side=short_side,
        )
    except VideoError as error:
        return Failure(str(error))
    height, width = scaled_size(facts.height, facts.width, short_side)
    return EncodedVideo(tuple(frames), height, width, facts)


def encode_in_order(
    paths: Sequence[Path], *, short_side: int, max_frames: int, workers: int
) -> Generator[EncodedVideo | Failure, None, None]:
    """Encodes videos in parallel and yields them in order, holding few of them at a time.

    Args:
        paths: the videos.
        short_side: as for `encode_video`.
        max_frames: as for `encode_video`.
        workers: number of processes.

    Raises:
        EncodingError: a process has died.
    """
    # Spawned, not forked: a fork of a process that runs TensorFlow's threads can hang.
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_end_with_parent,
    )
    waiting: deque[tuple[Path, Future[EncodedVideo | Failure]]] = deque()
    try:
        for path in paths:
            if len(waiting) == VIDEOS_AHEAD * workers:
                yield waiting.popleft()[1].result()
            job = pool.submit(encode_video, path, short_side=short_side, max_frames=max_frames)
            waiting.append((path, job))
        while waiting:
            yield waiting.popleft()[1].result()
    except BrokenProcessPool as error:
        suspects = ", ".join(str(path) for path, _ in list(waiting)[:workers])
        raise EncodingError(
            "a process that decodes videos has died: out of memory, killed, or crashed by a video, "
            f"perhaps one from {suspects} on; run again to go on, with fewer --workers if memory "
            "is short"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _jpeg(frame: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(
        buffer, format="JPEG", quality=JPEG_QUALITY, subsampling=JPEG_SUBSAMPLING
    )
    return buffer.getvalue()


def _end_with_parent() -> None:
    """Lets a worker process end when its parent has been killed, instead of waiting for ever."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
