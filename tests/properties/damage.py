"""What a reader makes of a damaged file."""

import collections
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mutations import MUTATIONS

from animal_clip_jax.errors import UserError

# What may come of a damaged file. Without a checksum in its format, another value may be what the
# file says now: a text of the user's own, for example, with another letter.
REFUSED, SAME, AS_WRITTEN = "refused", "same", "as written"
SILENT, TRACEBACK = "silent", "traceback"
OUTCOMES = (REFUSED, SAME, AS_WRITTEN, SILENT, TRACEBACK)


class Format(NamedTuple):
    """A format that this project reads.

    Attributes:
        name: for people.
        make: writes a small instance into a folder.
        read: the folder -> its content, of arrays, named tuples, data classes and the like.
        files: patterns of the files in the folder that are damaged.
        as_written: (folder, content) -> whether a content is what the files say, by another reading
            of them; None for formats that notice every damage.
        refusals: what `read` raises for a person.
    """

    name: str
    make: Callable[[Path], None]
    read: Callable[[Path], Any]
    files: tuple[str, ...] = ("*",)
    as_written: Callable[[Path, Any], bool] | None = None
    refusals: tuple[type[Exception], ...] = (UserError,)


class Instance:
    """A format's instance in a folder, which is damaged and mended again and again."""

    def __init__(self, of: Format, folder: Path):
        self._format = of
        self._folder = folder / "instance"
        self._whole = folder / "whole"
        self._folder.mkdir(parents=True)
        of.make(self._folder)
        self._files = sorted(
            {path for pattern in of.files for path in self._folder.rglob(pattern) if path.is_file()}
        )
        assert self._files, of.name
        shutil.copytree(self._folder, self._whole)
        self._expected = of.read(self._folder)
        assert is_same(of.read(self._folder), self._expected), f"{of.name}: not the same twice"
        assert of.as_written is None or of.as_written(self._folder, self._expected), of.name

    def outcomes(self, count: int, seed: int = 0) -> tuple[collections.Counter, list[str]]:
        """Damages one file at a time, `count` times.

        Returns:
            how often each of `OUTCOMES` came of it, and a line for each that must not be.
        """
        random = np.random.default_rng(seed)
        found: collections.Counter[str] = collections.Counter()
        wrong = []
        while found.total() < count:
            file = self._files[random.integers(len(self._files))]
            mutation = MUTATIONS[random.integers(len(MUTATIONS))]
            whole = (self._whole / file.relative_to(self._folder)).read_bytes()
            damaged = mutation(whole, random)
            if damaged == whole:
                continue
            file.write_bytes(damaged)
            outcome, reason = self._outcome()
            found[outcome] += 1
            if outcome in (SILENT, TRACEBACK):
                number = found.total() - 1
                wrong.append(f"{number}: {mutation.__name__} of {file.name}: {outcome}: {reason}")
            self._mend(file, whole)
        return found, wrong

    def _mend(self, file: Path, whole: bytes) -> None:
        file.write_bytes(whole)

    def _outcome(self) -> tuple[str, str]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                content = self._format.read(self._folder)
        except self._format.refusals as error:
            return REFUSED, str(error)
        except Exception as error:
            return TRACEBACK, f"{type(error).__name__}: {str(error)[:300]}"
        if is_same(content, self._expected):
            return SAME, ""
        return (AS_WRITTEN, "") if self._is_written(content) else (SILENT, repr(content)[:300])

    def _is_written(self, content: Any) -> bool:
        if self._format.as_written is None:
            return False
        try:
            return self._format.as_written(self._folder, content)
        except Exception:  # the simple reading may find nothing at all
            return False


def is_same(found: Any, expected: Any) -> bool:
    """Whether two contents are equal, arrays bit by bit and with their dtypes."""
    if isinstance(expected, np.ndarray):
        return (
            isinstance(found, np.ndarray)
            and (found.dtype, found.shape) == (expected.dtype, expected.shape)
            and found.tobytes() == expected.tobytes()
        )
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(
            is_same(found[key], value) for key, value in expected.items()
        )
    if isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(map(is_same, found, expected))
    if hasattr(expected, "__dataclass_fields__"):
        return type(found) is type(expected) and is_same(vars(found), vars(expected))
    return type(found) is type(expected) and found == expected
