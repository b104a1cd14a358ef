"""A state dict to our parameters and back, with nothing lost or made up in between."""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence

import jax
import numpy as np

from animal_clip_jax.conversion.hugging_face_names import hugging_face_keys
from animal_clip_jax.conversion.layouts import SAME, Layout
from animal_clip_jax.conversion.openai_names import torch_names
from animal_clip_jax.conversion.pyslowfast_names import pyslowfast_names
from animal_clip_jax.errors import UserError, shortened

# Our path → the keys whose arrays are stacked along the first axis, and the layout of the stack.
KeyTable = Mapping[str, tuple[tuple[str, ...], Layout]]

# Buffers that a state dict may hold beside the weights: they follow from the dimensions, or count
# the batches that a normalisation has seen, which nothing asks for.
_BUFFERS = {
    *("attn_mask", "input_resolution", "context_length", "vocab_size", "position_ids"),
    "num_batches_tracked",
}
_NAMES_SHOWN = 5


def openai_keys(paths: Iterable[str]) -> KeyTable:
    """The keys of OpenAI CLIP, OpenCLIP, X-CLIP and Animal-CLIP."""
    return {path: ((key,), layout) for path, (key, layout) in torch_names(paths).items()}


def hugging_face_table(paths: Iterable[str], family: str) -> KeyTable:
    """The keys of Hugging Face's `CLIPModel` ("clip") or `XCLIPModel` ("xclip")."""
    return {path: hugging_face_keys(path, family) for path in paths}


def pyslowfast_keys(paths: Iterable[str]) -> KeyTable:
    """The keys of I3D, SlowFast and X3D in PySlowFast."""
    return {path: ((key,), layout) for path, (key, layout) in pyslowfast_names(paths).items()}


def our_keys(paths: Iterable[str]) -> KeyTable:
    """Our own names."""
    return {path: ((path,), SAME) for path in paths}


def is_buffer(name: str) -> bool:
    """Whether a key is of a buffer that any state dict may hold beside its weights."""
    return name.rpartition(".")[2] in _BUFFERS


def some_names(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(map(shortened, names[:_NAMES_SHOWN]))
    more = len(names) - _NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def to_parameters(
    tensors: Mapping[str, np.ndarray],
    keys: KeyTable,
    expected: Mapping[str, jax.ShapeDtypeStruct],
    *,
    source: str,
    allow_missing: Sequence[str] = (),
    allow_unused: Sequence[str] = (),
    allow_nonfinite: bool = False,
) -> dict[str, np.ndarray]:
    """Renames and rearranges a state dict.

    Args:
        tensors: the state dict.
        keys: the keys of each of our paths.
        expected: our paths and shapes.
        source: the file's path, for the messages.
        allow_missing: shell-style patterns of keys that may be absent.
        allow_unused: shell-style patterns of keys that may be there and are left out.
        allow_nonfinite: whether values may be NaN or infinite, as float32.

    Returns:
        float32 arrays by our path; a path whose keys are absent, as allowed, is left out.

    Raises:
        ValueError: a key is missing, unknown, of another shape, or holds something else than
            finite floating point numbers; names the file, the key and the shapes.
    """
    parameters: dict[str, np.ndarray] = {}
    missing: list[str] = []
    nonfinite: list[str] = []
    for path, shape in ((path, value.shape) for path, value in expected.items()):
        names, layout = keys[path]
        absent = [name for name in names if name not in tensors]
        if absent:
            is_allowed = len(absent) == len(names) and all(
                _matches(name, allow_missing) for name in absent
            )
            if not is_allowed:
                missing += absent
            continue
        stacked_shape = layout.torch_shape(shape)
        part_shape = (stacked_shape[0] // len(names), *stacked_shape[1:]) if shape else ()
        parts = [_checked(tensors[name], part_shape, name=name, source=source) for name in names]
        nonfinite += [
            f"{shortened(name)} ({np.count_nonzero(~np.isfinite(part)):,} of {part.size:,})"
            for name, part in zip(names, parts, strict=True)
            if not np.isfinite(part).all()
        ]
        stacked = parts[0] if len(parts) == 1 else np.concatenate(parts)
        parameters[path] = layout.from_torch(stacked, shape)
    if missing:
        raise UserError(
            f"{source}: missing {some_names(missing)}; if that is meant, --allow_missing=PATTERN "
            "says which keys may be absent"
        )
    known = {name for names, _ in keys.values() for name in names}
    unknown = [
        name
        for name in tensors
        if name not in known and not is_buffer(name) and not _matches(name, allow_unused)
    ]
    if unknown:
        raise UserError(
            f"{source}: unknown keys {some_names(unknown)}; --allow_unused=PATTERN says which keys "
            "may be left out"
        )
    if nonfinite and not allow_nonfinite:
        raise UserError(
            f"{source}: values that are NaN or infinite in {len(nonfinite)} of {len(known)} "
            f"arrays: {some_names(nonfinite)}; the training that made them diverged, or the file "
            "is damaged; --allow_nonfinite converts them as they are"
        )
    return parameters


def _checked(array: np.ndarray, shape: tuple[int, ...], *, name: str, source: str) -> np.ndarray:
    if array.shape != shape:
        raise UserError(f"{source}: {name} has shape {array.shape}; expected {shape}")
    # numpy's own floats, and bfloat16, which numpy calls a void.
    if array.dtype.kind not in "fV":
        raise UserError(f"{source}: {name} holds {array.dtype}; expected floating point numbers")
    with np.errstate(over="ignore"):  # float64's largest become infinite
        return array.astype(np.float32, copy=False)


def to_state_dict(
    parameters: Mapping[str, np.ndarray], keys: KeyTable | None = None
) -> dict[str, np.ndarray]:
    """Our parameters under the published keys of their family, in torch's layouts, float32.

    Args:
        keys: the keys of each path; unless given those of CLIP, X-CLIP and Animal-CLIP.
    """
    state_dict: dict[str, np.ndarray] = {}
    for path, (names, layout) in (keys or openai_keys(parameters)).items():
        stacked = np.array(layout.to_torch(np.asarray(parameters[path], np.float32)), order="C")
        parts = [stacked] if len(names) == 1 else np.split(stacked, len(names))
        state_dict.update(zip(names, parts, strict=True))
    return state_dict
