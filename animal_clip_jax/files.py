"""Paths that may be folders of a cloud (gs://..., s3://...), and writing files whole."""

import os
import pathlib
import re
from collections.abc import Callable
from contextlib import suppress

from etils import epath

from animal_clip_jax.errors import MissingFileError, UserError

Path = str | os.PathLike

# What pathlib makes of a URL: it drops a slash, and the rest is a local folder's name.
_COLLAPSED_URL = re.compile(r"(gs|s3|az|hf):/(?!/)")


def as_path(path: Path) -> epath.Path:
    """A path as one that works alike in local folders and in a cloud's.

    Args:
        path: a local path, or a URL such as gs://bucket/folder.

    Raises:
        UserError: a URL of a kind that is not known, or one that was a `pathlib.Path` before.
    """
    text = os.fspath(path)
    if _COLLAPSED_URL.match(text):
        raise UserError(
            f"{text} is a URL that lost a slash in a pathlib.Path; give it as a string, "
            f"{text.replace(':/', '://', 1)}"
        )
    try:
        return epath.Path(path)
    except KeyError as error:
        raise UserError(
            f"{text}: URLs of {text.split('://')[0]}:// are not known; "
            "give a local path, or a URL that begins with gs://, s3://, az:// or hf://"
        ) from error


def absolute(path: Path) -> epath.Path:
    """A path that means the same in every folder; a URL does already. Errors as `as_path`."""
    return as_path(path) if is_remote(path) else as_path(os.path.abspath(path))


def is_remote(path: Path) -> bool:
    """Whether the path lies in a cloud: it is a URL. Errors as `as_path`."""
    return "://" in os.fspath(as_path(path))


def as_local_path(path: Path, what: str) -> pathlib.Path:
    """A path that has to be on this machine.

    Args:
        path: as for `as_path`.
        what: it is, such as "the folder of videos"; for the message.

    Raises:
        UserError: it is a URL.
    """
    if is_remote(path):
        raise UserError(f"{what} has to be on this machine, not {os.fspath(path)}")
    return pathlib.Path(path)


def check_is_file(path: Path, expected: str) -> epath.Path:
    """The path of a file that is there.

    Args:
        path: as for `as_path`.
        expected: what the file should be, such as "a video"; for the message.

    Raises:
        MissingFileError: there is nothing.
        UserError: it is a folder.
    """
    found = as_path(path)
    if found.is_dir():
        raise UserError(f"{found} is a folder; expected {expected}")
    if not found.exists():
        raise MissingFileError(f"{found}: there is no such file; expected {expected}", found)
    return found


def write_whole(
    path: Path, content: str | bytes, *, check: Callable[[Path], None] | None = None
) -> None:
    """Writes a file whole or not at all: under another name beside it, which is then changed.

    The other name holds the number of this process, so that two of them do not write into the same
    file, and ends in ".incomplete"; only a process that is killed leaves such a file behind.

    Args:
        path: of the file, in a folder that is there.
        content: text is written as UTF-8, line ends as they are.
        check: is given the finished file under its other name; where it raises, the former file
            stays.

    Raises:
        UserError: it cannot be written, since the disk is full, for instance; names the path.
    """
    target = as_path(path)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.incomplete")
    data = content.encode() if isinstance(content, str) else content
    try:
        with temporary.open("wb") as file:
            file.write(data)
            if not is_remote(target):
                # Or a crash of the machine could leave the final name with nothing in it.
                file.flush()
                os.fsync(file.fileno())
        if check is not None:
            check(temporary)
        temporary.replace(target)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise cannot_write(path, error) from error
        raise


def append(path: Path, text: str) -> None:
    """Adds text at the end of a file, which need not be there yet.

    Raises:
        UserError: it cannot be written; names the path.
    """
    target = as_path(path)
    try:
        if is_remote(target):
            # A cloud's files are written whole.
            before = target.read_text() if target.exists() else ""
            target.write_text(before + text)
            return
        with target.open("a") as file:
            file.write(text)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> UserError:
    """What to tell a person of a file or folder that cannot be written."""
    return UserError(f"{os.fspath(path)} cannot be written: {error.strerror or error}")


def cannot_read(path: Path, error: OSError) -> UserError:
    """What to tell a person of a file or folder that cannot be read."""
    return UserError(f"{os.fspath(path)} cannot be read: {error.strerror or error}")
