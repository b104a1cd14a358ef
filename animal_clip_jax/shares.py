"""A share of a long work, `--shard=3/100`: many processes, on many machines, write into one folder.

Each share has a lock of its own. Who works on the folder as a whole, to gather what the shares have
written, takes the folder's lock and those of all shares.
"""

import contextlib
import dataclasses
import hashlib
import re
import time
from collections.abc import Iterator

from etils import epath

from animal_clip_jax.errors import UserError, quoted
from animal_clip_jax.files import Path, as_path
from animal_clip_jax.locks import LOCK_FILE, BeingWrittenError, only_writer

MOST_SHARES = 100_000
# How long a share waits for the others that begin, or gather, in the same moment.
PATIENCE = 60.0
_LOOKS_EVERY = 0.1


@dataclasses.dataclass(frozen=True)
class Share:
    """One of several equal parts of a work.

    Attributes:
        index: which, from 0.
        count: how many there are.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Share":
        """The share that `--shard=index/count` names.

        Raises:
            UserError: it names none.
        """
        match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
        if match is None:
            raise UserError(
                f"--shard={quoted(text)} is no share; expected I/N, such as 0/4, 1/4, 2/4 and 3/4 "
                "for four"
            )
        index, count = map(int, match.groups())
        if not 1 <= count <= MOST_SHARES:
            raise UserError(
                f"--shard={text}: {count} shares; expected at least 1, at most {MOST_SHARES}"
            )
        if index >= count:
            raise UserError(
                f"--shard={text}: shares count from 0, so the last of {count} is "
                f"{count - 1}/{count}; of a Slurm array with --array=1-{count}, take I - 1"
            )
        return cls(index, count)

    def has(self, name: str) -> bool:
        """Whether something of that name is in this share; it does not depend on what else there
        is, so that files may be added between the beginnings of two shares."""
        digest = hashlib.sha256(name.encode(errors="surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def file_name(self) -> str:
        """`str` of it for the name of a file."""
        return f"{self.index}-of-{self.count}"


@contextlib.contextmanager
def only_writer_of_share(folder: Path, share: Share) -> Iterator[None]:
    """Sees to it that no other process writes the same share. Errors as `only_writer`."""
    path = as_path(folder)
    with only_writer(path, path / f".{share.file_name}{LOCK_FILE}"):
        yield


@contextlib.contextmanager
def no_share_is_written(folder: Path) -> Iterator[None]:
    """Sees to it that nobody writes a share; for the owner of the folder's own lock.

    Raises:
        BeingWrittenError: somebody does.
    """
    path = as_path(folder)
    with contextlib.ExitStack() as held:
        for lock in _share_locks(path):
            held.enter_context(only_writer(path, lock))
        yield


@contextlib.contextmanager
def writer_in_turn(folder: Path, *, patience: float = PATIENCE) -> Iterator[None]:
    """`only_writer` of a folder, waiting for another one at most `patience` seconds."""
    end = time.monotonic() + patience
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(only_writer(folder))
                break
            except BeingWrittenError:
                if time.monotonic() >= end:
                    raise
            time.sleep(_LOOKS_EVERY)
        yield


def is_lock(name: str) -> bool:
    """Whether a file in a folder is the lock of it or of a share."""
    return name.endswith(LOCK_FILE)


def _share_locks(folder: epath.Path) -> list[epath.Path]:
    return sorted(folder.glob(f".*-of-*{LOCK_FILE}")) if folder.is_dir() else []
