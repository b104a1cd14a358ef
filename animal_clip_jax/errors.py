"""Mistakes of a user, which a person is told in one line, and being asked to stop."""

import os


class UserError(ValueError):
    """Something that the user can put right: a path, a field, a file, a flag.

    The message is for that person: what is wrong, where (path, line, field), what was found and
    expected, and what to do. Commands show it as one line; every other exception is a defect of
    this program and keeps its traceback.
    """


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


class DivergenceError(UserError, FloatingPointError):
    """Losses or gradients are not finite."""


class Interrupted(Exception):
    """The program was asked to stop, by SIGTERM or Ctrl-C, and has saved what it had done."""
