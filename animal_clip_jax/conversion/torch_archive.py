"""Tensors of a torch zip archive (`torch.save`, `torch.jit.save`), read without running anything.

Such an archive holds a pickle, `data.pkl`, and the tensors' bytes beside it. The pickle is read by
`inert_pickle`, which calls nothing. So the configuration object and the optimizer in a training
checkpoint do no harm and need no package installed, and a TorchScript archive's compiled code is
not even opened.

What an archive may hold is bounded by what the file really holds: torch stores pickle and tensors
as they are, so that they are together no larger than the file; compressed ones are refused.
"""

import io
import pathlib
import re
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from animal_clip_jax.conversion import inert_pickle
from animal_clip_jax.conversion.inert_pickle import Holder, PickleError
from animal_clip_jax.conversion.stored_tensors import (
    CALLS,
    StoredTensor,
    check_sharing,
    storage_of,
    view,
)
from animal_clip_jax.errors import UserError, quoted, shortened

# Bytes of a zip's table of entries, and entries; a checkpoint has one for each tensor.
_LARGEST_TABLE = 32 * 2**20
_MOST_ENTRIES = 100_000
# Of a TorchScript module and all within it; those of CLIP have ten thousand.
_MOST_ATTRIBUTES = 200_000
_LONGEST_NAME = 1000
# What zipfile raises for a damaged file, depending on where it is damaged: ValueError for a name
# that is not UTF-8, RuntimeError for an entry that is said to be encrypted, and for an unknown
# compression.
_DAMAGES = (zipfile.BadZipFile, RuntimeError, ValueError, EOFError, OSError, struct.error)


class _FileWithShortReads(io.FileIO):
    """The file of an archive; while its table of entries is read, at most so much at once."""

    is_limited = True

    def read(self, size: int | None = -1) -> bytes:
        if self.is_limited and size is not None and size > _LARGEST_TABLE:
            raise zipfile.BadZipFile(f"a table of entries of {size:,} bytes")
        return super().read(size)


