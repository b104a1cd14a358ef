"""Which videos a person means: files, folders, patterns, and lists."""

import csv
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from animal_clip_jax.errors import MissingFileError, UserError, quoted, shortened
from data_pipeline.limits import MOST_TEXT_BYTES, shown
from data_pipeline.rows import Video
from data_pipeline.video_files import VIDEO_SUFFIXES, files_below, leading_out_of

LIST_SUFFIXES = frozenset((".csv", ".txt"))
# What the column of a list may be called.
COLUMNS = ("video", "filepath", "path", "file")


class Input(NamedTuple):
    """A video that is to be looked at.

    Attributes:
        name: what it is called in the results, separated by `/`: its path below the folder that was
            named, or the name of the file.
        path: of the file.
        problem: why it cannot be; "" if that is not known yet.
        frames: of a video that a program has as an array, uint8 (frames, height, width, 3), RGB;
            None of a file.
    """

    name: str
    path: Path
    problem: str = ""
    frames: np.ndarray | None = None

    @property
    def video(self) -> Path | np.ndarray:
        """What its rows are made of, see `data_pipeline.rows`."""
        return self.path if self.frames is None else self.frames


def input_of(video: Video) -> Input:
    """A video as a program names it.

    Raises:
        MissingFileError: there is no such file.
        UserError: it is neither a path of a file nor an array.
    """
    if isinstance(video, np.ndarray):
        return Input("array", Path("array"), frames=video)
    if not isinstance(video, str | os.PathLike):
        raise UserError(f"a video is a path or an array of frames, found {type(video).__name__}")
    if not os.fspath(video):
        raise UserError("no video is given; expected the path of a file")
    path = Path(video)
    if path.is_dir():
        raise UserError(f"{path} is a folder; expected a video file")
    if not path.is_file():
        raise MissingFileError(f"no such file: {os.fspath(video)!r}; expected a video")
    return Input(path.name, path)


def find_inputs(arguments: Sequence[str], *, recursive: bool = False) -> list[Input]:
    """The videos of a command line, each once.

    What is missing, holds no video, or would have the name of another, is an input with a problem:
    the others are looked at all the same.

    Args:
        arguments: files; folders; patterns such as `camera_*/*.mp4`; and lists, a CSV with a column
            of `COLUMNS` or a text with a path a line, relative to their own folder.
        recursive: whether folders in folders are looked through.

    Raises:
        UserError: a list cannot be read.
    """
    found: dict[str, Input] = {}
    for argument in arguments:
        for item in _inputs_of(argument, recursive):
            other = found.setdefault(item.name.casefold(), item)
            if os.path.realpath(other.path) != os.path.realpath(item.path):
                problem = (
                    f"it would be {quoted(item.name)} in the results, as {shown(other.path)} is; "
                    "give the folder that both are in"
                )
                name = shown(os.path.abspath(item.path))
                found.setdefault(name.casefold(), Input(name, item.path, problem))
    return list(found.values())


def _inputs_of(argument: str, recursive: bool) -> Iterator[Input]:
    path = Path(argument)
    if path.is_dir():
        yield from _in_folder(path, recursive)
    elif path.suffix.lower() in LIST_SUFFIXES and path.is_file():
        yield from _in_list(path)
    elif not os.path.lexists(path) and glob.has_magic(argument):
        matches = sorted(glob.glob(argument, recursive=True))
        files = [match for match in matches if os.path.isfile(match)]
        if not files:
            yield Input(argument, path, "no file matches this pattern")
            return
        below = os.path.commonpath([os.path.dirname(os.path.abspath(file)) for file in files])
        for file in files:
            yield _input(Path(file), Path(os.path.relpath(os.path.abspath(file), below)))
    else:
        yield _input(path, Path(path.name))


def _in_folder(folder: Path, recursive: bool) -> Iterator[Input]:
    outside: list[Path] = []
    below = sorted(files_below(folder, leading_out_of([folder]), outside))
    names = [
        name
        for name in below
        if name.suffix.lower() in VIDEO_SUFFIXES and (recursive or len(name.parts) == 1)
    ]
    if not names:
        deeper = "" if recursive else "; --recursive looks into the folders in it, too"
        yield Input(folder.name or str(folder), folder, f"no video in this folder{deeper}")
    for name in names:
        yield _input(folder / name, name)
    for name in outside:
        if recursive or len(name.parts) == 1:
            problem = "a link that leads out of this folder; name what it leads to"
            yield Input(shown(name.as_posix()), folder / name, problem)


def _in_list(path: Path) -> Iterator[Input]:
    try:
        if path.stat().st_size > MOST_TEXT_BYTES:
            raise UserError(f"{path} is too large for a list of videos")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no list of videos: not UTF-8 text") from error
    lines = [line for line in text.splitlines() if line.strip()]
    if path.suffix.lower() == ".csv":
        rows = list(csv.reader(lines))
        header = [cell.strip().casefold() for cell in rows[0]] if rows else []
        column = next((header.index(name) for name in COLUMNS if name in header), None)
        if column is None:
            raise UserError(
                f"{path}, line 1: no column {' or '.join(COLUMNS)}, found "
                f"{shortened(','.join(header))}"
            )
        names = [row[column].strip() for row in rows[1:] if len(row) > column]
    else:
        names = [line.strip() for line in lines]
    if not names:
        raise UserError(f"{path} lists no video")
    for name in dict.fromkeys(names):
        yield _input(path.parent / name, Path(name.lstrip("/")))


def _input(path: Path, name: Path) -> Input:
    problem = "" if os.path.lexists(path) else "there is no such file"
    return Input(shown(name.as_posix()), path, problem)
