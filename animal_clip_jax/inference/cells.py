"""Answers and timelines as a notebook shows them: HTML that needs no style of a page."""

from collections.abc import Sequence
from typing import Protocol

from animal_clip_jax.pages.colours import colour
from animal_clip_jax.pages.rendering import fragment

_ROOM = "animal_clip_jax.inference"
_MOST_LABELS = 5


class _Bout(Protocol):
    @property
    def start(self) -> float: ...
    @property
    def stop(self) -> float: ...
    @property
    def action(self) -> str: ...
    @property
    def animal(self) -> str: ...
    @property
    def score(self) -> float: ...


def answer_cell(
    actions: Sequence[tuple[str, float]],
    animals: Sequence[tuple[str, float]],
    *,
    is_given: bool,
    note: str,
) -> str:
    """The likeliest labels with bars.

    Args:
        actions, animals: names and probabilities, best first.
        is_given: whether a person said which animals there are.
        note: on the video; or "".
    """
    return fragment(
        _ROOM,
        "answer_cell.html",
        actions=actions[:_MOST_LABELS],
        animals=animals[:_MOST_LABELS],
        is_given=is_given,
        note=note,
    )


def timeline_cell(name: str, problem: str, seconds: float, bouts: Sequence[_Bout]) -> str:
    """A lane for each action, the one that comes first first, with a bar for each bout.

    Args:
        name: of the video.
        problem: with it; or "".
        seconds: how long it is.
        bouts: of it, see `results.Bout`.
    """
    lanes: dict[str, list[_Bout]] = {}
    for bout in bouts:
        lanes.setdefault(bout.action, []).append(bout)
    return fragment(
        _ROOM,
        "timeline_cell.html",
        name=name,
        problem=problem,
        seconds=max([seconds, *(bout.stop for bout in bouts)]),
        lanes=[(action, colour(k), lane) for k, (action, lane) in enumerate(lanes.items())],
    )
