"""Has a language model describe classes: `python -m animal_clip_jax.describe --labels=…`.

Writes a description file for the names in a file of labels. The model is one of this machine
(--backend=local, with transformers), or one behind an endpoint that speaks OpenAI's protocol
(--backend=openai). The prompt is a file, every answer is checked and kept in a journal, and the
output appears when every class has all its descriptions. See docs/descriptions.md.
"""

import argparse
import contextlib
import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from animal_clip_jax.classes.labels import read_names
from animal_clip_jax.classes.writing.cost import TOKENS_PER_DESCRIPTION, Estimate, estimate
from animal_clip_jax.classes.writing.endpoint import EndpointWriter
from animal_clip_jax.classes.writing.journal import (
    Journal,
    Settings,
    journal_path,
    read_answers,
)
from animal_clip_jax.classes.writing.local import LocalWriter
from animal_clip_jax.classes.writing.output_file import check_output, write_descriptions
from animal_clip_jax.classes.writing.questions import Answer, Question, Writer, read_prompt
from animal_clip_jax.classes.writing.review import Plan, Review
from animal_clip_jax.errors import UserError


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m animal_clip_jax.describe",
        description="Has a language model describe the classes of a file of labels.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--labels", type=Path, required=True, help="names: one a line, or .csv of id,name"
    )
    parser.add_argument(
        "--kind", choices=("action", "animal"), required=True, help="what the names are names of"
    )
    parser.add_argument(
        "--model",
        required=True,
        help="folder or Hugging Face name of a causal model, or the endpoint's name of one",
    )
    parser.add_argument("--output", type=Path, required=True, help="description file to write")
    parser.add_argument(
        "--backend",
        choices=("local", "openai"),
        default="local",
        help="local: on this machine; openai: an endpoint of that protocol, at $OPENAI_BASE_URL "
        "with $OPENAI_API_KEY (default: local)",
    )
    parser.add_argument("--prompt", type=Path, help="prompt file; by default that of the kind")
    parser.add_argument(
        "--num_descriptions", type=_at_least(1), default=10, help="descriptions a class (10)"
    )
    parser.add_argument(
        "--per_request", type=_at_least(1), default=10, help="the most to ask for at once (10)"
    )
    parser.add_argument(
        "--extra_rounds",
        type=_at_least(0),
        default=5,
        help="how often a class is asked again for what is missing (5)",
    )
    parser.add_argument(
        "--language", choices=("en", "any"), default="en", help="accept English alone, or all (en)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sampling (0)")
    parser.add_argument("--temperature", type=_above_zero, default=0.8, help="(0.8)")
    parser.add_argument(
        "--top_p",
        type=_above_zero,
        default=0.95,
        help="draw from the most probable tokens that have this probability together (0.95)",
    )
    parser.add_argument(
        "--max_tokens",
        type=_at_least(1),
        help="the most tokens of an answer, reasoning included (100 a description)",
    )
    parser.add_argument(
        "--batch_size", type=_at_least(1), default=8, help="local: questions at once"
    )
    parser.add_argument(
        "--concurrency",
        type=_at_least(1),
        default=8,
        help="openai: the most requests at a time (8)",
    )
    parser.add_argument(
        "--timeout",
        type=_above_zero,
        default=300,
        help="openai: seconds of silence after which a request is given up (300)",
    )
    parser.add_argument(
        "--retries",
        type=_at_least(0),
        default=6,
        help="openai: how often a failed request is repeated (6)",
    )
    parser.add_argument(
        "--backoff",
        type=_above_zero,
        default=1,
        help="openai: seconds before the first repetition, doubled for each further one (1)",
    )
    parser.add_argument(
        "--request_fields",
        type=_json_object,
        default={},
        help="openai: JSON object of fields to add to every request; null leaves one out",
    )
    parser.add_argument(
        "--price_per_million",
        type=_prices,
        metavar="PROMPTS,OUTPUT",
        help="what a million tokens cost, for the estimate: 0.15,0.6",
    )
    parser.add_argument("--dry_run", action="store_true", help="only print what it would take")
    parser.add_argument("--restart", action="store_true", help="drop answers of an earlier start")
    parser.add_argument("--overwrite", action="store_true", help="replace the output")
    return parser.parse_args(arguments)


def _at_least(minimum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < minimum:
            raise argparse.ArgumentTypeError(
                f"must be a whole number of at least {minimum}, not {text}"
            )
        return int(text)

    return parse


def _above_zero(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text}")
    return number


def _json_object(text: str) -> dict[str, object]:
    try:
        fields = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error}): {text}") from error
    if not isinstance(fields, dict):
        raise argparse.ArgumentTypeError(f"not a JSON object: {text}")
    return fields


def _prices(text: str) -> tuple[float, float]:
    try:
        prompts, output = map(float, text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"must be two numbers, such as 0.15,0.6, not {text}"
        ) from error
    return prompts, output


