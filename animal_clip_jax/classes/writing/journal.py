"""Every answer on disk the moment it is there, so that nothing that was paid for is lost.

A journal is a file of JSON lines beside the output: the settings, then one line an answer,

    {"settings": {"model": "…", "prompt": "…", …}}
    {"class": "Walking", "round": 0, "text": "1. The animal …", "is_cut": false}

It holds answers as they came: what of them is accepted follows from them.
"""

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from animal_clip_jax.classes.writing.questions import Answer, Question
from animal_clip_jax.errors import UserError
from animal_clip_jax.files import cannot_write, check_is_file

Settings = Mapping[str, str | int | float]
Answers = dict[tuple[int, str], Answer]


def journal_path(output: pathlib.Path) -> pathlib.Path:
    """The journal of an output file."""
    return output.with_name(output.name + ".journal.jsonl")


def read_answers(path: pathlib.Path, settings: Settings) -> Answers:
    """The answers in a journal, by round and class; none where there is no journal.

    A last line that breaks off, as a killed process leaves it, is passed over.

    Raises:
        UserError: a line is something else than an answer, or the answers were got with other
            settings. The message names the line or the settings.
    """
    lines = _content(path).split(b"\n")[:-1] if path.exists() else []
    answers: Answers = {}
    found: dict[str, Any] = dict(settings)
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            if number == 1:
                found = dict(entry["settings"])
            else:
                place, answer = _answer(entry)
                answers[place] = answer
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(
                f"{path}, line {number}: not {'a journal' if number == 1 else 'an answer'}; "
                "repair or remove the line, or start again with --restart"
            ) from error
    differences = [
        f"{name} was {found.get(name)!r} and is {settings.get(name)!r}"
        for name in sorted({*found, *settings})
        if found.get(name) != settings.get(name)
    ]
    if differences:
        raise UserError(
            f"{path} holds answers to other questions: {'; '.join(differences)}. Give what it was "
            "started with, another --output, or --restart to drop these answers"
        )
    return answers


def _answer(entry: Any) -> tuple[tuple[int, str], Answer]:
    """An answer of a journal, and its round and class; raises KeyError or TypeError."""
    types = {"round": int, "class": str, "text": str, "is_cut": bool}
    for name, kind in types.items():
        if type(entry[name]) is not kind:
            raise TypeError(f"{name} is no {kind.__name__}")
    return (entry["round"], entry["class"]), Answer(entry["text"], entry["is_cut"])


def _content(path: pathlib.Path) -> bytes:
    return check_is_file(path, "a journal of answers").read_bytes()


@contextlib.contextmanager
def open_journal(
    path: pathlib.Path, settings: Settings, *, restart: bool = False
) -> Iterator["Journal"]:
    """Opens the journal for `settings`, or begins one; with `restart`, without its answers.

    Nobody else may write it meanwhile.

    Raises:
        UserError: see `read_answers`; or it cannot be written.
    """
    if path.exists():
        check_is_file(path, "a journal of answers")
    # Without a buffer, of which a disk that was full would get the rest later.
    with path.open("ab", buffering=0) as file:
        if restart:
            file.truncate(0)
        journal = Journal(read_answers(path, settings), path, file)
        end_of_whole_lines = _content(path).rfind(b"\n") + 1
        file.truncate(end_of_whole_lines)
        if not end_of_whole_lines:
            journal._write({"settings": dict(settings)})
        yield journal


@dataclasses.dataclass(frozen=True)
class Journal:
    """A journal that is being written; `open_journal` makes it.

    Attributes:
        answers: all answers, those found at the start and those appended.
    """

    answers: Answers
    _path: pathlib.Path
    _file: io.RawIOBase
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def append(self, question: Question, answer: Answer) -> None:
        """Adds an answer. It is on disk when this returns. May be called from any thread."""
        about = {"class": question.name, "round": question.round}
        with self._lock:
            self._write(about | dataclasses.asdict(answer))
            self.answers[question.round, question.name] = answer

    def _write(self, entry: Mapping[str, object]) -> None:
        line = json.dumps(entry).encode() + b"\n"
        try:
            while line:
                line = line[self._file.write(line) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise cannot_write(self._path, error) from error
