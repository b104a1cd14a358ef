"""One writer a folder: a lock that says whose it is.

On this machine's disks and on network disks that can lock files, it is a lock of the operating
system, which ends with the process that holds it, however that ends.

Elsewhere, in a cloud's folders for instance, it is a lease: a file that its owner renews, and that
another takes over once it has not been renewed for minutes. A lease can not promise as much. Two
processes that begin within the same moment may both believe that they have it, until the next
renewal; the same if their clocks differ by minutes, or if a process is stopped for minutes and then
goes on. Whoever finds that it has lost its lease says so when it has finished.
"""

import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import secrets
import socket
import stat
import threading
import time
from collections.abc import Iterator

from etils import epath

from animal_clip_jax.errors import UserError
from animal_clip_jax.file_lock import can_lock, is_same_file, lock_file
from animal_clip_jax.files import Path, absolute, cannot_write, is_remote

LOCK_FILE = ".writing"
_RENEWED_EVERY = 30.0  # seconds
_EXPIRES_AFTER = 300.0  # seconds


class BeingWrittenError(UserError):
    """Somebody else writes there."""


@dataclasses.dataclass(frozen=True)
class Owner:
    """Who writes into a folder.

    Attributes:
        host: the machine's name.
        process: its number there.
        since: when it began, ISO 8601 in UTC.
        machine: tells apart machines, and containers, of one name; "" where that is not known.
        token: of this lock and no other.
        renewed: when a lease was last renewed, in seconds since 1970; 0 for other locks.
    """

    host: str
    process: int
    since: str
    machine: str = ""
    token: str = ""
    renewed: float = 0.0

    @classmethod
    def this(cls) -> "Owner":
        """This process, from now on."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return cls(socket.gethostname(), os.getpid(), now, _machine(), secrets.token_hex(8))

    @classmethod
    def from_json(cls, text: str) -> "Owner | None":
        """The owner that a lock file names; None if it names none, as one half written."""
        try:
            owner = cls(**json.loads(text))
            datetime.datetime.fromisoformat(owner.since)
            return dataclasses.replace(
                owner, process=int(owner.process), renewed=float(owner.renewed)
            )
        except (ValueError, TypeError):
            return None

    def to_json(self) -> str:
        """The inverse of `from_json`."""
        return json.dumps(dataclasses.asdict(self)) + "\n"

    def __str__(self) -> str:
        since = datetime.datetime.fromisoformat(self.since).astimezone()
        is_today = since.date() == datetime.datetime.now().date()
        clock = since.strftime("%H:%M" if is_today else "%Y-%m-%d %H:%M")
        if self.process == os.getpid() and self.machine == _machine():
            return f"this very process, since {clock}"
        return f"process {self.process} on host {self.host} since {clock}"


@contextlib.contextmanager
def only_writer(folder: Path, at: Path | None = None) -> Iterator[None]:
    """Sees to it that no other process writes into a folder meanwhile.

    Folders that are not there are made, and removed again if nothing was written into them. Child
    processes do not hold the lock. Of several processes that write together, one takes it.

    Args:
        folder: that is written into; local or remote.
        at: the lock file; None for `LOCK_FILE` in it. For an output that appears by being renamed,
            a hidden file beside it: see `beside`.

    Raises:
        BeingWrittenError: somebody else writes there, this process included.
        UserError: the lock cannot be written, or the folder's name is not UTF-8.
    """
    path = absolute(folder) / LOCK_FILE if at is None else absolute(at)
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError as error:
        # Orbax and TensorFlow take no others, and would say so only when they write.
        raise UserError(f"the name of {folder} is not UTF-8; choose another") from error
    with _made(path.parent):
        if is_remote(path):
            with _leased(path, absolute(folder)):
                yield
            return
        try:
            descriptor = _locked(pathlib.Path(path), absolute(folder))
        except OSError as error:
            raise cannot_write(path, error) from error
        if descriptor is None:
            with _leased(path, absolute(folder)):
                yield
            return
        _HELD.add(descriptor)
        try:
            yield
        finally:
            # While it is held, so that nobody removes the next owner's.
            with contextlib.suppress(OSError):
                os.unlink(path)
            _HELD.discard(descriptor)
            os.close(descriptor)


def is_free(folder: pathlib.Path, note: str) -> bool:
    """Whether a local folder is new, empty, or holds what a writer who begins there leaves at once:
    the lock, and a file that says what the folder is, perhaps half-written.

    Args:
        note: the name of that file. A folder that has it is free for whoever may write there again.
    """
    if (folder / note).is_file() or not folder.is_dir():
        return True
    return all(
        other.name == LOCK_FILE
        or (other.name.startswith(note) and other.name.endswith(".incomplete"))
        for other in folder.iterdir()
    )


def beside(path: Path) -> epath.Path:
    """The lock file for an output that appears by being renamed: hidden, beside it."""
    target = absolute(path)
    return target.with_name(f".{target.name}{LOCK_FILE}")


@contextlib.contextmanager
def _made(folder: epath.Path) -> Iterator[None]:
    """Makes a folder; in the end, those that were made and are empty are removed."""
    made = []
    for one in [folder, *folder.parents]:
        if one.exists():
            break
        made.append(one)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        yield
    finally:
        if not is_remote(folder):  # a cloud has no empty folders
            with contextlib.suppress(OSError):
                for one in made:
                    os.rmdir(one)


# The descriptors of the locks that this process holds. A lock lasts until all copies of its
# descriptor are closed, and a forked child has copies.
_HELD: set[int] = set()


def _close_in_child() -> None:
    for descriptor in _HELD:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)


def _locked(path: pathlib.Path, folder: epath.Path) -> int | None:
    """The descriptor of the lock file, locked; None where files cannot be locked."""
    if not can_lock():
        return None
    while True:
        # Not through a link, which would name a file elsewhere, and not waiting for a pipe.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags, 0o644)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UserError(f"{path} is no file, but the lock of a folder has to be: remove it")
            is_free = lock_file(descriptor)
            if is_free is False:
                owner = Owner.from_json(os.read(descriptor, 4096).decode(errors="replace"))
                raise _is_written(folder, owner)
            if is_free and is_same_file(path, descriptor):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, Owner.this().to_json().encode())
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if is_free is None:
            return None
        # Its last owner removed it between the two; there is another by now, or none.


@contextlib.contextmanager
def _leased(path: epath.Path, folder: epath.Path) -> Iterator[None]:
    """A lease, see the module's documentation."""
    owner = Owner.this()

    def content() -> str:
        return dataclasses.replace(owner, renewed=time.time()).to_json()

    try:
        found = _owner_of(path)
        is_there = path.exists()
        if is_there and (found is None or not _is_gone(found)) and _is_recent(path, found):
            raise _is_written(folder, found)
        if is_there or is_remote(path):
            path.write_text(content())
        else:
            # Of two that find no file one makes it, which a cloud does not promise.
            with open(path, "x") as file:
                file.write(content())
        found = _owner_of(path)
    except FileExistsError:
        raise _is_written(folder, _owner_of(path)) from None
    except OSError as error:
        raise cannot_write(path, error) from error
    if found is None or found.token != owner.token:
        raise _is_written(folder, found)
    ended, lost = threading.Event(), threading.Event()

    def keep() -> None:
        while not ended.wait(_RENEWED_EVERY):
            # A network that fails for a moment costs a renewal, and the next one is tried.
            with contextlib.suppress(OSError):
                found = _owner_of(path)
                if found is not None and found.token != owner.token:
                    lost.set()
                    return
                path.write_text(content())

    renewal = threading.Thread(target=keep, name="lease of a folder", daemon=True)
    renewal.start()
    try:
        yield
    finally:
        ended.set()
        renewal.join()
        last = _owner_of(path)
        if last is not None and last.token == owner.token:
            with contextlib.suppress(OSError):
                path.unlink()
    if lost.is_set() or (last is not None and last.token != owner.token):
        raise UserError(
            f"{folder} was meanwhile also written by {last or 'another process'}: what is there "
            "may be of both; remove it and run again"
        )


def _owner_of(path: epath.Path) -> Owner | None:
    try:
        return Owner.from_json(path.read_text())
    except (OSError, UnicodeDecodeError):
        return None


def _is_gone(owner: Owner) -> bool:
    """Whether a process of this very machine has ended."""
    if not owner.machine or owner.machine != _machine():
        return False
    try:
        os.kill(owner.process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _is_recent(path: epath.Path, owner: Owner | None) -> bool:
    # One half written says nothing of its owner, but its age is known.
    renewed = path.stat().mtime if owner is None else owner.renewed
    return time.time() - renewed < _EXPIRES_AFTER


def _machine() -> str:
    """What tells this machine since its start, and this container, from all others."""
    try:
        start = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{start}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _is_written(folder: epath.Path, owner: Owner | None) -> BeingWrittenError:
    return BeingWrittenError(
        f"{folder} is being written by {owner or 'another process'}; wait for it, stop it, or "
        "choose another folder"
    )
