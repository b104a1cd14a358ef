"""Which questions are asked in which round, and what those to come will take."""

import dataclasses
from collections.abc import Callable, Mapping

from animal_clip_jax.classes.writing.questions import Answer, Prompt, Question, seed_of
from animal_clip_jax.classes.writing.review import Review

# Tokens of a sentence of 20 to 30 words, with its number in the list.
TOKENS_PER_DESCRIPTION = 35


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What is left to do if nothing is rejected: figures are estimates, except where said.

    Attributes:
        requests: questions to the model.
        prompt_tokens: of all of them. Of texts that are not there yet, `TOKENS_PER_DESCRIPTION`.
        output_tokens: `TOKENS_PER_DESCRIPTION` a description.
    """

    requests: int
    prompt_tokens: int
    output_tokens: int

    def price(self, input_price: float, output_price: float) -> float:
        """In the unit of the prices, which are those of a million tokens."""
        return (self.prompt_tokens * input_price + self.output_tokens * output_price) / 1e6


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
        questions = []
        for name in review.incomplete():
            count = min(self.per_request, review.missing(name))
            prompt = self.prompt.text(name, count, review.accepted[name])
            questions.append(Question(name, round, prompt, seed_of(self.seed, name, round)))
        return questions

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

    def estimate(self, review: Review, count_tokens: Callable[[str], int]) -> Estimate:
        """What is left to do after the answers in `review`."""
        requests = prompt_tokens = descriptions = 0
        for name in review.incomplete():
            missing, written = review.missing(name), review.accepted[name]
            for done in range(0, missing, self.per_request):
                count = min(self.per_request, missing - done)
                requests += 1
                prompt_tokens += count_tokens(self.prompt.text(name, count, written))
                if self.prompt.again:
                    prompt_tokens += done * TOKENS_PER_DESCRIPTION
            descriptions += missing
        return Estimate(requests, prompt_tokens, descriptions * TOKENS_PER_DESCRIPTION)
