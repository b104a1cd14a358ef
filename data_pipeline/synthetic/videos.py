"""Writing clips as video files, with a list of who does what in them."""

import csv
import functools
import io
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from animal_clip_jax.errors import UserError
from animal_clip_jax.files import write_whole
from data_pipeline.processes import end_with_parent, fresh_processes
from data_pipeline.synthetic.animals import named
from data_pipeline.synthetic.clips import render_clip
from data_pipeline.synthetic.plan import Clip

FRAMES_PER_SECOND = 12
LIST_FILE, VIDEOS_FOLDER = "clips.csv", "videos"

_SENT_AT_ONCE = 8  # to a process

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


def write_clips(
    folder: Path,
    clips: Sequence[Clip],
    *,
    seed: int = 0,
    size: tuple[int, int] = (40, 40),
    num_frames: int = 16,
    workers: int = 1,
    split: str | None = None,
) -> int:
    """Renders clips into `videos`, and lists them in `clips.csv`; videos already there are kept.

    Args:
        folder: made if need be.
        clips: what is to be seen.
        seed: another seed, other videos.
        size: height and width in pixels, even and at least 16.
        num_frames: of each video.
        workers: processes; files do not depend on it.
        split: of all clips, as the list says it; None for their own.

    Returns:
        How many videos were rendered: the others were there already.
    """
    videos = folder / VIDEOS_FOLDER
    for action_folder in {Path(clip.path).parent for clip in clips}:
        (videos / action_folder).mkdir(parents=True, exist_ok=True)
    missing = [clip for clip in clips if not (videos / clip.path).exists()]
    render = functools.partial(
        _render_file, videos=videos, seed=seed, size=size, num_frames=num_frames
    )
    for _ in in_processes(render, missing, workers=workers, title="videos"):
        pass
    write_whole(folder / LIST_FILE, clip_list(clips, split))
    return len(missing)


def clip_list(clips: Sequence[Clip], split: str | None = None) -> str:
    """The CSV of clips that `animal-clip convert-videos --dataset=csv` reads."""
    text = io.StringIO()
    rows = [(clip.path, clip.animal, clip.action, split or clip.split) for clip in clips]
    header = ("video", "animals", "actions", "split")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def in_processes(
    make: Callable[[_Item], _Made], items: Sequence[_Item], *, workers: int, title: str
) -> Iterator[_Made]:
    """What a function makes of items, in their order, with a bar of progress on a terminal.

    Args:
        make: of what can be sent to another process.
        workers: processes; 1 works in this one.
        title: of the bar.

    Raises:
        UserError: a process has died.
    """
    console = Console(stderr=True)
    progress = Progress(
        f"rendering {title}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with progress:
        task = progress.add_task(title, total=len(items))
        if workers == 1 or len(items) < 2:
            for item in items:
                yield make(item)
                progress.advance(task)
            return
        pool = ProcessPoolExecutor(workers, fresh_processes(__name__), initializer=end_with_parent)
        try:
            several = (
                items[first : first + _SENT_AT_ONCE]
                for first in range(0, len(items), _SENT_AT_ONCE)
            )
            # Not `pool.map`: at Ctrl-C it cancels what the pool, whose processes end, fails to mark
            # as failed, and the pool says so in a traceback.
            making = deque(pool.submit(_made_of, make, some) for some in several)
            while making:
                for made in making.popleft().result():
                    yield made
                    progress.advance(task)
        except BrokenProcessPool as error:
            raise UserError(
                "a process that renders has died: killed, or out of memory; run again to go on, "
                "with fewer workers if memory is short"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _made_of(make: Callable[[_Item], _Made], items: Sequence[_Item]) -> list[_Made]:
    return list(map(make, items))


def _render_file(
    clip: Clip, videos: Path, seed: int, size: tuple[int, int], num_frames: int
) -> None:
    frames = render_clip(
        named(clip.animal),
        clip.action,
        clip.scene,
        clip.seed(seed),
        num_frames=num_frames,
        size=size,
    )
    path = videos / clip.path
    temporary = path.with_name(f"{path.name}.{os.getpid()}.incomplete")
    write_video(temporary, frames)
    temporary.replace(path)


def write_video(path: str | os.PathLike[str], frames: np.ndarray) -> None:
    """Encodes frames, (num_frames, H, W, 3) uint8 RGB with even H and W, as H.264 in an mp4 file.

    Every frame is encoded by itself and with the same quantiser. The quality of a frame thus does
    not depend on its place in the video, which would tell an action from its reverse. The same
    frames give the same bytes with the same version of the encoder.
    """
    with av.open(os.fspath(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(
            "libx264",
            rate=FRAMES_PER_SECOND,
            options={"qp": "22", "g": "1", "preset": "veryfast", "threads": "1"},
        )
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
