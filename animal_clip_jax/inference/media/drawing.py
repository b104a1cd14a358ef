"""What a model says, drawn into the frames of a video: labels, bars, and a line of its bouts."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from animal_clip_jax.inference.formats.timeline import length_of, readable
from animal_clip_jax.inference.media.fonts import Lettering
from animal_clip_jax.inference.results import Bout, Header, VideoResult, top

# Told apart by people who are colour-blind, too (Okabe and Ito).
COLOURS = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)),
    *((0, 114, 178), (213, 94, 0), (204, 121, 167), (255, 255, 255)),
)
_GREY, _WHITE, _DARK = (190, 190, 190), (255, 255, 255), (0, 0, 0)
_OPAQUE = 165  # of the ground behind texts, of 255
_NUM_ACTIONS, _NUM_ANIMALS, _MOST_BOUTS, _MOST_LANES = 3, 2, 3, 4
# A frame whose shorter side is below the first is enlarged to at least the second, in pixels: or
# no text could be read.
_SMALL, _READABLE = 160, 240
# The text has so many lines in the shorter side of a frame.
_LINES = 24


def enlargement(size: tuple[int, int]) -> int:
    """The whole factor by which frames of a height and width are enlarged before text is put in."""
    return 1 if min(size) >= _SMALL else -(-_READABLE // min(size))


@dataclasses.dataclass(frozen=True)
class _Moment:
    """What is shown at a time; the same for many frames."""

    window: int | None
    bouts: tuple[int, ...]


class Overlay:
    """Draws what a model says of a video into its frames.

    Args:
        result: of the video.
        header: of the results.
        bouts: of the video, by their start.
        size: height and width of the frames that are given, in pixels.
        lettering: writes the labels.
    """

    def __init__(
        self,
        result: VideoResult,
        header: Header,
        bouts: Sequence[Bout],
        size: tuple[int, int],
        lettering: Lettering,
    ) -> None:
        self._result, self._header, self._lettering = result, header, lettering
        self._bouts = list(bouts)
        self.factor = enlargement(size)
        self.size = (size[0] * self.factor, size[1] * self.factor)
        self._letter = max(round(min(self.size) / _LINES), 11)
        self._margin = max(self._letter // 3, 2)
        self._colours = _colours_of(self._bouts)
        self._starts = np.array([bout.start for bout in self._bouts])
        self._stops = np.array([bout.stop for bout in self._bouts])
        self._length = max(length_of(result), 1e-6)
        self._line = self._line_of_bouts()
        self._panel_at = functools.lru_cache(maxsize=4)(self._panel)

    def draw(self, image: np.ndarray, seconds: float) -> np.ndarray:
        """A frame with what is said of its time.

        Args:
            image: uint8 (height, width, 3).
            seconds: when it is shown.

        Returns:
            uint8, of `size`.
        """
        drawn = image.repeat(self.factor, axis=0).repeat(self.factor, axis=1)
        _lay(drawn, self._panel_at(self._moment(seconds)), self._margin, self._margin)
        height, width = self.size
        top_of_line = height - self._line.shape[0]
        _lay(drawn, self._line, top_of_line, 0)
        place = min(max(round(seconds / self._length * (width - 1)), 0), width - 1)
        thick = max(self._letter // 8, 1)
        left = min(max(place - thick // 2, 0), width - thick)
        drawn[top_of_line:, max(left - thick, 0) : left + 2 * thick] = _DARK
        drawn[top_of_line:, left : left + thick] = _WHITE
        return drawn

    def _moment(self, seconds: float) -> _Moment:
        windows = self._result.windows
        window = None
        if windows is not None and len(windows.starts):
            middles = (windows.starts + windows.stops) / 2
            window = int(np.abs(middles - seconds).argmin())
        shown = np.flatnonzero((self._starts <= seconds) & (seconds < self._stops))
        return _Moment(window, tuple(shown.tolist()))

    def _panel(self, moment: _Moment) -> np.ndarray:
        """Labels and bars, uint8 (h, w, 4)."""
        result, header = self._result, self._header
        actions, animals = result.actions, result.animals
        if moment.window is not None and result.windows is not None:
            actions = result.windows.actions[moment.window]
            animals = result.windows.animals[moment.window]
        letter, margin = self._letter, self._margin
        lines = _MOST_BOUTS + 1 + _NUM_ACTIONS + _NUM_ANIMALS
        step = round(letter * 1.35)
        width = min(self.size[1] - 2 * margin, 17 * letter)
        height = min(self.size[0] - 2 * margin, lines * step + 2 * margin)
        picture = Image.new("RGBA", (max(width, 1), max(height, 1)), (0, 0, 0, 0))
        draw = ImageDraw.Draw(picture)
        at = margin
        rows: list[tuple[str, float | None, tuple[int, int, int]]] = []
        if result.blank:
            rows.append(("blank: no animal found", None, _GREY))
        for number in moment.bouts[:_MOST_BOUTS]:
            bout = self._bouts[number]
            who = f"{self._name(bout.animal, header.animals, 'animal')}: " if bout.animal else ""
            text = f"{who}{self._name(bout.action, header.actions, 'action')}"
            rows.append((text, None, self._colours[bout.action]))
        for label, share in top(header.actions, actions, _NUM_ACTIONS):
            colour = self._colours.get(label, _GREY)
            rows.append((self._name(label, header.actions, "action"), share, colour))
        for label, share in top(header.animals, animals, _NUM_ANIMALS):
            if share > 0:
                rows.append((self._name(label, header.animals, "animal"), share, _GREY))
        used = min(at + len(rows) * step + margin, height)
        draw.rectangle((0, 0, width, used), fill=(*_DARK, _OPAQUE))
        for text, bar, colour in rows:
            if at + step > height:
                break
            self._row(draw, text, bar, colour, at, width)
            at += step
        return np.asarray(picture)[: max(used, 1)]

    def _row(
        self,
        draw: ImageDraw.ImageDraw,
        text: str,
        share: float | None,
        colour: tuple[int, int, int],
        at: int,
        width: int,
    ) -> None:
        letter, margin = self._letter, self._margin
        if share is None:  # a bout: a square of its colour before it
            draw.rectangle(
                (margin, at + letter // 5, margin + letter, at + letter * 6 // 5), colour
            )
            left = 2 * margin + letter
            self._lettering.write(draw, (left, at), text, letter, width - margin - left)
            return
        # The bar is as long as the probability, of the row as a whole.
        full = width - 2 * margin
        bottom = at + round(letter * 1.25)
        long = margin + round(full * min(max(share, 0.0), 1.0))
        draw.rectangle((margin, bottom - max(letter // 5, 2), margin + full, bottom), (90, 90, 90))
        draw.rectangle((margin, bottom - max(letter // 5, 2), long, bottom), colour)
        percent = f"{share:.0%}"
        of_percent = self._lettering.width(percent, letter)
        self._lettering.write(
            draw, (margin + full - of_percent, at - letter // 6), percent, letter, of_percent + 1
        )
        self._lettering.write(
            draw, (margin, at - letter // 6), text, letter, full - of_percent - margin
        )

    def _line_of_bouts(self) -> np.ndarray:
        """The whole video from left to right, uint8 (h, width, 4): a lane for each action, where
        several may be shown at a time."""
        height, width = max(self._letter // 2, 4), self.size[1]
        overlap = bool((self._starts[1:] < np.maximum.accumulate(self._stops)[:-1] - 1e-6).any())
        lanes = min(len(self._colours), _MOST_LANES) if overlap else 1
        line = np.empty((height * lanes, width, 4), np.uint8)
        line[:] = (60, 60, 60, _OPAQUE)
        for bout in self._bouts:
            lane = list(self._colours).index(bout.action) % lanes
            left, right = (round(time / self._length * width) for time in (bout.start, bout.stop))
            rows = slice(lane * height, (lane + 1) * height)
            line[rows, left : max(right, left + 1)] = (*self._colours[bout.action], 255)
        return line

    def _name(self, label: str, labels: Sequence[str], what: str) -> str:
        number = labels.index(label) + 1 if label in labels else 0
        return self._lettering.name(readable(label), f"{what} {number}")


def _colours_of(bouts: Sequence[Bout]) -> dict[str, tuple[int, int, int]]:
    """A colour for each action, those that are shown longest first."""
    seconds: dict[str, float] = {}
    for bout in bouts:
        seconds[bout.action] = seconds.get(bout.action, 0.0) + bout.stop - bout.start
    longest = sorted(seconds, key=lambda action: (-seconds[action], action))
    return {action: COLOURS[place % len(COLOURS)] for place, action in enumerate(longest)}


def _lay(image: np.ndarray, picture: np.ndarray, at: int, left: int) -> None:
    """Lays a picture with transparency, (h, w, 4), over a part of an image."""
    below = image[at : at + picture.shape[0], left : left + picture.shape[1]]
    above = picture[: below.shape[0], : below.shape[1]].astype(np.uint16)
    opaque = above[..., 3:]
    below[:] = (above[..., :3] * opaque + below * (255 - opaque)) // 255
