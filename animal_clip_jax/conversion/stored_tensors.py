"""Tensors as torch's pickles describe them: a view of values that lie elsewhere in the file."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from animal_clip_jax.conversion.inert_pickle import Named, PickleError
from animal_clip_jax.errors import UserError, quoted

_MOST_DIMENSIONS = 32  # numpy's own limit, in its early versions
# Tensors may share their bytes, as tied weights do. So many times the file's bytes may all tensors
# have together.
_MOST_SHARING = 8

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


class Storage(NamedTuple):
    """The bytes of one or more tensors.

    Attributes:
        dtype: of its values.
        key: its name in the file.
        size: how many values it has.
    """

    dtype: np.dtype
    key: str
    size: int


class StoredTensor(NamedTuple):
    """A tensor that still lies in the file.

    Attributes:
        storage: which bytes, and their dtype.
        offset, strides: in elements.
        shape: its dimensions.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(arguments: tuple[Any, ...]) -> StoredTensor:
    storage, offset, shape, strides, *_ = arguments
    integers = (offset, *shape, *strides)
    if (
        not isinstance(storage, Storage)
        or not all(isinstance(integer, int) and 0 <= integer < 2**63 for integer in integers)
        or len(shape) != len(strides)
        or len(shape) > _MOST_DIMENSIONS
    ):
        raise PickleError("a tensor is described by something else than sizes")
    return StoredTensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(arguments: tuple[Any, ...]) -> Any:
    return arguments[0]


# What the pickles of torch call.
CALLS = {
    Named("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    Named("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    Named("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    Named("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
}


def storage_of(identifier: Any) -> Storage:
    """The storage of a persistent id: ("storage", type, key, device, size[, view]).

    Raises:
        PickleError, ValueError, TypeError: the id is another.
    """
    kind, named, key, _, size, *view = identifier
    if (
        kind != "storage"
        or not isinstance(named, Named)
        or named.module != "torch"
        or named.name not in _DTYPES
        or not isinstance(key, str)
        or not isinstance(size, int)
        or any(view)
    ):
        raise PickleError(f"a storage of an unknown kind, {quoted(identifier)}")
    return Storage(np.dtype(_DTYPES[named.name]), key, size)


def view(values: np.ndarray, tensor: StoredTensor, where: str) -> np.ndarray:
    """The values of a tensor, which share memory with those of its storage.

    Args:
        values: (tensor.storage.size,) the storage's.
        where: file and tensor, for the message.

    Raises:
        UserError: the tensor reaches beyond its storage, or has more values than it.
    """
    shape, strides = tensor.shape, tensor.strides
    last = tensor.offset + sum(
        (size - 1) * stride for size, stride in zip(shape, strides, strict=True)
    )
    count = math.prod(shape)
    if (
        # Without values, a shape says nothing that could be believed.
        max(shape, default=0) > max(values.size, 1)
        or min(tensor.offset, *shape, *strides, 0) < 0
        or (count and last >= values.size)
        or count > values.size
    ):
        raise UserError(f"{where}: shape {shape} does not fit into its {values.size} stored values")
    if not count:
        return np.empty(shape, values.dtype)
    # Along a dimension of 1, a stride may be anything.
    in_bytes = [
        stride * values.itemsize if size > 1 else 0
        for size, stride in zip(shape, strides, strict=True)
    ]
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], shape, in_bytes)


def check_sharing(tensors: Mapping[str, np.ndarray], file_bytes: int, path: object) -> None:
    """Refuses tensors that are together many times as large as their file.

    Raises:
        UserError: they are; names the file.
    """
    total = sum(tensor.nbytes for tensor in tensors.values())
    if total > _MOST_SHARING * file_bytes:
        raise UserError(
            f"{path}: its tensors share their bytes: {total:,} bytes of tensors in a file of "
            f"{file_bytes:,}; at most {_MOST_SHARING} times as many are read"
        )
