"""Has a language model describe classes: `animal-clip describe --labels=…`.

Writes a description file for the names in a file of labels. The model is one of this machine
(--backend=local, with transformers), or one behind an endpoint that speaks OpenAI's protocol
(--backend=openai). The prompt is a file, every answer is checked and kept in a journal, and the
output appears when every class has all its descriptions. See docs/descriptions.md.
"""

import argparse
import contextlib
import dataclasses
import hashlib
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from animal_clip_jax import command_line
from animal_clip_jax.classes.labels import read_names
from animal_clip_jax.classes.writing.journal import (
    Journal,
    Settings,
    journal_path,
    open_journal,
    read_answers,
)
from animal_clip_jax.classes.writing.output_file import check_output, write_descriptions
from animal_clip_jax.classes.writing.plan import TOKENS_PER_DESCRIPTION, Estimate, Plan
from animal_clip_jax.classes.writing.questions import (
    Answer,
    Question,
    Sampling,
    Writer,
    read_prompt,
)
from animal_clip_jax.classes.writing.review import Review
from animal_clip_jax.command_line import Parser, numeric
from animal_clip_jax.errors import UserError, shortened
from animal_clip_jax.locks import beside, only_writer


def _json_object(text: str) -> dict[str, object]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error}): {shortened(text)}") from error
    if not isinstance(fields, dict):
        raise argparse.ArgumentTypeError(f"not a JSON object: {shortened(text)}")
    return fields


def _prices(text: str) -> tuple[float, float]:
    try:
        prompts, output = map(float, text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"must be two numbers, such as 0.15,0.6, not {shortened(text)}"
        ) from error
    if not all(0 <= price < math.inf for price in (prompts, output)):
        raise argparse.ArgumentTypeError(f"must be two prices, such as 0.15,0.6, not {text}")
    return prompts, output


def _writer(flags: argparse.Namespace, sampling: Sampling) -> Writer:
    # Imported here, since each needs packages that the other does not.
    if flags.backend == "local":
        from animal_clip_jax.classes.writing.local import LocalWriter

        return LocalWriter(flags.model, sampling, batch_size=flags.batch_size)
    from animal_clip_jax.classes.writing.endpoint import EndpointWriter

    return EndpointWriter(
        flags.model,
        sampling,
        request_fields=flags.request_fields,
        concurrency=flags.concurrency,
        timeout=flags.timeout,
        retries=flags.retries,
    )


def write(flags: argparse.Namespace) -> None:
    """Does what the command line asks for.

    Raises:
        UserError: a file, the model or the endpoint cannot be used; or some class is incomplete at
            the end, which is listed before. Or another process writes the same file.
    """
    check_output(flags.output, overwrite=flags.overwrite or flags.dry_run)
    with (
        contextlib.nullcontext()
        if flags.dry_run
        else only_writer(flags.output, beside(flags.output))
    ):
        _write(flags)