class TorchArchive:
    """An open archive.

    Attributes:
        content: what was saved: dictionaries, numbers, texts, `StoredTensor`s and `Holder`s.
        is_script: whether it is a TorchScript archive; `content` is then the module's `Holder`.
    """

    def __init__(self, path: pathlib.Path):
        """Opens the archive and reads its pickle.

        Args:
            path: of a regular file.

        Raises:
            ValueError: it is not a torch archive, or it is damaged; names the path.
        """
        self._path = path
        self._file = _FileWithShortReads(path)
        try:
            self._zip = self._open_zip()
            self._root = self._find_root()
            self._check_entries()
            self.content = self._read_pickle()
        except BaseException:
            self._file.close()
            raise
        self._storages: dict[str, bytes] = {}
        self.is_script = any(
            name == f"{self._root}/constants.pkl" or name.startswith(f"{self._root}/code/")
            for name in self._zip.namelist()
        )

    def __enter__(self) -> "TorchArchive":
        return self

    def __exit__(self, *exception: object) -> None:
        self._zip.close()
        self._file.close()

    def _open_zip(self) -> zipfile.ZipFile:
        try:
            archive = zipfile.ZipFile(self._file)
        except _DAMAGES as error:
            raise UserError(
                f"{self._path}: the file is truncated or damaged ({shortened(error)}); copy or "
                "download it again"
            ) from error
        self._file.is_limited = False
        return archive

    def _find_root(self) -> str:
        names = self._zip.namelist()
        roots = [match[1] for name in names if (match := re.fullmatch(r"([^/]+)/data\.pkl", name))]
        if len(roots) != 1:
            raise UserError(f"{self._path}: a zip file, but not a torch checkpoint: no data.pkl")
        return roots[0]

    def _check_entries(self) -> None:
        """Refuses entries that torch would not have written."""
        entries = self._zip.infolist()
        if len(entries) > _MOST_ENTRIES:
            raise UserError(
                f"{self._path}: {len(entries)} entries; at most {_MOST_ENTRIES} are read"
            )
        seen = set()
        for entry in entries:
            if entry.filename in seen:
                raise self._damaged(entry.filename, "it is there twice")
            seen.add(entry.filename)
            try:
                # Compares the name in the table with the one before the entry's bytes.
                self._zip.open(entry).close()
            except _DAMAGES as error:
                raise self._damaged(entry.filename, error) from error
        # They lie one after the other, unless somebody makes much of little.
        if sum(entry.compress_size for entry in entries) > self._size():
            raise UserError(f"{self._path}: its entries overlap; the file is damaged")

    def _read_entry(self, name: str) -> bytes:
        """Raises KeyError if there is none."""
        entry = self._zip.getinfo(name)
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise self._damaged(name, "it is compressed, as torch never writes it")
        try:
            return self._zip.read(entry)
        except _DAMAGES as error:
            raise self._damaged(name, error) from error

    def _damaged(self, entry: str, reason: object) -> UserError:
        return UserError(
            f"{self._path}: its entry {quoted(entry)} is damaged ({shortened(reason)}); copy or "
            "download the file again"
        )

    def _read_pickle(self) -> Any:
        if f"{self._root}/byteorder" in self._zip.namelist():
            byte_order = self._read_entry(f"{self._root}/byteorder")
            if byte_order != b"little":
                raise UserError(
                    f"{self._path}: byte order {quoted(byte_order)}; expected b'little'"
                )
        name = f"{self._root}/data.pkl"
        size = self._zip.getinfo(name).file_size
        try:
            if size > inert_pickle.LARGEST:
                raise PickleError(f"{size:,} bytes; at most {inert_pickle.LARGEST:,} are read")
            content = self._read_entry(name)
            return inert_pickle.read(content, calls=CALLS, persistent=storage_of).value
        except PickleError as error:
            raise UserError(
                f"{self._path}: its data.pkl cannot be read ({error}); the file is damaged or not "
                "a torch checkpoint"
            ) from error

    def read_all(self, stored: Mapping[str, StoredTensor]) -> dict[str, np.ndarray]:
        """The values of tensors by name, each in its own dtype.

        Raises:
            ValueError: see `read`; or together they are many times larger than the file.
        """
        values = {key: self.read(tensor, key) for key, tensor in stored.items()}
        check_sharing(values, self._size(), self._path)
        return values

    def read(self, tensor: StoredTensor, key: str) -> np.ndarray:
        """The values of a tensor, in its own dtype; they may share memory with other tensors'.

        Args:
            key: its name, for the error message.

        Raises:
            ValueError: its bytes are missing, too few or damaged; names path and key.
        """
        storage = tensor.storage
        name = f"{self._root}/data/{storage.key}"
        where = f"{self._path}: {shortened(key)}"
        if name not in self._storages:
            try:
                self._storages[name] = self._read_entry(name)
            except KeyError as error:
                raise UserError(
                    f"{where}: the archive has no {shortened(name)}; it is damaged"
                ) from error
            except UserError as error:
                reason = str(error).removeprefix(f"{self._path}: ")
                raise UserError(f"{where}: {reason}") from error
        content = self._storages[name]
        expected = storage.size * storage.dtype.itemsize
        if len(content) != expected:
            raise UserError(
                f"{where}: {shortened(name)} has {len(content)} bytes; expected {quoted(expected)}"
            )
        return view(np.frombuffer(content, storage.dtype), tensor, where)

    def _size(self) -> int:
        return self._file.seek(0, io.SEEK_END)


def module_tensors(module: Holder) -> dict[str, StoredTensor]:
    """The tensors of a TorchScript module by state-dict key: the attributes, joined by dots.

    Raises:
        UserError: there is no end of modules in modules, since some are reached in many ways.
    """
    found: dict[str, StoredTensor] = {}
    attributes = 0
    # A module, its prefix and the modules that it is in, among which a circle would lead.
    waiting: list[tuple[Holder, str, tuple[int, ...]]] = [(module, "", (id(module),))]
    while waiting:
        holder, prefix, around = waiting.pop()
        attributes += len(holder.attributes)
        if attributes > _MOST_ATTRIBUTES or len(prefix) > _LONGEST_NAME:
            raise UserError(
                f"modules in modules without end; at most {_MOST_ATTRIBUTES:,} attributes are "
                f"read, and {_LONGEST_NAME} characters a name"
            )
        below = []
        for name, value in holder.attributes.items():
            if not isinstance(name, str):
                continue
            if isinstance(value, StoredTensor):
                found[f"{prefix}{name}"] = value
            elif isinstance(value, Holder) and id(value) not in around:
                below.append((value, f"{prefix}{name}.", (*around, id(value))))
        waiting += reversed(below)
    return found
