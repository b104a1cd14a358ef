"""What has been accepted and rejected so far: a pure function of the answers, in their order."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence

from animal_clip_jax.classes.writing.answer_checks import normalised, parse_list, problem
from animal_clip_jax.classes.writing.questions import Answer, Prompt, Question, seed_of


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
            self.rejected[name].append(("cut off at the limit of tokens", _last(items)))
            items = items[:-1]
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
        lines = []
        for name in self.incomplete():
            reasons = collections.Counter(reason for reason, _ in self.rejected[name])
            examples = dict(reversed(self.rejected[name]))
            shown = "; ".join(
                f"{count}x {reason}" + (f", such as {_shortened(examples[reason])!r}")
                if examples[reason]
                else f"{count}x {reason}"
                for reason, count in reasons.most_common()
            )
            lines.append(
                f"{name}: {len(self.accepted[name])} of {self._wanted}; "
                f"rejected: {shown or 'nothing: the model wrote fewer than it was asked for'}"
            )
        return lines


def _last(items: Sequence[str]) -> str:
    return items[-1] if items else ""


def _shortened(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which questions a round asks, given the answers of those before.

    In a round every incomplete class is asked once; its answers are reviewed when all are there,
    in label order. So neither the order in which answers come nor an interruption changes a text.

    Attributes:
        prompt: what is asked.
        per_request: the most descriptions to ask for at once.
        rounds: the most rounds.
        seed: of the questions' seeds.
    """

    prompt: Prompt
    per_request: int
    rounds: int
    seed: int

    def questions(self, round: int, review: Review) -> list[Question]:
        """The questions of a round, in label order; none if every class is complete or the rounds
        are used up."""
        if round >= self.rounds:
            return []
        return [
            Question(
                name,
                round,
                self.prompt.text(
                    name, min(self.per_request, review.missing(name)), review.accepted[name]
                ),
                seed_of(self.seed, name, round),
            )
            for name in review.incomplete()
        ]

    def replay(
        self, review: Review, answers: Mapping[tuple[int, str], Answer], round: int = 0
    ) -> int:
        """Reviews the rounds from `round` on that are answered whole.

        Args:
            review: changed in place.
            answers: (round, class) -> answer.
            round: the first round that `review` does not hold yet.

        Returns:
            the first round that is not answered whole.
        """
        while questions := self.questions(round, review):
            if any((round, question.name) not in answers for question in questions):
                break
            for question in questions:
                review.add(question.name, answers[round, question.name])
            round += 1
        return round