def _write(flags: argparse.Namespace) -> None:
    names = read_names(flags.labels)
    prompt = read_prompt(flags.prompt, flags.kind)
    rounds = math.ceil(flags.num_descriptions / flags.per_request) + flags.extra_rounds
    plan = Plan(prompt, flags.per_request, rounds, flags.seed)
    sampling = Sampling(flags.temperature, flags.top_p, flags.max_tokens or 100 * flags.per_request)
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
        **dataclasses.asdict(sampling),
        "request_fields": json.dumps(flags.request_fields, sort_keys=True),
    }
    path = journal_path(flags.output)
    # Before the model is looked at: its settings may be those of another start.
    answers = {} if flags.restart else read_answers(path, settings)
    writer = _writer(flags, sampling)
    review = Review(names, flags.num_descriptions, language=flags.language)
    for question in plan.questions(plan.replay(review, answers), review):
        # Of a round that was interrupted.
        if answer := answers.get((question.round, question.name)):
            review.add(question.name, answer)
    print(summary(flags, review, plan.estimate(review, writer.count_tokens)), flush=True)
    if flags.dry_run:
        return
    review = Review(names, flags.num_descriptions, language=flags.language)
    with open_journal(path, settings, restart=flags.restart) as journal:
        ask_all(plan, review, writer, journal)
    if review.incomplete():
        print("\n".join(review.shortcomings()), file=sys.stderr)
        raise UserError(
            f"{len(review.incomplete())} of {len(names)} classes are incomplete, so "
            f"{flags.output} was not written. The answers are in {path}: the same command with a "
            "larger --extra_rounds asks again; another prompt or model needs --restart"
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
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        round = plan.replay(review, journal.answers)
        while questions := plan.questions(round, review):
            known = {
                question.name for question in questions if (round, question.name) in journal.answers
            }
            task = progress.add_task(
                f"round {round + 1}: classes answered", total=len(questions), completed=len(known)
            )

            def record(question: Question, answer: Answer, task: TaskID = task) -> None:
                journal.append(question, answer)
                progress.advance(task)

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


_MOST = 2**31 - 1  # of a whole number


def main(arguments: Sequence[str] | None = None) -> int:
    """`animal-clip describe`; returns the exit code."""
    parser = Parser(
        "describe",
        usage="--labels=FILE --kind=KIND --model=MODEL --output=FILE [options]",
        summary="Has a language model describe the classes of a file of labels.",
        examples=(
            "animal-clip describe --labels=data/actions.txt --kind=action \\",
            "  --model=models/some-instruct-model --output=actions.csv",
        ),
    )
    add = parser.add_argument
    natural, positive = numeric(int, most=_MOST), numeric(int, least=1, most=_MOST)
    above_zero = numeric(float, above=0)
    kinds, backends, languages = ("action", "animal"), ("local", "openai"), ("en", "any")
    add("--labels", metavar="FILE", type=Path, required=True, help="a name a line, or CSV: id,name")
    add("--kind", choices=kinds, required=True, help="what the names are names of")
    add("--model", required=True, help="folder, Hugging Face name, endpoint's name")
    add("--output", metavar="FILE", type=Path, required=True, help="description file to write")
    add("--backend", choices=backends, default="local", help="this machine, or $OPENAI_BASE_URL")
    add("--prompt", metavar="FILE", type=Path, help="prompt file; by default that of the kind")
    add("--num_descriptions", metavar="N", type=positive, default=10, help="for a class (10)")
    add("--per_request", metavar="N", type=positive, default=10, help="most asked for at once (10)")
    add("--extra_rounds", metavar="N", type=natural, default=5, help="for what is missing (5)")
    add("--language", choices=languages, default="en", help="accept English alone, or any (en)")
    add(
        "--seed",
        metavar="N",
        type=numeric(int, least=-_MOST, most=_MOST),
        default=0,
        help="of the sampling (0)",
    )
    add("--temperature", metavar="T", type=above_zero, default=0.8, help="of the sampling (0.8)")
    add(
        "--top_p",
        metavar="P",
        type=numeric(float, above=0, most=1),
        default=0.95,
        help="nucleus sampling (0.95)",
    )
    add("--max_tokens", metavar="N", type=positive, help="of an answer (100 a description)")
    add("--batch_size", metavar="N", type=positive, default=8, help="local: questions at once (8)")
    add("--concurrency", metavar="N", type=positive, default=8, help="openai: requests at once (8)")
    add("--timeout", metavar="S", type=above_zero, default=300, help="openai: seconds (300)")
    add("--retries", metavar="N", type=natural, default=10, help="openai: of a request (10)")
    add(
        "--request_fields",
        metavar="JSON",
        type=_json_object,
        default={},
        help="openai: added to each request; null leaves out",
    )
    add(
        "--price_per_million",
        metavar="IN,OUT",
        type=_prices,
        help="of prompts and output, for the estimate: 0.15,0.6",
    )
    add("--dry_run", action="store_true", help="only print what it would take")
    add("--restart", action="store_true", help="drop answers of an earlier start")
    add("--overwrite", action="store_true", help="replace the output")
    return command_line.run(
        lambda: write(parser.parse(arguments)), if_interrupted="the same command goes on from here"
    )


if __name__ == "__main__":
    sys.exit(main())
