"""What a model says of videos, as it is kept and handed on: one line of JSON for each video.

The first line of the file says what the model and the settings were; a stopped prediction goes on
after the last whole line.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from etils import epath

from animal_clip_jax.errors import MissingFileError, UserError, quoted
from animal_clip_jax.files import as_path, is_file
from animal_clip_jax.inference.cells import timeline_cell

RESULTS_FILE = "results.jsonl"
VERSION = 1


@dataclasses.dataclass(frozen=True)
class Media:
    """What is known of a video file.

    Attributes:
        duration: in seconds, from the first frame to the end of the last.
        frame_rate: frames a second on average; 0 where the file does not say.
        num_frames: that were decoded.
        height, width: of the frames as shown, in pixels.
        has_audio: whether there is sound in it.
    """

    duration: float
    frame_rate: float
    num_frames: int
    height: int
    width: int
    has_audio: bool = False


@dataclasses.dataclass(frozen=True)
class Bout:
    """What an animal does from when to when.

    Attributes:
        start, stop: in seconds from the first frame of the video.
        action: the label.
        animal: the likeliest there; "" where the model was not told of any.
        score: the mean probability of the action in it, from 0 to 1.
    """

    start: float
    stop: float
    action: str
    animal: str
    score: float


@dataclasses.dataclass(frozen=True)
class Windows:
    """Probabilities along a video.

    Attributes:
        starts, stops: float64 (W), seconds; windows may overlap.
        actions: float32 (W, C), the probability of each action.
        animals: float32 (W, A), that of each animal; (W, 0) where none was recognised.
        presence: float32 (W), the probability that an animal is there; None where nobody asked.
    """

    starts: np.ndarray
    stops: np.ndarray
    actions: np.ndarray
    animals: np.ndarray
    presence: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class VideoResult:
    """What the model says of a video.

    Attributes:
        name: of the video, relative to what the person asked for, separated by `/`; no two have
            the same.
        path: the whole path.
        problem: why it could not be looked at, or not to its end; "" if it could.
        media: None of a video that could not be opened.
        actions: float32 (C), the probability of each action in the video as a whole; empty where
            there is none.
        animals: float32 (A), that of each animal that the model took into account; likewise.
        windows: along the video; None where only the whole was asked for.
        bouts: made of the windows, by their start; of a video without windows none.
        blank: whether no animal seems to be in it.
        presence: the probability that an animal is in it, the highest of its windows; None where
            nobody asked.
    """

    name: str
    path: str
    problem: str = ""
    media: Media | None = None
    actions: np.ndarray = dataclasses.field(
        default_factory=lambda: np.zeros(0, np.float32), repr=False
    )
    animals: np.ndarray = dataclasses.field(
        default_factory=lambda: np.zeros(0, np.float32), repr=False
    )
    windows: Windows | None = dataclasses.field(default=None, repr=False)
    bouts: tuple[Bout, ...] = ()
    blank: bool = False
    presence: float | None = None

    @property
    def is_answered(self) -> bool:
        """Whether the model says anything of it."""
        return len(self.actions) > 0

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        seconds = 0.0 if self.media is None else self.media.duration
        return timeline_cell(self.name, self.problem, seconds, self.bouts)


@dataclasses.dataclass(frozen=True)
class Header:
    """What the results of all videos have in common.

    Attributes:
        actions: labels, (C).
        animals: labels, (A).
        multi_label: whether each action has a probability of its own; else all add up to 1.
        animal_source: where the animals come from: "given", "predicted", "learned" or "none".
        model: the run's folder and checkpoint, for a person.
        software: name and version of this program.
        made: when the prediction began, ISO 8601 with its time zone.
        settings: what was asked for; another prediction into the same folder has to ask for it too.
    """

    actions: tuple[str, ...]
    animals: tuple[str, ...]
    multi_label: bool
    animal_source: str
    model: str
    software: str
    made: str
    settings: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Results:
    """The results of a prediction, read one by one: there may be very many.

    Attributes:
        header: what they have in common.
        path: of their file.
    """

    header: Header
    path: epath.Path

    @classmethod
    def open(cls, path: epath.PathLike) -> "Results":
        """Opens a file of results.

        Raises:
            FileNotFoundError: there is no such file.
        UserError: it is none, or of a newer version.
        """
        path = as_path(path)
        if not is_file(path):
            raise MissingFileError(f"there are no results at {path}", path)
        with path.open() as file:
            return cls(_header(file.readline(), path), path)

    def __iter__(self) -> Iterator[VideoResult]:
        return results_in(self.path, skip=1)


def results_in(path: epath.Path, *, skip: int) -> Iterator[VideoResult]:
    """The results in a file, one by one, after as many other lines."""
    with path.open() as file:
        for number, line in enumerate(file, start=1):
            if number > skip and line.endswith("\n"):  # a last line that is cut is not read
                yield _parsed(line, f"{path}, line {number}")


def header_line(header: Header) -> str:
    """The first line of a file of results."""
    return json.dumps({"version": VERSION, **dataclasses.asdict(header)}) + "\n"


def result_line(result: VideoResult) -> str:
    """The line of a video."""
    content: dict[str, Any] = {"name": result.name, "path": result.path}
    if result.problem:
        content["problem"] = result.problem
    if result.media is not None:
        content["media"] = dataclasses.asdict(result.media)
    content["actions"], content["animals"] = _list(result.actions), _list(result.animals)
    if result.windows is not None:
        windows = dataclasses.asdict(result.windows)
        content["windows"] = {
            name: _list(array) for name, array in windows.items() if array is not None
        }
    content["bouts"] = [dataclasses.asdict(bout) for bout in result.bouts]
    if result.blank:
        content["blank"] = True
    if result.presence is not None:
        content["presence"] = round(result.presence, 6)
    return json.dumps(content, allow_nan=False) + "\n"


def name_in_line(line: str, place: str) -> str:
    """The name of the video of a line, which `result_line` puts first: the rest may be long.

    Raises:
        UserError: the line is no result; says the place.
    """
    begin = '{"name": '
    try:
        if not line.startswith(begin):
            raise ValueError("it begins otherwise")
        name, _ = json.JSONDecoder().raw_decode(line, len(begin))
        if not isinstance(name, str):
            raise ValueError("the name is no text")
        return name
    except ValueError as error:
        raise UserError(f"{place} is no result of a video: {quoted(line)}") from error


def write_results(path: epath.PathLike, header: Header, results: Iterable[VideoResult]) -> Results:
    """Writes a whole file of results."""
    with as_path(path).open("w") as file:
        file.write(header_line(header))
        for result in results:
            file.write(result_line(result))
    return Results.open(path)


def top(labels: Sequence[str], probabilities: np.ndarray, most: int) -> list[tuple[str, float]]:
    """The likeliest labels with their probabilities, the first of equals first."""
    order = np.argsort(-probabilities, kind="stable")[:most]
    return [(labels[number], float(probabilities[number])) for number in order]


def _list(array: np.ndarray) -> list:
    return np.round(np.asarray(array, np.float64), 6).tolist()


def _header(line: str, path: epath.Path) -> Header:
    try:
        content = json.loads(line)
        version = content.pop("version")
        if version > VERSION:
            raise UserError(
                f"{path} is of version {version}, made by a newer program; this one reads up to "
                f"{VERSION}"
            )
        for name in ("actions", "animals"):
            content[name] = tuple(content[name])
        return Header(**content)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path} is no file of results: its first line is {quoted(line)}"
        ) from error


def _parsed(line: str, place: str) -> VideoResult:
    try:
        content = json.loads(line)
        windows = content.get("windows")
        media = content.get("media")
        return VideoResult(
            name=content["name"],
            path=content["path"],
            problem=content.get("problem", ""),
            media=Media(**media) if media else None,
            actions=np.array(content["actions"], np.float32),
            animals=np.array(content["animals"], np.float32),
            windows=_windows(windows) if windows else None,
            bouts=tuple(Bout(**bout) for bout in content["bouts"]),
            blank=content.get("blank", False),
            presence=content.get("presence"),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{place} is no result of a video: {quoted(line)}") from error


def _windows(content: dict[str, list]) -> Windows:
    count = len(content["starts"])
    return Windows(
        np.array(content["starts"], np.float64),
        np.array(content["stops"], np.float64),
        np.array(content["actions"], np.float32).reshape(count, -1),
        np.array(content["animals"], np.float32).reshape(count, -1),
        np.array(content["presence"], np.float32) if "presence" in content else None,
    )
