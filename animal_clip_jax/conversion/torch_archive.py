"""Tensors of a torch zip archive (`torch.save`, `torch.jit.save`), read without running anything.

Such an archive holds a pickle, `data.pkl`, and the tensors' bytes beside it. The pickle is read by
an unpickler that knows four functions (they rebuild tensors and ordered dictionaries) and puts an
inert holder in the place of every other class or function that the pickle names. So the
configuration object and the optimizer in a training checkpoint do no harm and need no package
installed, and a TorchScript archive's compiled code is not even opened.
"""

import contextlib
import math
import pathlib
import pickle
import re
import zipfile
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from animal_clip_jax.errors import UserError

_DTYPES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


class _StorageType(NamedTuple):
    name: str


class _Storage(NamedTuple):
    dtype: np.dtype
    key: str
    size: int


class StoredTensor(NamedTuple):
    """A tensor that still lies in the archive.

    Attributes:
        storage: which bytes, and their dtype.
        offset, strides: in elements.
        shape: its dimensions.
    """

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Holder(dict):
    """Stands for an object of a class that is not loaded: keeps its items and attributes."""

    attributes: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> "Holder":
        holder = super().__new__(cls)
        holder.attributes = {}
        return holder

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.attributes = state

    def __call__(self, *args: Any, **kwargs: Any) -> "Holder":
        return Holder()

    # A pickle may fill the object as a list or a set; what lists hold is not needed.
    def append(self, value: Any) -> None:
        pass

    def extend(self, values: Any) -> None:
        pass

    def add(self, value: Any) -> None:
        pass


class _Callable:
    """A function that the pickle may call; has no attribute that the pickle could set."""

    __slots__ = ()


class _RebuildTensor(_Callable):
    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> Any:
        integers = (offset, *shape, *strides)
        if (
            not isinstance(storage, _Storage)
            or not all(isinstance(integer, int) for integer in integers)
            or len(shape) != len(strides)
        ):
            raise pickle.UnpicklingError("a tensor is described by something else than numbers")
        return StoredTensor(storage, offset, tuple(shape), tuple(strides))


class _RebuildParameter(_Callable):
    __slots__ = ()

    def __call__(self, tensor: Any, *rest: Any) -> Any:
        return tensor


class _Dictionary(dict):
    """In the place of an ordered dictionary, whose attributes are dropped."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        pass


class _NewDictionary(_Callable):
    __slots__ = ()

    def __call__(self, items: Any = ()) -> _Dictionary:
        return _Dictionary(items)


_FUNCTIONS = {
    ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(),
    ("torch._utils", "_rebuild_parameter"): _RebuildParameter(),
    ("torch._utils", "_rebuild_parameter_with_state"): _RebuildParameter(),
    ("collections", "OrderedDict"): _NewDictionary(),
}


class _InertUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _FUNCTIONS:
            return _FUNCTIONS[module, name]
        if module == "torch" and name in _DTYPES:
            return _StorageType(name)
        # A class of its own each time: whatever the pickle does to it stays with it.
        return type("Holder", (Holder,), {})

    def persistent_load(self, identifier: Any) -> _Storage:
        kind, storage_type, key, _, size = identifier
        if (
            kind != "storage"
            or not isinstance(storage_type, _StorageType)
            or not isinstance(size, int)
        ):
            raise pickle.UnpicklingError(f"a storage of an unknown kind, {identifier!r}")
        return _Storage(np.dtype(_DTYPES[storage_type.name]), str(key), size)


class TorchArchive:
    """An open archive.

    Attributes:
        content: what was saved: dictionaries, numbers, texts, `StoredTensor`s and `Holder`s.
        is_script: whether it is a TorchScript archive; `content` is then the module's `Holder`.
    """

    def __init__(self, path: pathlib.Path):
        """Opens the archive and reads its pickle.

        Raises:
            ValueError: it is not a torch archive, or it is damaged; names the path.
        """
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise UserError(
                f"{path}: the file is truncated or damaged ({error}); copy or download it again"
            ) from error
        try:
            self._root, self.content = self._read_pickle()
        except BaseException:
            self._zip.close()
            raise
        names = self._zip.namelist()
        self.is_script = any(
            name == f"{self._root}/constants.pkl" or name.startswith(f"{self._root}/code/")
            for name in names
        )

    def __enter__(self) -> "TorchArchive":
        return self

    def __exit__(self, *exception: object) -> None:
        self._zip.close()

    def _read_pickle(self) -> tuple[str, Any]:
        names = self._zip.namelist()
        roots = [match[1] for name in names if (match := re.fullmatch(r"([^/]+)/data\.pkl", name))]
        if len(roots) != 1:
            raise UserError(f"{self._path}: a zip file, but not a torch checkpoint: no data.pkl")
        root = roots[0]
        byte_order = b"little"
        with contextlib.suppress(KeyError):
            byte_order = self._zip.read(f"{root}/byteorder")
        if byte_order != b"little":
            raise UserError(f"{self._path}: byte order {byte_order!r}; expected b'little'")
        try:
            with self._zip.open(f"{root}/data.pkl") as file:
                return root, _InertUnpickler(file).load()
        # A malformed pickle may raise anything at all.
        except Exception as error:
            raise UserError(
                f"{self._path}: its data.pkl cannot be read ({error}); the file is damaged or not "
                "a torch checkpoint"
            ) from error

    def read(self, tensor: StoredTensor, key: str) -> np.ndarray:
        """The values of a tensor, in its own dtype.

        Args:
            key: its name, for the error message.

        Raises:
            ValueError: its bytes are missing, too few or damaged; names path and key.
        """
        storage = tensor.storage
        name = f"{self._root}/data/{storage.key}"
        where = f"{self._path}: {key}"
        try:
            stored_bytes = self._zip.getinfo(name).file_size
        except KeyError as error:
            raise UserError(f"{where}: the archive has no {name}; it is damaged") from error
        expected_bytes = storage.size * storage.dtype.itemsize
        if stored_bytes != expected_bytes:
            raise UserError(f"{where}: {name} has {stored_bytes} bytes; expected {expected_bytes}")
        try:
            values = np.frombuffer(self._zip.read(name), storage.dtype)
        except (zipfile.BadZipFile, EOFError, OSError) as error:
            raise UserError(f"{where}: {name} is damaged ({error})") from error
        shape, strides = tensor.shape, tensor.strides
        last = tensor.offset + sum(
            (size - 1) * stride for size, stride in zip(shape, strides, strict=True)
        )
        if math.prod(shape) == 0:
            return np.empty(shape, storage.dtype)
        if (
            min(tensor.offset, *shape, *strides, 0) < 0
            or last >= storage.size
            or math.prod(shape) > storage.size
        ):
            raise UserError(
                f"{where}: shape {shape} does not fit into its {storage.size} stored values"
            )
        return np.lib.stride_tricks.as_strided(
            values[tensor.offset :],
            shape,
            [stride * storage.dtype.itemsize for stride in strides],
        )


def module_tensors(module: Holder) -> dict[str, StoredTensor]:
    """The tensors of a TorchScript module by state-dict key: the attributes, joined by dots."""
    found: dict[str, StoredTensor] = {}

    def visit(holder: Holder, prefix: str, ancestors: tuple[int, ...]) -> None:
        for name, value in holder.attributes.items():
            if isinstance(value, StoredTensor):
                found[f"{prefix}{name}"] = value
            elif isinstance(value, Holder) and id(value) not in ancestors:
                visit(value, f"{prefix}{name}.", (*ancestors, id(value)))

    visit(module, "", (id(module),))
    return found
