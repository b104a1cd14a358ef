"""A timeline as a page draws it: a lane for each action, a bar for each bout."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from animal_clip_jax.inference.results import Bout, VideoResult
from animal_clip_jax.pages.colours import COLOURS
from animal_clip_jax.pages.plain_text import plain

# Actions of one colour differ in their pattern.
PATTERNS = 4
_MOST_TICKS = 8
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)


@dataclasses.dataclass(frozen=True)
class Bar:
    """A bout in a lane.

    Attributes:
        bout: it, with its labels as a page shows them.
        left, width: in percent of the timeline.
        words: all of it, for those who do not see the bar.
    """

    bout: Bout
    left: float
    width: float
    words: str


@dataclasses.dataclass(frozen=True)
class Lane:
    """All bouts of an action.

    Attributes:
        action: as a page shows it.
        colour, pattern: numbers of them.
        bars: by time.
    """

    action: str
    colour: int
    pattern: int
    bars: tuple[Bar, ...]


@dataclasses.dataclass(frozen=True)
class Timeline:
    """Attributes:
    lanes: the action that comes first, first.
    ticks: (percent of the timeline, time as text).
    seconds: how long it is.
    """

    lanes: tuple[Lane, ...]
    ticks: tuple[tuple[float, str], ...]
    seconds: float

    @property
    def bouts(self) -> list[Bout]:
        """All of them by time."""
        bouts = [bar.bout for lane in self.lanes for bar in lane.bars]
        return sorted(bouts, key=lambda bout: (bout.start, bout.stop))


def timeline_of(result: VideoResult, seconds: float, places: Mapping[str, int]) -> Timeline:
    """The timeline of a video.

    Args:
        result: of it.
        seconds: how long the video is; a bout that ends later makes the timeline longer.
        places: action -> number, by which it has its colour and pattern.
    """
    seconds = max([seconds, *(bout.stop for bout in result.bouts)]) or 1.0
    lanes: dict[str, list[Bar]] = {}
    for bout in sorted(result.bouts, key=lambda bout: (bout.start, bout.stop)):
        lanes.setdefault(bout.action, []).append(_bar(bout, seconds))
    return Timeline(
        lanes=tuple(
            Lane(
                plain(action),
                places[action] % len(COLOURS),
                places[action] // len(COLOURS) % PATTERNS,
                tuple(bars),
            )
            for action, bars in lanes.items()
        ),
        ticks=tuple((100 * time / seconds, clock(time)) for time in _tick_times(seconds)),
        seconds=seconds,
    )


def words_of(bout: Bout) -> str:
    """A bout in words, such as "Walking, Zebra, 3.0–7.5 s, 0.81"."""
    times = f"{seconds_text(bout.start)}–{seconds_text(bout.stop)} s"
    return ", ".join(
        text for text in (bout.action, bout.animal, times, f"{bout.score:.2f}") if text
    )


def seconds_text(seconds: float) -> str:
    """Seconds with as many digits as they have, at least one and at most three after the point."""
    text = f"{seconds:.3f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def clock(seconds: float) -> str:
    """A time as a player shows it: 0:07.5, 1:02:03."""
    tenths = round(seconds * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{tenths // 10:02d}" + (f".{tenths % 10}" if tenths % 10 else "")
    return f"{hours}:{minutes:02d}:{rest}" if hours else f"{minutes}:{rest}"


def _bar(bout: Bout, seconds: float) -> Bar:
    bout = dataclasses.replace(bout, action=plain(bout.action), animal=plain(bout.animal))
    left = 100 * min(max(bout.start / seconds, 0.0), 1.0)
    width = 100 * max(bout.stop - bout.start, 0.0) / seconds
    return Bar(bout, left, width, words_of(bout))


def _tick_times(seconds: float) -> np.ndarray:
    step = next((step for step in _STEPS if seconds / step <= _MOST_TICKS), seconds / _MOST_TICKS)
    # A text at the very end would stick out.
    return np.arange(0, 0.94 * seconds, step)