def _writer(flags: argparse.Namespace, max_tokens: int) -> Writer:
    if flags.backend == "local":
        return LocalWriter(
            flags.model,
            temperature=flags.temperature,
            top_p=flags.top_p,
            max_tokens=max_tokens,
            batch_size=flags.batch_size,
        )
    return EndpointWriter(
        flags.model,
        temperature=flags.temperature,
        top_p=flags.top_p,
        max_tokens=max_tokens,
        request_fields=flags.request_fields,
        concurrency=flags.concurrency,
        timeout=flags.timeout,
        retries=flags.retries,
        backoff=flags.backoff,
    )


def write(flags: argparse.Namespace) -> None:
    """Does what the command line asks for.

    Raises:
        FileNotFoundError, ValueError: a file, the model or the endpoint cannot be used; or some
            class is incomplete at the end, which the message lists.
    """
    check_output(flags.output, overwrite=flags.overwrite or flags.dry_run)
    names = read_names(flags.labels)
    prompt = read_prompt(flags.prompt, flags.kind)
    rounds = math.ceil(flags.num_descriptions / flags.per_request) + flags.extra_rounds
    plan = Plan(prompt, flags.per_request, rounds, flags.seed)
    max_tokens = flags.max_tokens or 100 * flags.per_request
    # All that an answer depends on. Not how many texts are wanted and which are accepted: of the
    # answers that are there, what is said now is taken, and more is asked for.
    settings: Settings = {
        "kind": flags.kind,
        "labels": hashlib.sha256("\n".join(names).encode()).hexdigest()[:16],
        "backend": flags.backend,
        "model": flags.model,
        "prompt": prompt.digest(),
        "per_request": flags.per_request,
        "seed": flags.seed,
        "temperature": flags.temperature,
        "top_p": flags.top_p,
        "max_tokens": max_tokens,
        "request_fields": json.dumps(flags.request_fields, sort_keys=True),
    }
    path = journal_path(flags.output)
    # Before the model is looked at: its settings may be those of another start.
    answers = {} if flags.restart else read_answers(path, settings)
    writer = _writer(flags, max_tokens)
    review = Review(names, flags.num_descriptions, language=flags.language)
    round = plan.replay(review, answers)
    left = estimate(plan, review, answers, writer.count_tokens, round)
    print(summary(flags, review, left), flush=True)
    if flags.dry_run:
        return
    review = Review(names, flags.num_descriptions, language=flags.language)
    with Journal(path, settings, restart=flags.restart) as journal:
        ask_all(plan, review, writer, journal)
    if review.incomplete():
        raise UserError(
            f"{len(review.incomplete())} of {len(names)} classes are incomplete, so "
            f"{flags.output} was not written. The answers are in {path}: the same command with a "
            "larger --extra_rounds asks again; another prompt or model needs --restart.\n"
            + "\n".join(review.shortcomings())
        )
    write_descriptions(flags.output, flags.kind, review.accepted)
    print(f"written        {flags.output}")


def ask_all(plan: Plan, review: Review, writer: Writer, journal: Journal) -> None:
    """Asks round after round, until every class is complete or the rounds are used up.

    Args:
        plan: of the rounds.
        review: empty; afterwards, of all answers.
        writer: the model.
        journal: gets every answer.
    """
    round = plan.replay(review, journal.answers)
    while questions := plan.questions(round, review):
        known = {
            question.name for question in questions if (round, question.name) in journal.answers
        }
        with _progress(round, len(questions), len(known)) as advance:

            def record(
                question: Question, answer: Answer, advance: Callable[[], None] = advance
            ) -> None:
                journal.append(question, answer)
                advance()

            writer.ask(questions, known, record)
        round = plan.replay(review, journal.answers, round)
        accepted = sum(map(len, review.accepted.values()))
        print(f"round {round}: {accepted} descriptions accepted so far", file=sys.stderr)


def summary(flags: argparse.Namespace, review: Review, left: Estimate) -> str:
    """What is there and what is left to do, for people."""
    accepted, wanted = review.accepted, flags.num_descriptions
    counted = (
        "counted with the model's tokenizer"
        if flags.backend == "local"
        else "estimated, at 4 characters each"
    )
    lines = [
        f"classes        {len(accepted)}, {wanted} descriptions each",
        f"accepted       {sum(map(len, accepted.values()))} of {wanted * len(accepted)} so far",
        f"requests       {left.requests} if nothing is rejected",
        f"prompt tokens  {left.prompt_tokens:,} {counted}",
        f"output tokens  {left.output_tokens:,} at a guess, {TOKENS_PER_DESCRIPTION} a description",
    ]
    if flags.price_per_million:
        lines.append(f"price          {left.price(*flags.price_per_million):.4g} for these tokens")
    return "\n".join(lines)


@contextlib.contextmanager
def _progress(round: int, total: int, known: int) -> Iterator[Callable[[], None]]:
    console = Console(stderr=True)
    with Progress(
        TextColumn(f"round {round + 1}: classes answered"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("", total=total, completed=known)
        yield lambda: progress.advance(task)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    flags = _parse_arguments(arguments)
    try:
        write(flags)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(
            f"error: {error}; install what a local model needs: pip install -e '.[torch]'",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
