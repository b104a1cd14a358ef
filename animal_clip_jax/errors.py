"""Mistakes of a user, which a person is told in one line, and being asked to stop."""

import os
import reprlib

# Of a message, and of what it quotes, in characters: what is quoted may come from a file of others.
LONGEST_MESSAGE = 10_000
LONGEST_QUOTE = 200

_quoting = reprlib.Repr()
_quoting.maxlevel = 4
_quoting.maxstring = _quoting.maxother = _quoting.maxlong = LONGEST_QUOTE


def quoted(value: object) -> str:
    """A value as it stands in a message: its `repr`, at most about 200 characters of it.

    Args:
        value: of any size and depth; of more than is shown, the beginning and the end are.
    """
    try:
        text = _quoting.repr(value)
    except ValueError:  # Python writes no integers of more than 4300 digits
        text = f"a {type(value).__name__} that is too long to show"
    return text if len(text) <= LONGEST_QUOTE else f"{text[: LONGEST_QUOTE - 3]}..."


def shortened(text: object) -> str:
    """A text of others as it stands in a message: on one line, at most 200 characters of it."""
    line = " ".join(str(text).split())
    return line if len(line) <= LONGEST_QUOTE else f"{line[: LONGEST_QUOTE - 3]}..."


def brief(error: Exception) -> str:
    """One line of an error of a library; tensorstore appends pages of its settings."""
    if "No space left on device" in str(error):
        return "No space left on device"
    return f"{type(error).__name__}: {shortened(error)}"


def _shown(message: str) -> str:
    """A message that a terminal can show: of bounded length, without control characters."""
    if len(message) > LONGEST_MESSAGE:
        half = LONGEST_MESSAGE // 2 - 50
        left_out = len(message) - 2 * half
        message = f"{message[:half]} [{left_out} characters left out] {message[-half:]}"
    return "".join(
        character
        if character.isprintable() or character in "\n\t"
        else character.encode("unicode_escape").decode()
        for character in message
    )


class UserError(ValueError):
    """Something that the user can put right: a path, a field, a file, a flag.

    The message is for that person: what is wrong, where (path, line, field), what was found and
    expected, and what to do. Commands show it as one line; every other exception is a defect of
    this program and keeps its traceback. Control characters in a message are escaped, and the
    middle of a very long one is left out.
    """

    def __init__(self, message: str):
        super().__init__(_shown(message))


class MissingFileError(UserError, FileNotFoundError):
    """A file or folder that the user named is not there.

    Args:
        message: as for `UserError`.
        path: that is not there, if another of a name like it may have been meant.
    """

    def __init__(self, message: str, path: str | os.PathLike[str] | None = None):
        super().__init__(message)
        self.path = path

    # FileNotFoundError's own constructor would take several arguments for an error number.
    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class AlreadyThereError(UserError, FileExistsError):
    """What the user wants to write is there already."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class DamagedError(UserError):
    """What was saved reads as something else, or not at all."""


class DivergenceError(UserError, FloatingPointError):
    """Losses or gradients are not finite."""


class Interrupted(Exception):
    """The program was asked to stop, by SIGTERM or Ctrl-C, and has saved what it had done."""
