"""What is asked of a language model: prompt files, questions and answers."""

import dataclasses
import hashlib
import importlib.resources
import os
import pathlib
from collections.abc import Callable, Collection, Sequence
from typing import Literal, Protocol

from animal_clip_jax.errors import MissingFileError, UserError

Kind = Literal["action", "animal"]
# A line of its own in a prompt file, between what is always asked and what is added when a class
# has some texts already.
_SEPARATOR = "---"


@dataclasses.dataclass(frozen=True)
class Prompt:
    """A prompt file.

    Attributes:
        request: asks for `{count}` descriptions of `{name}`.
        again: added to it for a class that has texts already, which stand for `{written}`; may be
            empty.
    """

    request: str
    again: str

    def text(self, name: str, count: int, written: Sequence[str]) -> str:
        """The prompt for `count` more descriptions of a class that has those `written`."""
        text = self.request
        if written and self.again:
            text += "\n\n" + self.again
        values = {
            "{count}": str(count),
            "{name}": name,
            "{written}": "\n".join(f"- {description}" for description in written),
        }
        # Not str.format: other braces in a prompt are its author's. What is written comes last, so
        # that nothing in it is taken for a place to fill in.
        for place, value in values.items():
            text = text.replace(place, value)
        return text

    def digest(self) -> str:
        """Hexadecimal digest by which a journal knows its prompt."""
        return hashlib.sha256("\0".join((self.request, self.again)).encode()).hexdigest()[:16]


def read_prompt(path: str | os.PathLike[str] | None, kind: Kind) -> Prompt:
    """Reads a prompt file, or the one shipped for `kind` where `path` is None.

    Raises:
        MissingFileError: there is no such file.
        UserError: it is not UTF-8, or lacks a place that must be filled in.
    """
    if path is None:
        shipped = importlib.resources.files("animal_clip_jax.classes.writing")
        content = (shipped / "data" / f"write_{kind}.txt").read_bytes()
    else:
        path = pathlib.Path(path)
        if not path.is_file():
            raise MissingFileError(f"there is no prompt file at {path}", path)
        content = path.read_bytes()
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text; save the prompt as UTF-8") from error
    is_separator = [line.strip() == _SEPARATOR for line in lines]
    end = is_separator.index(True) if any(is_separator) else len(lines)
    prompt = Prompt("\n".join(lines[:end]).strip(), "\n".join(lines[end + 1 :]).strip())
    for place in ("{name}", "{count}"):
        if place not in prompt.request:
            before = f" before its line {_SEPARATOR}" if any(is_separator) else ""
            raise UserError(f"{path}: the prompt has no {place}{before}")
    if prompt.again and "{written}" not in prompt.again:
        raise UserError(f"{path}: the part after the line {_SEPARATOR} has no {{written}}")
    return prompt


@dataclasses.dataclass(frozen=True)
class Question:
    """One request to the model.

    Attributes:
        name: the class.
        round: 0 for the first request about it, then 1, and so on.
        prompt: the text.
        seed: of the sampling; another one for every class and round.
    """

    name: str
    round: int
    prompt: str
    seed: int


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the model said.

    Attributes:
        text: as it came.
        is_cut: whether it ends where the model ran into its limit of tokens.
    """

    text: str
    is_cut: bool


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a model draws its tokens.

    Attributes:
        temperature: > 0; what the scores are divided by.
        top_p: the most probable tokens that together have this probability are drawn from.
        max_tokens: the most tokens of an answer.
    """

    temperature: float
    top_p: float
    max_tokens: int


Record = Callable[[Question, Answer], None]


class Writer(Protocol):
    """A language model that answers questions."""

    def count_tokens(self, prompt: str) -> int:
        """Tokens of a prompt, as the model counts them or estimated."""

    def ask(self, questions: Sequence[Question], known: Collection[str], record: Record) -> None:
        """Answers a round's questions, except those about the classes in `known`.

        Args:
            questions: all of the round, those answered before too: the composition of batches
                then does not depend on where a run was interrupted.
            known: the classes whose answers are there.
            record: is given every answer as soon as it is there, maybe from another thread.
        """


def seed_of(seed: int, name: str, round: int) -> int:
    """The seed of a question: below 2**31, which every endpoint takes."""
    digest = hashlib.sha256(f"{seed}/{round}/{name}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF
