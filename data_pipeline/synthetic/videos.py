"""The synthetic data set: which clips it has, and writing them as video files."""

import csv
import io
import itertools
import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import av
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from animal_clip_jax.errors import UserError, shortened
from animal_clip_jax.files import as_local_path, cannot_write, write_whole
from animal_clip_jax.locks import is_free, only_writer
from data_pipeline.processes import end_with_parent
from data_pipeline.synthetic.drawn_animals import ANIMALS
from data_pipeline.synthetic.scenes import ACTIONS, render_clip

FRAMES_PER_SECOND = 12
NOTE_FILE = "synthetic.json"
UNSEEN_ANIMAL = "Zebra"
UNSEEN_PAIRS: frozenset[tuple[str, str]] = frozenset(
    {
        ("Elephant", "Walking"),
        ("Elephant", "Backing away"),
        ("Fox", "Standing up"),
        ("Fox", "Lying down"),
        ("Cow", "Approaching"),
        ("Cow", "Retreating"),
        ("Giraffe", "Climbing"),
        ("Giraffe", "Descending"),
    }
)
UNSEEN_CLIPS_FACTOR = 2  # test clips of an unseen pair, for each of a seen pair

_FORMAT_VERSION = 1  # to be raised when the same parameters give other pictures
_FIRST_TEST_NUMBER = 5001  # in file names, so that those of train and test differ


@dataclass(frozen=True)
class Clip:
    """One video of the set. What it shows depends on these fields and on the set's seed alone."""

    split: Literal["train", "test"]
    animal: str
    action: str
    index: int  # among the clips of the same split, animal and action

    @property
    def path(self) -> str:
        """Where the video lies, relative to `videos/`, as annotations name it."""
        number = self.index + (1 if self.split == "train" else _FIRST_TEST_NUMBER)
        folder = "".join(word.capitalize() for word in self.action.split())
        return f"{folder}/{self.animal}{number:04d}.mp4"

    def render_seed(self, seed: int) -> int:
        """A seed for `render_clip` that no other clip of the set shares, but for chance."""
        key = (
            seed,
            ("train", "test").index(self.split),
            ANIMALS.index(self.animal),
            ACTIONS.index(self.action),
            self.index,
        )
        return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])


@dataclass(frozen=True)
class _Parameters:
    seed: int
    clips_per_pair: int
    test_clips_per_pair: int
    height: int
    width: int
    num_frames: int
    format_version: int = _FORMAT_VERSION


def plan(clips_per_pair: int, test_clips_per_pair: int) -> list[Clip]:
    """Every clip of the set, training before test, by animal, action and index."""
    train, test = [], []
    for animal, action in itertools.product(ANIMALS, ACTIONS):
        seen = animal != UNSEEN_ANIMAL and (animal, action) not in UNSEEN_PAIRS
        if seen:
            train += [Clip("train", animal, action, index) for index in range(clips_per_pair)]
        count = test_clips_per_pair * (1 if seen else UNSEEN_CLIPS_FACTOR)
        test += [Clip("test", animal, action, index) for index in range(count)]
    return train + test


def write_dataset(
    output: str | os.PathLike[str],
    *,
    clips_per_pair: int = 28,
    test_clips_per_pair: int = 4,
    seed: int = 0,
    size: int | tuple[int, int] = 64,
    num_frames: int = 16,
    workers: int | None = None,
) -> int:
    """Renders the set into a folder; videos already there from an interrupted call are kept.

    Args:
        output: the folder; made if need be.
        clips_per_pair: training videos of each (animal, action) seen in training.
        test_clips_per_pair: test videos of each of them; twice as many of each unseen one.
        seed: non-negative; another seed, other videos.
        size: of the frames in pixels, one number or (height, width); even, as the format demands.
        num_frames: of each video.
        workers: processes; 1 renders in this one, None takes one for every available core. Files
            do not depend on it. A script that calls this with more than one must guard its code
            with `if __name__ == "__main__":`, as Python's multiprocessing demands.

    Returns:
        How many videos were rendered, of those that `plan` lists: the others were there already.

    Raises:
        UserError: a parameter is out of range, the folder cannot be written, or it holds something
            else: a set with other parameters, or files that are not such a set.
    """
    height, width = (size, size) if isinstance(size, int) else size
    parameters = _Parameters(seed, clips_per_pair, test_clips_per_pair, height, width, num_frames)
    _check(parameters)
    if workers is None:
        workers = _available_cores()
    if workers < 1:
        raise UserError(f"workers must be at least 1, found {workers}")
    folder = as_local_path(output, "the folder of rendered videos")
    clips = plan(clips_per_pair, test_clips_per_pair)
    try:
        _check_free(folder)
        with only_writer(folder):
            return _write(folder, parameters, clips, workers)
    except UserError:
        raise
    except OSError as error:
        raise cannot_write(error.filename or folder, error) from error
    except BrokenProcessPool as error:
        raise UserError(
            "a process that renders has died: killed, or out of memory; run again to go on, with "
            "fewer workers if memory is short"
        ) from error


