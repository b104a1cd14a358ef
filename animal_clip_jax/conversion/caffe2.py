"""Weights that Caffe2 saved, as PySlowFast's I3D_8x8_R50.pkl and SLOWFAST_8x8_R50.pkl.

Such a file is a pickle, of Python 2 as published: a dictionary with numpy arrays under `blobs`, by
names such as res4_0_branch2a_bn_s. It is read by `inert_pickle`, which calls nothing, and holds
arrays of numbers or is refused.
"""

import math
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from animal_clip_jax.conversion import inert_pickle
from animal_clip_jax.conversion.inert_pickle import Named, PickleError, Stateful
from animal_clip_jax.errors import UserError, quoted, shortened

# Bytes of a file; those of a SlowFast of 101 layers are a quarter of it.
_LARGEST = 2**30
_DTYPES = ("f2", "f4", "f8", "i4", "i8")
_MOST_DIMENSIONS = 8

# What a training leaves beside the weights.
_OF_TRAINING = re.compile(r".*_momentum|lr|model_iter")
_BLOB = re.compile(r"(?P<fast>t_)?(?P<layer>.+?)(?P<norm>_bn)?_(?P<value>w|b|s|rm|riv)")
_NORM_VALUES = {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}
_VALUES = {"w": "weight", "b": "bias"}


class _DType(Stateful):
    """A dtype; its state says the byte order.

    Attributes:
        code: such as "f4".
    """

    __slots__ = ("code",)

    def __init__(self, code: str):
        super().__init__()
        self.code = code

    def to_numpy(self) -> np.dtype:
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "<"
        if order not in ("<", ">", "="):
            raise PickleError(f"an array of byte order {quoted(order)}")
        return np.dtype(f"{order}{self.code}")


class _Array(Stateful):
    """An array; its state is (version, shape, dtype, whether columns come first, bytes)."""

    __slots__ = ()

    def to_numpy(self) -> np.ndarray:
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise PickleError("an array without its values")
        _, shape, dtype, is_fortran, content = self.state
        return _array(content, dtype, shape, "F" if is_fortran else "C")


def _array(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    if isinstance(content, str):  # bytes, as Python 2 wrote them
        content = content.encode("latin-1")
    if not isinstance(dtype, _DType) or not isinstance(content, bytes | bytearray):
        raise PickleError("an array of something else than numbers")
    if (
        not isinstance(shape, tuple)
        or len(shape) > _MOST_DIMENSIONS
        or not all(isinstance(size, int) and 0 <= size < 2**31 for size in shape)
        or order not in ("C", "F")
    ):
        raise PickleError("an array is described by something else than sizes")
    numpy_dtype = dtype.to_numpy()
    if math.prod(shape) * numpy_dtype.itemsize != len(content):
        raise PickleError(f"an array of shape {shape} with {len(content)} bytes")
    return np.frombuffer(content, numpy_dtype).reshape(shape, order=order)


def _reconstruct(arguments: tuple[Any, ...]) -> Any:
    return _Array()


def _dtype(arguments: tuple[Any, ...]) -> _DType:
    code = arguments[0] if arguments else None
    if code not in _DTYPES:
        raise PickleError(f"an array of {quoted(code)}; expected {', '.join(_DTYPES)}")
    return _DType(code)


def _encode(arguments: tuple[Any, ...]) -> bytes:
    text, encoding = arguments
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise PickleError("a text that is turned into bytes otherwise than by latin1")
    return text.encode("latin-1")


def _from_buffer(arguments: tuple[Any, ...]) -> np.ndarray:
    content, dtype, shape, order = arguments
    return _array(content, dtype, shape, order)


_CALLS = {
    Named("numpy", "dtype"): _dtype,
    Named("_codecs", "encode"): _encode,
    **{
        Named(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct
        for core in ("core", "_core")
    },
    **{Named(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}


def read_state_dict(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of a file by PySlowFast's names, without what is left of its training.

    A blob of an unknown name keeps it. A convolution's kernel that lacks axes of 1 gets them.

    Raises:
        UserError: it is no such file, it is damaged, or one of its blobs is no array of numbers;
            names the file and the blob.
    """
    if path.stat().st_size > _LARGEST:
        raise UserError(
            f"{path}: {path.stat().st_size:,} bytes; at most {_LARGEST:,} of a Caffe2 file are read"
        )
    try:
        content = inert_pickle.read(path.read_bytes(), calls=_CALLS, largest=_LARGEST).value
    except PickleError as error:
        raise UserError(
            f"{path}: the file is damaged or not a Caffe2 file of weights ({error})"
        ) from error
    blobs = content.get("blobs") if isinstance(content, dict) else None
    if not isinstance(blobs, Mapping) or not blobs:
        raise UserError(f"{path}: not a Caffe2 file of weights: it has no blobs")
    arrays: dict[str, np.ndarray] = {}
    for name, value in blobs.items():
        array = _checked(value, name, path)
        if _OF_TRAINING.fullmatch(name):
            continue
        key = torch_key(name)
        if key in arrays:
            raise UserError(f"{path}: two blobs are {shortened(key)}, one of them {quoted(name)}")
        arrays[key] = _with_all_axes(key, array)
    return arrays


def _checked(value: Any, name: Any, path: pathlib.Path) -> np.ndarray:
    try:
        array = value.to_numpy() if isinstance(value, _Array) else value
    except PickleError as error:
        raise UserError(f"{path}: its blob {quoted(name)} cannot be read ({error})") from error
    if not isinstance(array, np.ndarray) or not isinstance(name, str):
        found = (
            "an object with its code" if isinstance(value, inert_pickle.Holder) else quoted(value)
        )
        raise UserError(
            f"{path}: its blob {quoted(name)} is {found}; expected an array: a Caffe2 file of "
            "weights holds nothing else"
        )
    return array


def torch_key(name: str) -> str:
    """PySlowFast's name of a Caffe2 blob; the blob's own where it has none.

    Examples:
        >>> torch_key("t_res2_0_branch2a_bn_riv")
        's2.pathway1_res0.branch2.a_bn.running_var'
    """
    found = _BLOB.fullmatch(name)
    if found is None:
        return name
    layer, is_norm = found["layer"], found["norm"] is not None
    value = (_NORM_VALUES if is_norm else _VALUES).get(found["value"])
    if value is None:
        return name
    pathway = 1 if found["fast"] else 0
    if layer == "pred":
        return f"head.projection.{value}"
    if layer in ("conv1", "res_conv1"):
        return f"s1.pathway{pathway}_stem.{'bn' if is_norm else 'conv'}.{value}"
    fusion = re.fullmatch(r"(?:pool1|res(\d)_\d+_branch2c_bn)_subsample", layer)
    if fusion is not None and pathway == 1:
        return f"s{fusion[1] or 1}_fuse.{'bn' if is_norm else 'conv_f2s'}.{value}"
    block = re.fullmatch(r"res(\d)_(\d+)_branch(?:(1)|2([abc]))", layer)
    if block is None:
        return name
    stage, index, is_shortcut, part = block.groups()
    branch = "branch1" if is_shortcut else f"branch2.{part}"
    return f"s{stage}.pathway{pathway}_res{index}.{branch}{'_bn' if is_norm else ''}.{value}"


def _with_all_axes(key: str, array: np.ndarray) -> np.ndarray:
    is_kernel = key.endswith(".weight") and 1 < array.ndim < 5
    if not is_kernel or key == "head.projection.weight":
        return array
    return array.reshape(*array.shape, *(1,) * (5 - array.ndim))
