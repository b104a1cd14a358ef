"""Checkpoint files and folders of other projects, read as data: nothing in them is executed."""

import hashlib
import json
import pathlib
import re
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import ml_dtypes  # noqa: F401  makes numpy know bfloat16, in which safetensors may be stored
import numpy as np

from animal_clip_jax.conversion.caffe2 import read_state_dict
from animal_clip_jax.conversion.inert_pickle import Holder
from animal_clip_jax.conversion.stored_tensors import StoredTensor
from animal_clip_jax.conversion.torch_archive import TorchArchive, module_tensors
from animal_clip_jax.conversion.torch_legacy import LegacyFile
from animal_clip_jax.errors import MissingFileError, UserError, shortened
from animal_clip_jax.files import check_is_file, read_at_most

# Bytes; the index of a checkpoint in many files has a few hundred thousand.
_LARGEST_JSON = 32 * 2**20
# Beside the folders of a model in Hugging Face's cache, to whose files those in the folders link.
_BLOBS = "blobs"
_TORCH_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".pyth")
_CAFFE2_SUFFIX = ".pkl"
_OPEN_CLIP_CONFIG = "open_clip_config.json"
_HUGGING_FACE_CONFIG = "config.json"
_OPEN_CLIP_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
_HUGGING_FACE_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
# Folders that are read: layout, its config file, and its weights, of which the first is taken.
LAYOUTS = (
    ("open_clip", _OPEN_CLIP_CONFIG, _OPEN_CLIP_WEIGHTS),
    ("hugging_face", _HUGGING_FACE_CONFIG, _HUGGING_FACE_WEIGHTS),
)
WEIGHT_SUFFIXES = (*_TORCH_SUFFIXES, ".safetensors", _CAFFE2_SUFFIX)
# Where a training checkpoint keeps its weights; the last is PySlowFast's.
_STATE_DICT_FIELDS = ("model", "state_dict", "model_state")


class ForeignCheckpoint(NamedTuple):
    """What a checkpoint of another project holds.

    Attributes:
        layout: "state_dict" (a file), "open_clip" or "hugging_face" (a folder with its config).
        tensors: the state dict, `module.` prefix removed.
        config: the content of the folder's config file, empty for a file.
        config_path: its path, for messages.
        preprocessor: the content of `preprocessor_config.json`, empty if there is none.
        files: the files with the weights.
    """

    layout: str
    tensors: dict[str, np.ndarray]
    config: Mapping[str, Any]
    config_path: str
    preprocessor: Mapping[str, Any]
    files: tuple[pathlib.Path, ...]


