"""Every answer on disk the moment it is there, so that nothing that was paid for is lost.

A journal is a file of JSON lines beside the output: the settings, then one line an answer,

    {"settings": {"model": "…", "prompt": "…", …}}
    {"class": "Walking", "round": 0, "text": "1. The animal …", "is_cut": false}

It holds answers as they came: what of them is accepted follows from them.
"""

import fcntl
import json
import os
import pathlib
import threading
from collections.abc import Mapping

from animal_clip_jax.classes.writing.questions import Answer, Question
from animal_clip_jax.errors import UserError

Settings = Mapping[str, str | int | float]
Answers = dict[tuple[int, str], Answer]


def journal_path(output: pathlib.Path) -> pathlib.Path:
    """The journal of an output file."""
    return output.with_name(output.name + ".journal.jsonl")


def read_answers(path: pathlib.Path, settings: Settings) -> Answers:
    """The answers in a journal, by round and class; none where there is no journal.

    A last line that breaks off, as a killed process leaves it, is passed over.

    Raises:
        ValueError: a line is something else than an answer, or the answers were got with other
            settings. The message names the line or the settings.
    """
    if not path.exists():
        return {}
    lines = _whole_lines(path.read_bytes())
    if not lines:
        return {}
    answers: Answers = {}
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            if number == 1:
                _check_settings(path, entry["settings"], settings)
            else:
                answer = Answer(str(entry["text"]), bool(entry["is_cut"]))
                answers[int(entry["round"]), str(entry["class"])] = answer
        except (
            json.JSONDecodeError,
            UnicodeDecodeError,
            KeyError,
            TypeError,
            AttributeError,
        ) as error:
            raise UserError(
                f"{path}, line {number}: not {'a journal' if number == 1 else 'an answer'}; "
                "repair or remove the line, or start again with --restart"
            ) from error
    return answers


def _whole_lines(content: bytes) -> list[bytes]:
    """The lines, without a last one that breaks off."""
    *lines, last = content.split(b"\n")
    if last:
        try:
            json.loads(last)
        except ValueError:
            return lines
        lines.append(last)  # only its line end is missing
    return lines


def _check_settings(path: pathlib.Path, found: Settings, expected: Settings) -> None:
    differences = [
        f"{name} was {found.get(name)!r} and is {expected.get(name)!r}"
        for name in sorted({*found, *expected})
        if found.get(name) != expected.get(name)
    ]
    if differences:
        raise UserError(
            f"{path} holds answers to other questions: {'; '.join(differences)}. Give what it was "
            "started with, another --output, or --restart to drop these answers"
        )


class Journal:
    """A journal that is being written; a context manager.

    Attributes:
        answers: all answers, those found at the start and those appended.
    """

    def __init__(self, path: pathlib.Path, settings: Settings, *, restart: bool = False):
        """Opens the journal for `settings`, or begins one.

        Raises:
            ValueError: see `read_answers`; or another process is writing it.
        """
        self._lock = threading.Lock()
        self._file = path.open("ab")
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(f"{path} is in use: another command is writing it") from error
            if restart:
                self._file.truncate(0)
            self.answers = read_answers(path, settings)
            self._repair(path)
            if not path.stat().st_size:
                self._append({"settings": dict(settings)})
        except BaseException:
            self._file.close()
            raise

    def _repair(self, path: pathlib.Path) -> None:
        content = path.read_bytes()
        whole = b"".join(line + b"\n" for line in _whole_lines(content))
        if len(whole) < len(content):
            self._file.truncate(len(whole))
        self._file.write(whole[len(content) :])

    def append(self, question: Question, answer: Answer) -> None:
        """Adds an answer. It is on disk when this returns. May be called from any thread."""
        with self._lock:
            self._append(
                {
                    "class": question.name,
                    "round": question.round,
                    "text": answer.text,
                    "is_cut": answer.is_cut,
                }
            )
            self.answers[question.round, question.name] = answer

    def _append(self, entry: dict[str, object]) -> None:
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
