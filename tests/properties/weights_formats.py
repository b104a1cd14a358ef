"""Checkpoints of others, and weights folders."""

import hashlib
import json
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from damage import Format, is_same
from safetensors.numpy import save_file

from animal_clip_jax.conversion import caffe2, configs, readers
from animal_clip_jax.conversion.weights import WeightsMetadata, load_weights, save_weights
from animal_clip_jax.errors import UserError
from animal_clip_jax.models.normalisation import CLIP


def small_arrays() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "visual.proj": random.standard_normal((6, 4)).astype(np.float32),
        "text.bias": random.standard_normal(5).astype(np.float16),
        "logit_scale": np.array(2.5, np.float32),
    }


class _Settings:
    """In a training checkpoint beside its weights."""

    def __init__(self) -> None:
        self.learning_rate = 8e-6


def _training_checkpoint() -> dict[str, Any]:
    model = {key: torch.from_numpy(value) for key, value in small_arrays().items()}
    return {"model": model, "config": _Settings(), "epoch": 3}


def _make_torch(folder: Path) -> None:
    torch.save(_training_checkpoint(), folder / "a.pth")


def _make_legacy(folder: Path) -> None:
    content = {"model": _training_checkpoint()["model"], "epoch": 3}
    torch.save(content, folder / "a.pth", _use_new_zipfile_serialization=False)


def _as_torch_reads(folder: Path, content: dict[str, np.ndarray]) -> bool:
    state_dict = torch.load(folder / "a.pth", weights_only=True)["model"]
    return is_same(content, {key: value.numpy() for key, value in state_dict.items()})


class _Inner(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proj = torch.nn.Linear(3, 2)

    def forward(self, pixels):
        return self.proj(pixels)


def _make_script(folder: Path) -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(_Inner(), torch.nn.ReLU())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(module, torch.ones(1, 3)).save(folder / "a.pt")


def _tensors(name: str) -> Callable[[Path], Any]:
    return lambda folder: readers.read_checkpoint(folder / name).tensors


def _own_safetensors(path: Path) -> dict[str, np.ndarray]:
    content = path.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:begin])
    header.pop("__metadata__", None)
    dtypes = {"F32": np.float32, "F16": np.float16, "F64": np.float64, "I32": np.int32}
    dtypes |= {"I16": np.int16, "U32": np.uint32, "U16": np.uint16, "I64": np.int64}
    return {
        key: np.frombuffer(
            content[begin:][slice(*entry["data_offsets"])], dtypes[entry["dtype"]]
        ).reshape(entry["shape"])
        for key, entry in header.items()
    }


def _make_safetensors(folder: Path) -> None:
    save_file(small_arrays(), folder / "a.safetensors")


_BLOBS = {"pred_w": "visual.proj", "pred_b": "text.bias"}


def _make_caffe2(folder: Path) -> None:
    blobs = {name: small_arrays()[key] for name, key in _BLOBS.items()}
    (folder / "a.pkl").write_bytes(pickle.dumps({"blobs": blobs, "cfg": "TRAIN: 1"}, 2))


class _NumpyUnpickler(pickle.Unpickler):
    """Python's own reading, which finds nothing but what arrays are made of."""

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "numpy" or (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name}")


def _as_pickle_reads(folder: Path, content: dict[str, np.ndarray]) -> bool:
    with (folder / "a.pkl").open("rb") as file:
        blobs = _NumpyUnpickler(file, encoding="latin1").load()["blobs"]
    return is_same(content, {caffe2.torch_key(name): array for name, array in blobs.items()})


def _make_folder(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "clip", "projection_dim": 64}')
    files = {"a.safetensors": ["visual.proj"], "b.safetensors": ["text.bias", "logit_scale"]}
    for name, keys in files.items():
        save_file({key: small_arrays()[key] for key in keys}, folder / name)
    weight_map = {key: name for name, keys in files.items() for key in keys}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def _read_folder(folder: Path) -> Any:
    found = readers.read_checkpoint(folder)
    return found.tensors, dict(found.config)


def _as_parts_say(folder: Path, content: Any) -> bool:
    tensors, config = content
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    own: dict[str, np.ndarray] = {}
    for name in set(index["weight_map"].values()):
        own |= _own_safetensors(folder / name)
    return is_same(tensors, own) and config == json.loads((folder / "config.json").read_text())