def read_checkpoint(path: pathlib.Path) -> ForeignCheckpoint:
    """Reads a checkpoint.

    Args:
        path: a `.pth`, `.pt`, `.bin`, `.ckpt` or `.pyth` file (a state dict, bare or under `model`,
            `state_dict` or `model_state`, or a TorchScript archive), a `.safetensors` file, a
            `.pkl` file of Caffe2 (see `caffe2.read_state_dict`), or a folder with an
            `open_clip_config.json` or a Hugging Face `config.json`. A weights file of such a folder
            stands for the folder.

    Raises:
        FileNotFoundError: there is nothing at `path`, or nothing in the folder.
        ValueError: it is not a checkpoint, or it is damaged; names the file.
    """
    if not path.exists():
        raise MissingFileError(f"{path}: no such file or folder")
    if not path.is_dir():
        check_is_file(path, "a checkpoint")
    folder, weights = (path, None) if path.is_dir() else (path.parent, path.name)
    for layout, config_name, weight_names in LAYOUTS:
        present = [name for name in weight_names if (folder / name).is_file()]
        config_path = folder / config_name
        if config_path.is_file() and present and (weights is None or weights in present):
            tensors, files = _read_weights(folder / (weights or present[0]))
            preprocessor_path = folder / "preprocessor_config.json"
            preprocessor = read_json(preprocessor_path) if preprocessor_path.is_file() else {}
            return ForeignCheckpoint(
                layout, tensors, read_json(config_path), str(config_path), preprocessor, files
            )
    if weights is None:
        raise MissingFileError(
            f"{path}: not a checkpoint folder; expected {_OPEN_CLIP_CONFIG} or "
            f"{_HUGGING_FACE_CONFIG} beside one of "
            f"{', '.join(_OPEN_CLIP_WEIGHTS + _HUGGING_FACE_WEIGHTS)}"
        )
    tensors, files = _read_weights(path)
    return ForeignCheckpoint("state_dict", tensors, {}, "", {}, files)


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ValueError: it is not JSON, or not an object; names the file and line.
    """
    try:
        content = json.loads(read_at_most(path, _LARGEST_JSON, "a JSON file").decode())
    # ValueError: not UTF-8, not JSON, or a number of thousands of digits.
    except (ValueError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: not a JSON file ({shortened(error)})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds a {type(content).__name__}; expected a JSON object")
    return content


def digests(files: Sequence[pathlib.Path]) -> dict[str, str]:
    """The SHA-256 digest of each file, in hexadecimal, by name.

    Raises:
        UserError: a file lies in Hugging Face's cache, which names large files by their digest, and
            has another; names it.
    """
    found = {}
    for file in files:
        with file.open("rb") as opened:
            found[file.name] = hashlib.file_digest(opened, "sha256").hexdigest()
        stored = file.resolve()
        is_digest = re.fullmatch(r"[0-9a-f]{64}", stored.name) is not None
        if stored.parent.name == _BLOBS and is_digest and stored.name != found[file.name]:
            raise UserError(
                f"{file}: the file is damaged (its SHA-256 digest is {found[file.name]}, not "
                f"{stored.name}, which Hugging Face says); delete {stored} and run again"
            )
    return found


def _read_weights(path: pathlib.Path) -> tuple[dict[str, np.ndarray], tuple[pathlib.Path, ...]]:
    if path.name.endswith(".index.json"):
        files = _files_of_index(path)
        tensors: dict[str, np.ndarray] = {}
        for file, keys in files.items():
            found = _read_file(file)
            if found.keys() != keys:
                name = min(found.keys() ^ keys)
                one, other = (path, file) if name in keys else (file, path)
                raise UserError(
                    f"{file}: not the tensors that {path.name} says: {shortened(name)} is in "
                    f"{one.name}, not in {other.name}; they belong to different checkpoints"
                )
            tensors |= found
        shards = tuple(files)
    else:
        shards, tensors = (path,), _read_file(path)
    if not tensors:
        raise UserError(f"{path}: holds no tensors; expected a state dict")
    return _without_prefix(tensors), shards


def _files_of_index(path: pathlib.Path) -> dict[pathlib.Path, set[str]]:
    """The files that an index names, in the order of their names, and the keys of each."""
    weight_map = read_json(path).get("weight_map")
    if not isinstance(weight_map, dict) or not all(
        isinstance(name, str) and pathlib.PurePath(name).name == name
        for name in weight_map.values()
    ):
        raise UserError(f"{path}: weight_map is not a table of keys and names of files beside")
    keys: dict[pathlib.Path, set[str]] = {
        path.parent / name: set() for name in sorted(set(weight_map.values()))
    }
    # A link may lead to where Hugging Face's cache keeps the files of this model, and nowhere else.
    folder = path.parent.resolve()
    places = (folder, folder.parent.parent / _BLOBS)
    for file in keys:
        if not file.is_file():
            raise MissingFileError(f"{file}: no such file; {path.name} names it")
        if file.resolve().parent not in places:
            raise UserError(
                f"{file} is a link to {file.resolve()}; {path.name} may name files of its own "
                "folder only"
            )
    for key, name in weight_map.items():
        keys[path.parent / name].add(key)
    return keys


def _read_file(path: pathlib.Path) -> dict[str, np.ndarray]:
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    with path.open("rb") as file:
        start = file.read(4)
    # Or an archive whose first bytes are damaged.
    if start == b"PK\x03\x04" or zipfile.is_zipfile(path):
        return _read_torch_zip(path)
    if path.suffix == _CAFFE2_SUFFIX:
        return read_state_dict(path)
    if path.suffix in _TORCH_SUFFIXES:
        return _read_torch_legacy(path)
    raise UserError(
        f"{path}: not a checkpoint; expected a torch file ({', '.join(_TORCH_SUFFIXES)}), a "
        f".safetensors file, a {_CAFFE2_SUFFIX} file of Caffe2, or a folder of OpenCLIP, Hugging "
        "Face or this project"
    )


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  no mapping
    # AttributeError: a dtype that numpy does not have.
    except (SafetensorError, AttributeError, TypeError, ValueError, OSError) as error:
        raise UserError(
            f"{path}: the file is truncated, damaged or not a safetensors file ({shortened(error)})"
        ) from error


def _read_torch_zip(path: pathlib.Path) -> dict[str, np.ndarray]:
    with TorchArchive(path) as archive:
        if not (archive.is_script and isinstance(archive.content, Holder)):
            return archive.read_all(_stored(archive.content, path))
        try:
            stored = module_tensors(archive.content)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        return archive.read_all(stored)


def _read_torch_legacy(path: pathlib.Path) -> dict[str, np.ndarray]:
    file = LegacyFile(path)
    return file.read_all(_stored(file.content, path))


def _stored(content: Any, path: pathlib.Path) -> dict[str, StoredTensor]:
    return {
        key: value
        for key, value in _state_dict(content, path).items()
        if isinstance(key, str) and isinstance(value, StoredTensor)
    }


def _state_dict(content: Any, path: pathlib.Path) -> Mapping[Any, Any]:
    expected = f"expected a state dict, bare or under {' or '.join(_STATE_DICT_FIELDS)}"
    if isinstance(content, Holder):
        raise UserError(f"{path}: holds an object with its code; {expected}")
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: holds a {type(content).__name__}; {expected}")
    for field in _STATE_DICT_FIELDS:
        if isinstance(content.get(field), Holder):
            raise UserError(
                f"{path}: not a torch checkpoint of weights alone: {field} is an object with its "
                f"code; {expected}"
            )
        if isinstance(content.get(field), Mapping):
            return content[field]
    return content


def _without_prefix(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Removes the prefix that torch's data parallel wrappers put before every key."""
    prefix = "module."
    if tensors and all(key.startswith(prefix) for key in tensors):
        return {key.removeprefix(prefix): value for key, value in tensors.items()}
    return tensors
