import dataclasses
import os

import numpy as np
import pytest

from animal_clip_jax.conversion import weights
from animal_clip_jax.conversion.weights import WeightsMetadata, load_weights, save_weights
from animal_clip_jax.models.architectures import ARCHITECTURES
from animal_clip_jax.models.description import ModelDescription
from animal_clip_jax.models.normalisation import CLIP

METADATA = WeightsMetadata(
    model=ModelDescription(
        "animal_clip",
        ARCHITECTURES["ViT-B/16"],
        num_frames=8,
        integration_layers=1,
        integration_heads=8,
        prompt_layers=3,
        prompt_heads=8,
        graph_width=256,
    ),
    normalisation=CLIP,
    source_files={"weights.pth": "0" * 64},
    initialised=("graph.layers.0.kernel",),
)
PARAMETERS = {
    "visual.blocks.0.mlp.expand.kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "visual.blocks.0.mlp.expand.bias": np.float32([1e-45, -0.0, np.inf]),
    "logit_scale": np.float32(0.1),
}


def test_what_is_saved_is_loaded(tmp_path):
    save_weights(tmp_path / "weights", PARAMETERS, METADATA)
    parameters, metadata = load_weights(tmp_path / "weights")
    assert metadata == METADATA
    assert parameters.keys() == PARAMETERS.keys()
    for path, expected in PARAMETERS.items():
        assert isinstance(parameters[path], np.ndarray)
        assert parameters[path].dtype == np.float32
        assert parameters[path].tobytes() == expected.tobytes()
        assert parameters[path].shape == expected.shape


def test_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_weights("weights", PARAMETERS, METADATA)
    assert load_weights(tmp_path / "weights")[1] == load_weights("weights")[1]


def test_writes_over_nothing_unless_told(tmp_path):
    path = tmp_path / "weights"
    save_weights(path, PARAMETERS, METADATA)
    other = dataclasses.replace(METADATA, initialised=())
    with pytest.raises(FileExistsError, match=f"{path}: already exists"):
        save_weights(path, {}, other)
    assert load_weights(path)[1] == METADATA
    save_weights(path, {"a": np.float32(1)}, other, overwrite=True)
    parameters, metadata = load_weights(path)
    assert metadata == other and list(parameters) == ["a"]


def test_never_writes_over_what_is_not_a_checkpoint(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "fox.jpg").write_bytes(b"fox")
    with pytest.raises(FileExistsError, match="not a weights checkpoint"):
        save_weights(tmp_path / "photos", PARAMETERS, METADATA, overwrite=True)
    assert (tmp_path / "photos" / "fox.jpg").read_bytes() == b"fox"


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing: no such checkpoint"):
        load_weights(tmp_path / "nothing")


def test_a_folder_of_something_else(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path}: not a weights checkpoint"):
        load_weights(tmp_path)


def _largest_file(path):
    files = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    return max(files, key=os.path.getsize)


def test_damaged_arrays(tmp_path):
    path = tmp_path / "weights"
    large = {"a": np.random.default_rng(0).standard_normal((300, 300)).astype(np.float32)}
    save_weights(path, large, METADATA)
    file = _largest_file(path)
    os.truncate(file, os.path.getsize(file) // 2)
    with pytest.raises(ValueError, match=f"{path}: the checkpoint is damaged or incomplete"):
        load_weights(path)


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"format": "other", "version": 1}', '{"format": 3}']
)
def test_damaged_metadata(tmp_path, content):
    path = tmp_path / "weights"
    save_weights(path, PARAMETERS, METADATA)
    (path / "metadata" / "metadata").write_text(content)
    with pytest.raises(ValueError, match=f"{path}: the checkpoint is damaged or incomplete"):
        weights.load_weights(path)
