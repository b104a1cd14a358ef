"""Paths that may be folders of a cloud (gs://..., s3://...), and writing files whole."""

import json
import os
import pathlib
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

from etils import epath

from animal_clip_jax.errors import MissingFileError, UserError
from animal_clip_jax.file_lock import is_same_file, lock_file

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


def is_file(path: Path) -> bool:
    """Whether there is a regular file; `epath` says so of pipes and devices, too, which may never
    end. Errors as `as_path`."""
    found = as_path(path)
    return found.is_file() if is_remote(path) else os.path.isfile(found)


def check_is_file(path: Path, expected: str) -> epath.Path:
    """The path of a file that is there; not of a pipe, a device or a socket, which may never end.

    Args:
        path: as for `as_path`.
        expected: what the file should be, such as "a video"; for the message.

    Raises:
        MissingFileError: there is nothing.
        UserError: it is a folder, or no regular file.
    """
    found = as_path(path)
    if found.is_dir():
        raise UserError(f"{found} is a folder; expected {expected}")
    if not found.exists():
        raise MissingFileError(f"{found}: there is no such file; expected {expected}", found)
    check_is_no_pipe(found, expected)
    return found


def check_is_no_pipe(path: Path, expected: str) -> None:
    """Makes sure that there is no pipe, device or socket: it may never end, and must not be
    replaced. A file, a folder and nothing at all are fine.

    Args:
        path: as for `as_path`.
        expected: what should be there; for the message.

    Raises:
        UserError: there is one; names the path.
    """
    if is_remote(path) or not os.path.exists(path):
        return
    if not os.path.isfile(path) and not os.path.isdir(path):
        raise UserError(f"{os.fspath(path)} is a pipe, a device or a socket; expected {expected}")


def check_no_pipes(folder: Path) -> None:
    """Makes sure that there are only files and folders in a folder and below, before a library
    opens them: a pipe, a device or a socket may never end. A folder that is not there is fine.

    Raises:
        UserError: there is something else; names it.
    """
    if is_remote(folder):
        return
    for place, _, names in os.walk(os.fspath(folder)):
        for name in names:
            check_is_no_pipe(os.path.join(place, name), "a file")


def read_at_most(path: Path, largest: int, expected: str) -> bytes:
    """The content of a file that has to be in memory as a whole.

    Args:
        path: as for `as_path`.
        largest: bytes that are read at most.
        expected: what the file should be; for the message.

    Raises:
        MissingFileError: there is nothing.
        UserError: it is no regular file, cannot be read, or is larger; names the path.
    """
    found = check_is_file(path, expected)
    try:
        with found.open("rb") as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise cannot_read(path, error) from error
    if len(content) > largest:
        raise UserError(
            f"{found} is larger than {largest:,} bytes, which is more than {expected} may have"
        )
    return content


def write_whole(
    path: Path, content: str | bytes, *, check: Callable[[Path], None] | None = None
) -> None:
    """Writes a file whole or not at all: under another name beside it, which is then changed.

    The other name holds the number of this process, so that two of them do not write into the same
    file, and ends in ".incomplete"; only a process that is killed leaves such a file behind, which
    the next one to write there removes.

    Args:
        path: of the file, in a folder that is there.
        content: text is written as UTF-8, line ends as they are.
        check: is given the finished file under its other name; where it raises, the former file
            stays.

    Raises:
        UserError: it cannot be written, since the disk is full, for instance; names the path.
    """
    target = as_path(path)
    check_is_no_pipe(target, "a file to write")
    if not target.name or (not is_remote(target) and target.is_dir()):
        raise UserError(f"{os.fspath(path)} cannot be written: it is a folder")
    temporary = target.with_name(f"{target.name}.{os.getpid()}.incomplete")
    data = content.encode() if isinstance(content, str) else content
    try:
        if not is_remote(target):
            _remove_abandoned(target)
        with _open_own(temporary) as file:
            file.write(data)
            if is_remote(target):
                # Only what is closed is there.
                file.close()
            else:
                # Or a crash of the machine could leave the final name with nothing in it.
                file.flush()
                os.fsync(file.fileno())
            # Its lock is held until it has its name, or others would take it for abandoned.
            if check is not None:
                check(temporary)
            temporary.replace(target)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise cannot_write(path, error) from error
        raise


def _open_own(temporary: epath.Path) -> IO[bytes]:
    """A file to write into, locked where it can be, as a sign that somebody writes it."""
    while True:
        file = temporary.open("wb")
        if is_remote(temporary):
            return file
        try:
            is_locked = lock_file(file.fileno())
            if is_locked is None or (is_locked and is_same_file(temporary, file.fileno())):
                return file
        except BaseException:
            file.close()
            raise
        # Somebody took it for abandoned in the moment before it was locked.
        file.close()


def _remove_abandoned(target: epath.Path) -> None:
    """Removes what killed processes left of a file: nobody holds the lock of it."""
    name = re.compile(re.escape(target.name) + r"\.\d+\.incomplete")
    for entry in os.scandir(target.parent):
        if not name.fullmatch(entry.name) or not entry.is_file(follow_symlinks=False):
            continue
        # Another process may remove it at the same time, or may not let us.
        with suppress(OSError), open(entry.path, "rb+") as file:
            if lock_file(file.fileno()):
                os.unlink(entry.path)


def read_json_object(path: Path) -> dict[str, Any]:
    """The dictionary in a file of JSON.

    Raises:
        UserError: it cannot be read, or holds something else; names the path.
    """
    found = as_path(path)
    if not is_file(found):
        raise UserError(f"{path} is no file; expected one of JSON")
    try:
        content = json.loads(found.read_text())
    except OSError as error:
        raise cannot_read(path, error) from error
    except RecursionError as error:
        raise UserError(f"{path} is damaged: it is nested too deeply") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged: expected an object, found {type(content).__name__}")
    return content


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


def check_space(folder: Path, needed: int, what: str) -> None:
    """Makes sure that there is room on a disk; in a cloud there is.

    Args:
        folder: where it is to be written, or will be.
        needed: in bytes.
        what: it is, for the message.

    Raises:
        UserError: there is not.
    """
    if is_remote(folder):
        return
    existing = pathlib.Path(os.path.abspath(folder))
    while not existing.is_dir():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise UserError(
            f"{os.fspath(folder)}: {what} needs {needed / 2**20:.1f} MiB, but the disk has "
            f"{free / 2**20:.1f} MiB left"
        )


def cannot_write(path: Path, error: OSError) -> UserError:
    """What to tell a person of a file or folder that cannot be written."""
    return UserError(f"{os.fspath(path)} cannot be written: {error.strerror or error}")


def cannot_read(path: Path, error: OSError) -> UserError:
    """What to tell a person of a file or folder that cannot be read."""
    return UserError(f"{os.fspath(path)} cannot be read: {error.strerror or error}")
