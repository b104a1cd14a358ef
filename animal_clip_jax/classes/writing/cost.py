"""What the writing will take: requests and tokens, before the first request."""

import copy
import dataclasses
from collections.abc import Callable, Mapping

from animal_clip_jax.classes.writing.questions import Answer
from animal_clip_jax.classes.writing.review import Plan, Review

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


def estimate(
    plan: Plan,
    review: Review,
    answers: Mapping[tuple[int, str], Answer],
    count_tokens: Callable[[str], int],
    round: int,
) -> Estimate:
    """Estimates what is left.

    Args:
        plan: of the rounds.
        review: of all rounds before `round`.
        answers: those that are there; some may belong to `round`.
        count_tokens: tokens of a prompt.
        round: the first round that is not answered whole.
    """
    review = copy.deepcopy(review)
    for question in plan.questions(round, review):
        answer = answers.get((round, question.name))
        if answer is not None:
            review.add(question.name, answer)
    requests = prompt_tokens = output_tokens = 0
    for name in review.incomplete():
        missing = review.missing(name)
        unwritten = 0
        while missing > 0:
            count = min(plan.per_request, missing)
            written = review.accepted[name]
            prompt_tokens += count_tokens(plan.prompt.text(name, count, written))
            prompt_tokens += unwritten * TOKENS_PER_DESCRIPTION if plan.prompt.again else 0
            requests += 1
            output_tokens += count * TOKENS_PER_DESCRIPTION
            unwritten += count
            missing -= count
    return Estimate(requests, prompt_tokens, output_tokens)
