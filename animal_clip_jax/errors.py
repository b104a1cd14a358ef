"""Mistakes of a user, which a person is told in one line."""


class UserError(ValueError):
    """Something that the user can put right: a path, a field, a file, a flag.

    The message is for that person: what is wrong, where (path, line, field), what was found and
    expected, and what to do. Commands show it as one line; every other exception is a defect of
    this program and keeps its traceback.
    """


class MissingFileError(UserError, FileNotFoundError):
    """A file or folder that the user named is not there."""

    # FileNotFoundError's own constructor would take several arguments for an error number.
    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class AlreadyThereError(UserError, FileExistsError):
    """What the user wants to write is there already."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class DivergenceError(UserError, FloatingPointError):
    """Losses or gradients are not finite."""
