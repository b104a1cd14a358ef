"""Outputs that replace others: written beside them, then exchanged, by one writer at a time.

A new output is made in a hidden folder beside its place, `.NAME.incomplete`. Once it is whole, the
former one is moved in there and the new one out, and the folder is removed; a file takes the place
of another in one step. What a killed process leaves is put right by the next one that writes there;
until then, readers find a former output where it was moved to.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator

from etils import epath

from animal_clip_jax.errors import UserError
from animal_clip_jax.files import Path, absolute, as_path, cannot_write, check_is_no_pipe, is_remote
from animal_clip_jax.locks import beside, only_writer

_TRIES, _SECONDS_BETWEEN_TRIES = 20, 0.1


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[epath.Path]:
    """A path for a new file or folder, which takes the place of `path` once the block ends.

    Where the block raises, what was there stays.

    Args:
        path: of the output; local or remote. A link stays one: what it points to is replaced.

    Yields:
        where to write, in a folder that is there; nothing is at that path itself.

    Raises:
        UserError: another process writes there; or it cannot be written.
    """
    place = _real(path)
    check_is_no_pipe(place, "a place to write")
    scratch, new, former = _scratch(place)
    with only_writer(path, beside(place)):
        with _named(path):
            _put_right(place)
            new.parent.mkdir(parents=True)
        try:
            with _speaking_of(path, instead_of=new):
                yield new
            with _named(path):
                if new.is_dir() or place.is_dir():
                    if place.exists():
                        place.rename(former)
                    new.rename(place)
                else:
                    new.replace(place)  # in one step, which folders are not
        finally:
            with contextlib.suppress(OSError):
                _put_right(place)


def finish_exchange(path: Path) -> None:
    """Puts right what a process left that was killed while it exchanged an output, if there is any.

    For those who look at an output before they replace it.

    Raises:
        UserError: another process writes there; or it cannot be written.
    """
    place = _real(path)
    if _scratch(place)[0].exists():
        with only_writer(path, beside(place)), _named(path):
            _put_right(place)


def current(path: Path) -> epath.Path:
    """Where a reader finds an output: at its place, or where a process that was killed in the
    moment of the exchange had moved it to."""
    place = _real(path)
    former = _scratch(place)[2]
    return former if not place.exists() and former.exists() else as_path(path)


@contextlib.contextmanager
def _speaking_of(path: Path, *, instead_of: epath.Path) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        message = str(error).replace(os.fspath(instead_of), os.fspath(path))
        if message == str(error):
            raise
        raise UserError(message) from error


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


def _real(path: Path) -> epath.Path:
    return absolute(path) if is_remote(path) else epath.Path(os.path.realpath(path))


def _scratch(place: epath.Path) -> tuple[epath.Path, epath.Path, epath.Path]:
    """The hidden folder beside an output, and where the new and the former output are in it."""
    if not place.name:
        raise UserError(f"{place} is no folder to write; give one below it")
    scratch = place.with_name(f".{place.name}.incomplete")
    # Some formats write the name of their file into it.
    return scratch, scratch / "new" / place.name, scratch / "former"


def _put_right(place: epath.Path) -> None:
    """Puts a former output back that nothing took the place of, and removes all else."""
    scratch, _, former = _scratch(place)
    if not scratch.exists():
        return
    if former.exists() and not place.exists():
        former.rename(place)
    if is_remote(scratch):
        scratch.rmtree()
        return
    for _ in range(_TRIES):
        with contextlib.suppress(OSError):
            shutil.rmtree(scratch)
            return
        # Threads of a library that failed may still be writing.
        time.sleep(_SECONDS_BETWEEN_TRIES)
    shutil.rmtree(scratch)
