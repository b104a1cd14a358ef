"""Tensors of files that torch wrote before its version 1.6, read without running anything.

Such a file is four pickles one after the other (a magic number, the version of the format, the
sizes of C's integers, and what was saved), a fifth with the keys of the storages, and then each of
these: how many values it has, as eight bytes, and the values.
"""

import os
import pathlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from animal_clip_jax.conversion import inert_pickle
from animal_clip_jax.conversion.inert_pickle import PickleError
from animal_clip_jax.conversion.stored_tensors import (
    CALLS,
    Storage,
    StoredTensor,
    check_sharing,
    storage_of,
    view,
)
from animal_clip_jax.errors import UserError, quoted, shortened

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_VERSION = 1001


class LegacyFile:
    """A file whose pickles have been read.

    Attributes:
        content: what was saved: dictionaries, numbers, texts, `StoredTensor`s and `Holder`s.
    """

    def __init__(self, path: pathlib.Path):
        """Reads the pickles.

        Raises:
            UserError: it is no such file, or it is damaged; names the path.
        """
        self._path = path
        self._storages: dict[str, Storage] = {}
        try:
            with path.open("rb") as file:
                if _pickle(file) != _MAGIC_NUMBER or _pickle(file) != _VERSION:
                    raise PickleError("it does not begin as a torch file does")
                system = _pickle(file)
                if not isinstance(system, dict) or system.get("little_endian") is not True:
                    raise PickleError("it was written on a big-endian machine")
                self.content = _pickle(file, self._storage)
                self._keys = self._checked_keys(_pickle(file))
                self._begin = file.tell()
                self._size = os.fstat(file.fileno()).st_size
        except PickleError as error:
            raise self._damaged(error) from error

    def read_all(self, stored: Mapping[str, StoredTensor]) -> dict[str, np.ndarray]:
        """The values of tensors by name, each in its own dtype; some may share memory.

        Raises:
            UserError: the file is cut, has too much at its end, or a tensor does not fit into what
                is stored; names the path.
        """
        values: dict[str, np.ndarray] = {}
        with self._path.open("rb") as file:
            file.seek(self._begin)
            for key in self._keys:
                storage = self._storages[key]
                size = int.from_bytes(file.read(8), "little")
                left = self._size - file.tell()
                if size != storage.size or left < size * storage.dtype.itemsize:
                    raise self._damaged(
                        f"its storage {quoted(key)} should have {quoted(storage.size)} values, has "
                        f"{size}, and {max(left, 0)} bytes are left"
                    )
                values[key] = np.fromfile(file, storage.dtype, size)
            if file.tell() != self._size:
                raise self._damaged("there is more in it than it says")
        tensors = {
            name: view(values[tensor.storage.key], tensor, where=f"{self._path}: {shortened(name)}")
            for name, tensor in stored.items()
        }
        check_sharing(tensors, self._size, self._path)
        return tensors

    def _storage(self, identifier: Any) -> Storage:
        storage = storage_of(identifier)
        if self._storages.setdefault(storage.key, storage) != storage:
            raise PickleError(f"the storage {quoted(storage.key)} is described in two ways")
        return storage

    def _checked_keys(self, keys: Any) -> list[str]:
        if (
            not isinstance(keys, list)
            or not all(isinstance(key, str) for key in keys)
            or sorted(keys) != sorted(self._storages)
        ):
            raise PickleError("its list of storages is not that of its tensors")
        return keys

    def _damaged(self, reason: object) -> UserError:
        return UserError(
            f"{self._path}: the file is truncated, damaged or not a torch checkpoint "
            f"({shortened(reason)})"
        )


def _pickle(file: BinaryIO, persistent: Any = None) -> Any:
    """The next pickle; the file is then at its end."""
    start = file.tell()
    found = inert_pickle.read(
        file.read(inert_pickle.LARGEST + 1), calls=CALLS, persistent=persistent
    )
    file.seek(start + found.length)
    return found.value
