"""The synthetic data set as a folder: videos listed for each question, and captioned pictures."""

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from animal_clip_jax.errors import UserError, shortened
from animal_clip_jax.files import as_local_path, cannot_write, write_whole
from animal_clip_jax.locks import is_free, only_writer
from animal_clip_jax.whole_outputs import current
from data_pipeline.pairs.index import is_pairs
from data_pipeline.pairs.write import write_pairs
from data_pipeline.synthetic.description_files import description_files
from data_pipeline.synthetic.plan import Clip, plan, plan_unseen_action
from data_pipeline.synthetic.stills import captioned_stills
from data_pipeline.synthetic.videos import write_clips

NOTE_FILE = "synthetic.json"
UNSEEN_ACTION_FOLDER = "unseen_action"
DESCRIPTIONS_FOLDER, PAIRS_FOLDER = "descriptions", "pairs"
_FORMAT_VERSION = 2  # to be raised when the same parameters give other pictures
_LEAST = {
    **{"seed": 0, "train_clips": 1, "test_clips": 1, "num_frames": 2},
    **{"stills": 0, "test_stills": 1},
}


@dataclasses.dataclass(frozen=True)
class Parameters:
    """What decides on the content of the files.

    Attributes:
        seed: non-negative; another seed, other videos and pictures.
        train_clips: training videos, about.
        test_clips: test videos of each unseen pair of an animal and an action; see `plan`.
        size: of the frames, height and width in pixels; even and at least 16, as the format
            demands.
        num_frames: of each video.
        stills: pictures with captions for training; 0 leaves them and those of the test out.
        test_stills: pictures for the test.

    Raises:
        UserError: one is out of range.
    """

    seed: int = 0
    train_clips: int = 1600
    test_clips: int = 16
    size: int = 40
    num_frames: int = 16
    stills: int = 16000
    test_stills: int = 1500

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            if (found := getattr(self, name)) < least:
                raise UserError(f"{name} must be at least {least}, found {found}")
        if self.size % 2 or self.size < 16:
            raise UserError(f"size must be even and at least 16 pixels, found {self.size}")


class Rendered(NamedTuple):
    """How many videos and pictures a call has rendered, of those that belong to the set."""

    videos: int
    of_videos: int
    pictures: int
    of_pictures: int


def write_dataset(
    output: str | os.PathLike[str],
    parameters: Parameters = Parameters(),
    *,
    workers: int | None = None,
) -> Rendered:
    """Renders the set into a folder; what is there from an interrupted call is kept.

    Args:
        output: the folder; made if need be.
        parameters: of the set.
        workers: processes; 1 renders in this one, None takes one for every available core. Files
            do not depend on it. A script that calls this with more than one must guard its code
            with `if __name__ == "__main__":`, as Python's multiprocessing demands.

    Raises:
        UserError: the folder cannot be written, or it holds something else: a set with other
            parameters, or files that are not such a set; or there are no workers.
    """
    if workers is None:
        workers = _available_cores()
    if workers < 1:
        raise UserError(f"workers must be at least 1, found {workers}")
    clips = plan(parameters.train_clips, parameters.test_clips, parameters.seed)
    of_unseen_action = plan_unseen_action(parameters.test_clips, parameters.seed)
    with _claimed(as_local_path(output, "the folder of rendered videos"), parameters) as folder:
        rendered = 0
        for place, listed, split in (
            (folder, clips, None),
            (folder / UNSEEN_ACTION_FOLDER, of_unseen_action, "test"),
        ):
            rendered += write_clips(
                place,
                listed,
                seed=parameters.seed,
                size=(parameters.size, parameters.size),
                num_frames=parameters.num_frames,
                workers=workers,
                split=split,
            )
            _write_descriptions(place / DESCRIPTIONS_FOLDER, listed)
        of_pictures = parameters.stills + parameters.test_stills if parameters.stills else 0
        pictures = 0
        if of_pictures and not is_pairs(current(folder / PAIRS_FOLDER)):
            _write_pairs(folder / PAIRS_FOLDER, parameters, workers)
            pictures = of_pictures
    return Rendered(rendered, len(clips) + len(of_unseen_action), pictures, of_pictures)


def _write_pairs(folder: Path, parameters: Parameters, workers: int) -> None:
    numbers = {"train": parameters.stills, "test": parameters.test_stills}
    pairs = {
        split: captioned_stills(
            split, number, seed=parameters.seed, size=parameters.size, workers=workers
        )
        for split, number in numbers.items()
    }
    write_pairs(folder, pairs, name="synthetic")


def _write_descriptions(folder: Path, clips: list[Clip]) -> None:
    folder.mkdir(exist_ok=True)
    animals, actions = {clip.animal for clip in clips}, {clip.action for clip in clips}
    for name, content in description_files(animals, actions).items():
        write_whole(folder / name, content)


def _available_cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def _claimed(folder: Path, parameters: Parameters) -> Iterator[Path]:
    """The folder, for this process alone, with the parameters noted in it."""
    try:
        if not is_free(folder, NOTE_FILE):
            raise UserError(f"{folder} is not empty and has no {NOTE_FILE}; choose another folder")
        with only_writer(folder):
            _note(folder / NOTE_FILE, parameters)
            for leftover in folder.rglob("*.mp4.*.incomplete"):
                leftover.unlink()
            yield folder
    except UserError:
        raise
    except OSError as error:
        raise cannot_write(error.filename or folder, error) from error


def _note(note: Path, parameters: Parameters) -> None:
    """Notes the parameters, or checks that those noted are the same."""
    wanted = dataclasses.asdict(parameters) | {"format_version": _FORMAT_VERSION}
    if not note.exists():
        write_whole(note, json.dumps(wanted, indent=2) + "\n")
        return
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{note} is not valid JSON ({error}); choose another folder") from error
    if found != wanted:
        raise UserError(
            f"{note.parent} holds a set made with other parameters: {shortened(str(found))} "
            f"instead of {wanted}; choose another folder, or remove this one"
        )