def _make_hub_cache(folder: Path) -> None:
    (folder / "blobs").mkdir()
    (folder / "snapshots" / "main").mkdir(parents=True)
    save_file(small_arrays(), folder / "new")
    digest = hashlib.sha256((folder / "new").read_bytes()).hexdigest()
    (folder / "new").rename(folder / "blobs" / digest)
    link = folder / "snapshots" / "main" / "model.safetensors"
    link.symlink_to(f"../../blobs/{digest}")
    link.with_name("config.json").write_text('{"model_type": "clip"}')


def _read_hub_cache(folder: Path) -> Any:
    found = readers.read_checkpoint(folder / "snapshots" / "main")
    return found.tensors, readers.digests(found.files)


_OPEN_CLIP = {
    "model_cfg": {
        "embed_dim": 64,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 128, "patch_size": 16},
        "text_cfg": {"context_length": 12, "vocab_size": 50, "width": 64, "heads": 4, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.5, 0.25, 0.0], "std": [0.5, 1.0, 0.25]},
}


def _make_open_clip(folder: Path) -> None:
    (folder / "open_clip_config.json").write_text(json.dumps(_OPEN_CLIP))


def _read_open_clip(folder: Path) -> Any:
    path = folder / "open_clip_config.json"
    content = readers.read_json(path)
    try:
        description = configs.describe_open_clip(content, source=str(path))
    except UserError:
        raise
    except ValueError as error:  # a contradiction, which `convert` says with the file's name
        raise UserError(str(error)) from error
    return description, configs.open_clip_normalisation(content, source=str(path))


def _as_open_clip_says(folder: Path, content: Any) -> bool:
    found, normalisation = content[0].architecture, content[1]
    config = json.loads((folder / "open_clip_config.json").read_text())
    model, pixels = config["model_cfg"], config.get("preprocess_cfg") or {}
    vision, text = model["vision_cfg"], model["text_cfg"]
    return (
        found.embed_dim == model["embed_dim"]
        and found.image_size == vision.get("image_size", 224)
        and found.vision_layers == vision.get("layers", 12)
        and found.vision_width == vision.get("width", 768)
        and found.patch_size == vision.get("patch_size", 16)
        and found.context_length == text.get("context_length", 77)
        and found.vocab_size == text.get("vocab_size", 49408)
        and (found.text_width, found.text_heads) == (text.get("width", 512), text.get("heads", 8))
        and found.text_layers == text.get("layers", 12)
        and np.allclose(normalisation.mean, np.multiply(pixels.get("mean", CLIP.mean), 255.0))
        and np.allclose(normalisation.std, np.multiply(pixels.get("std", CLIP.std), 255.0))
        if pixels.get("mean") or pixels.get("std")
        else normalisation == CLIP
    )


def _metadata() -> WeightsMetadata:
    description = configs.describe_open_clip(_OPEN_CLIP, source="")
    return WeightsMetadata(description, CLIP, {"a.pt": "00"}, ("visual.proj",))


def _make_weights(folder: Path) -> None:
    arrays = {key: value.astype(np.float32) for key, value in small_arrays().items()}
    save_weights(folder / "weights", arrays, _metadata())


def _read_weights(folder: Path) -> Any:
    parameters, metadata = load_weights(folder / "weights")
    return dict(sorted(parameters.items())), metadata


FORMATS = (
    Format("torch archive", _make_torch, _tensors("a.pth")),
    Format("torch file before 1.6", _make_legacy, _tensors("a.pth"), as_written=_as_torch_reads),
    Format("TorchScript archive", _make_script, _tensors("a.pt")),
    Format(
        "safetensors",
        _make_safetensors,
        _tensors("a.safetensors"),
        as_written=lambda folder, found: is_same(found, _own_safetensors(folder / "a.safetensors")),
    ),
    Format("Caffe2 file", _make_caffe2, _tensors("a.pkl"), as_written=_as_pickle_reads),
    Format("Hugging Face folder", _make_folder, _read_folder, as_written=_as_parts_say),
    Format("Hugging Face cache", _make_hub_cache, _read_hub_cache, files=("blobs/*",)),
    Format(
        "OpenCLIP configuration", _make_open_clip, _read_open_clip, as_written=_as_open_clip_says
    ),
    Format("weights folder", _make_weights, _read_weights),
)
