import dataclasses
import json
import os
import shutil

import numpy as np
import orbax.checkpoint as ocp
import pytest

from animal_clip_jax.conversion import weights
from animal_clip_jax.conversion.weights import WeightsMetadata, load_weights, save_weights
from animal_clip_jax.errors import DamagedError, UserError
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


def test_every_value_that_is_changed_is_noticed(tmp_path):
    """What Orbax itself reads as other values without a word."""
    path = tmp_path / "weights"
    save_weights(path, PARAMETERS, METADATA)
    for name, array in PARAMETERS.items():
        changed = np.array(array)
        changed.reshape(-1).view(np.uint8)[-1] ^= 1
        _replace_parameters(path, {**PARAMETERS, name: changed})
        with pytest.raises(
            DamagedError, match=f"{path}: .*{name} has other values than were saved"
        ):
            load_weights(path)
    _replace_parameters(path, {**PARAMETERS, "b": np.float32(1)})
    with pytest.raises(DamagedError, match="b has other values"):
        load_weights(path)
    _replace_parameters(path, {"logit_scale": PARAMETERS["logit_scale"]})
    with pytest.raises(DamagedError, match="bias is missing, and 1 more of 3 arrays"):
        load_weights(path)
    _replace_parameters(path, PARAMETERS)
    load_weights(path)


def _replace_parameters(path, parameters):
    shutil.rmtree(path / "parameters")
    with ocp.PyTreeCheckpointer() as checkpointer:
        arrays = {name: np.asarray(value) for name, value in parameters.items()}
        checkpointer.save(path / "parameters", arrays)


@pytest.mark.parametrize(
    "change", [{"version": 1}, {"initialised": []}, {"digest": None}, {"digests": {}}, {"more": 1}]
)
def test_changed_metadata_is_noticed(tmp_path, change):
    path = tmp_path / "weights"
    save_weights(path, PARAMETERS, METADATA)
    file = path / "metadata" / "metadata"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    for load in (load_weights, weights.load_metadata):
        with pytest.raises(DamagedError, match=f"{path}: .*its description is another than was"):
            load(path)


def test_weights_of_an_older_version_have_no_digests(tmp_path):
    path = tmp_path / "weights"
    save_weights(path, PARAMETERS, METADATA)
    file = path / "metadata" / "metadata"
    file.write_text(json.dumps({**METADATA.to_json(), "version": 1}))
    assert load_weights(path)[1] == METADATA


def test_digests_count_whatever_version_is_said(tmp_path):
    path = tmp_path / "weights"
    save_weights(path, PARAMETERS, METADATA)
    _replace_parameters(path, {**PARAMETERS, "logit_scale": np.float32(1)})
    file = path / "metadata" / "metadata"
    content = {**json.loads(file.read_text()), "version": 1}
    del content["digest"]
    file.write_text(json.dumps(content))
    with pytest.raises(DamagedError, match="logit_scale has other values"):
        load_weights(path)


def test_pipes_are_not_waited_for(tmp_path):
    path = tmp_path / "weights"
    save_weights(path, PARAMETERS, METADATA)
    manifest = path / "parameters" / "manifest.ocdbt"
    manifest.unlink()
    os.mkfifo(manifest)
    with pytest.raises(UserError, match=f"{manifest} is a pipe"):
        load_weights(path)


def test_a_failure_leaves_the_former_weights(tmp_path):
    path = tmp_path / "weights"
    save_weights(path, PARAMETERS, METADATA)
    with pytest.raises(TypeError):
        save_weights(path, {"a": np.float32(1)}, METADATA, overwrite=True, texts={"names": 5})
    assert load_weights(path)[0].keys() == PARAMETERS.keys() and os.listdir(tmp_path) == ["weights"]
    save_weights(path, {"a": np.float32(1)}, METADATA, overwrite=True, texts={"names": "a"})
    assert list(load_weights(path)[0]) == ["a"] and (path / "names").read_text() == "a"


def test_readers_find_what_was_moved_away_by_a_process_that_was_killed(tmp_path):
    path = tmp_path / "weights"
    save_weights(path, PARAMETERS, METADATA)
    (tmp_path / ".weights.incomplete").mkdir()
    path.rename(tmp_path / ".weights.incomplete" / "former")
    assert weights.is_weights(path) and load_weights(path)[1] == METADATA
    with pytest.raises(FileExistsError, match="already exists"):
        save_weights(path, {}, METADATA)
    save_weights(path, {"a": np.float32(1)}, METADATA, overwrite=True)
    assert list(load_weights(path)[0]) == ["a"] and os.listdir(tmp_path) == ["weights"]


def test_a_full_disk(small_disk):
    """The former weights stay, and nothing of the new ones."""
    path = small_disk / "weights"
    save_weights(path, PARAMETERS, METADATA)
    large = {"a": np.random.default_rng(0).standard_normal((1000, 1000)).astype(np.float32)}
    message = f"^{path}: a weights checkpoint needs 3.8 MiB, but the disk has 0.[0-9] MiB left$"
    with pytest.raises(UserError, match=message):
        save_weights(path, large, METADATA, overwrite=True)
    assert load_weights(path)[1] == METADATA and os.listdir(small_disk) == ["weights"]