def _write(folder: Path, parameters: _Parameters, clips: list[Clip], workers: int) -> int:
    videos = folder / "videos"
    _claim(folder, parameters)
    for leftover in folder.rglob("*.incomplete"):
        leftover.unlink()
    for action_folder in {Path(clip.path).parent for clip in clips}:
        (videos / action_folder).mkdir(parents=True, exist_ok=True)
    missing = [clip for clip in clips if not (videos / clip.path).exists()]
    _render_all(missing, videos, parameters, workers)
    _write_annotations(folder / "annotations", clips)
    return len(missing)


def _available_cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check(parameters: _Parameters) -> None:
    if parameters.seed < 0:
        raise UserError(f"seed must not be negative, found {parameters.seed}")
    most = _FIRST_TEST_NUMBER - 1
    if not 1 <= parameters.clips_per_pair <= most:
        raise UserError(
            f"clips_per_pair must be between 1 and {most}, found {parameters.clips_per_pair}"
        )
    if not 1 <= parameters.test_clips_per_pair <= most // UNSEEN_CLIPS_FACTOR:
        raise UserError(
            f"test_clips_per_pair must be between 1 and {most // UNSEEN_CLIPS_FACTOR}, "
            f"found {parameters.test_clips_per_pair}"
        )
    if parameters.num_frames < 2:
        raise UserError(f"num_frames must be at least 2, found {parameters.num_frames}")
    if any(side % 2 or side < 16 for side in (parameters.height, parameters.width)):
        raise UserError(
            "height and width must be even and at least 16 pixels, "
            f"found {parameters.height} x {parameters.width}"
        )


def _check_free(folder: Path) -> None:
    """Checks, before anything is written, that the folder is new, empty or a set."""
    if not is_free(folder, NOTE_FILE):
        raise UserError(f"{folder} is not empty and has no {NOTE_FILE}; choose another folder")


def _claim(folder: Path, parameters: _Parameters) -> None:
    """Notes the parameters in the folder, or checks that those noted there are the same."""
    note = folder / NOTE_FILE
    wanted = asdict(parameters)
    if note.exists():
        try:
            found = json.loads(note.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise UserError(f"{note} is not valid JSON ({error}); choose another folder") from error
        if found != wanted:
            raise UserError(
                f"{folder} holds a set made with other parameters: {shortened(str(found))} "
                f"instead of {wanted}; "
                "choose another folder, or remove this one"
            )
    else:
        write_whole(note, json.dumps(wanted, indent=2) + "\n")


def _write_annotations(folder: Path, clips: list[Clip]) -> None:
    folder.mkdir(exist_ok=True)
    write_whole(folder / "label.csv", label_table(ACTIONS))
    write_whole(folder / "animal_label.csv", label_table(ANIMALS))
    for split in ("train", "test"):
        lines = [
            f"{clip.path} {ACTIONS.index(clip.action)} {ANIMALS.index(clip.animal)}\n"
            for clip in clips
            if clip.split == split
        ]
        write_whole(folder / f"{split}.txt", "".join(lines) + "\n")


def label_table(labels: Sequence[str]) -> str:
    """CSV of `id,label` with a header line, as `read_labels` reads it; any label may be in it."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("id", "label"), *enumerate(labels)])
    return text.getvalue()


def _render_all(clips: list[Clip], videos: Path, parameters: _Parameters, workers: int) -> None:
    console = Console(stderr=True)
    progress = Progress(
        "rendering",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with progress:
        task = progress.add_task("rendering", total=len(clips))
        if workers == 1 or len(clips) < 2:
            for clip in clips:
                _render_file(clip, videos, parameters)
                progress.advance(task)
            return
        # Fresh processes: a fork of one in which JAX or TensorFlow runs threads can hang.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, initializer=end_with_parent) as pool:
            rendered = pool.map(
                _render_file,
                clips,
                itertools.repeat(videos),
                itertools.repeat(parameters),
                chunksize=8,
            )
            for _ in rendered:
                progress.advance(task)


def _render_file(clip: Clip, videos: Path, parameters: _Parameters) -> None:
    frames = render_clip(
        clip.animal,
        clip.action,
        clip.render_seed(parameters.seed),
        num_frames=parameters.num_frames,
        size=(parameters.height, parameters.width),
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
