"""What has been accepted and rejected so far: a pure function of the answers, in their order."""

import collections
from collections.abc import Sequence

from animal_clip_jax.classes.writing.answer_checks import normalised, parse_list, problem
from animal_clip_jax.classes.writing.questions import Answer


class Review:
    """The texts of every class.

    Attributes:
        accepted: class -> its texts, at most as many as wanted.
        rejected: class -> (reason, text) of what was not accepted, in the order of the answers.
    """

    def __init__(self, names: Sequence[str], wanted: int, *, language: str = "en"):
        """For `wanted` texts of each class, in English where `language` is "en"."""
        self.accepted: dict[str, list[str]] = {name: [] for name in names}
        self.rejected: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
        self._wanted = wanted
        self._language = language
        self._owner: dict[str, str] = {}  # normalised text -> class

    def missing(self, name: str) -> int:
        """How many texts a class lacks."""
        return self._wanted - len(self.accepted[name])

    def incomplete(self) -> list[str]:
        """The classes that lack texts, in label order."""
        return [name for name in self.accepted if self.missing(name)]

    def add(self, name: str, answer: Answer) -> None:
        """Takes the usable descriptions of an answer, as long as the class lacks some."""
        items = parse_list(answer.text)
        if answer.is_cut:
            *items, last = items or [""]
            self.rejected[name].append(("cut off at the limit of tokens", last))
        elif not items:
            self.rejected[name].append(("an empty answer", ""))
        for text in items:
            if not self.missing(name):
                break
            reason = problem(text, language=self._language) or self._repetition(name, text)
            if reason:
                self.rejected[name].append((reason, text))
            else:
                self.accepted[name].append(text)
                self._owner[normalised(text)] = name

    def _repetition(self, name: str, text: str) -> str | None:
        owner = self._owner.get(normalised(text))
        if owner is None:
            return None
        return "a repetition" if owner == name else f"a text of {owner!r}"

    def shortcomings(self) -> list[str]:
        """One line for each incomplete class: how many texts it has, and why not more."""
        return [
            f"{name}: {len(self.accepted[name])} of {self._wanted}; rejected: "
            + (
                _counted(self.rejected[name])
                or "nothing: the model wrote fewer than it was asked for"
            )
            for name in self.incomplete()
        ]


def _counted(rejected: Sequence[tuple[str, str]]) -> str:
    """How often each reason occurs, with its first example."""
    parts = []
    for reason, count in collections.Counter(reason for reason, _ in rejected).most_common():
        example = next(text for why, text in rejected if why == reason)
        shortened = example if len(example) <= 60 else example[:59] + "…"
        parts.append(f"{count}x {reason}" + (f", such as {shortened!r}" if example else ""))
    return "; ".join(parts)
