"""Folders of checkpoints in several files; test_conversion.py reads single ones."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from animal_clip_jax.conversion.readers import read_checkpoint


@pytest.fixture
def folder(tmp_path):
    """A Hugging Face folder with a file beside its index, one below and one outside."""
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "clip"}')
    for place in (folder, folder / "below", tmp_path):
        save_file({"weight": np.float32([1, 2])}, place / "a.safetensors")
    save_file({"bias": np.float32([3])}, folder / "b-00002..of-00002.safetensors")
    return folder


def write_index(folder, weight_map) -> None:
    content = {"metadata": {"total_size": 12}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(content))


def test_the_files_that_an_index_names_are_read_together(folder):
    names = {"weight": "a.safetensors", "bias": "b-00002..of-00002.safetensors"}
    write_index(folder, names)
    found = read_checkpoint(folder)
    assert {key: value.tolist() for key, value in found.tensors.items()} == {
        "weight": [1, 2],
        "bias": [3],
    }
    assert found.files == tuple(folder / name for name in names.values())


@pytest.mark.parametrize(
    "name",
    [
        "../a.safetensors",
        "{outside}/a.safetensors",
        "../folder/a.safetensors",
        "{outside}/folder/a.safetensors",
        "below/a.safetensors",
        "below/../../a.safetensors",
        "./a.safetensors",
        "a.safetensors/",
    ],
)
def test_an_index_names_no_file_elsewhere(folder, name):
    """Whoever wrote the index does not choose what is read on the machine where it is converted;
    all of these files exist, and no link is among them."""
    name = name.format(outside=folder.parent)
    assert (folder / name).is_file()
    write_index(folder, {"bias": "b-00002..of-00002.safetensors", "weight": name})
    with pytest.raises(ValueError, match=r"index\.json: weight_map is not .* files beside"):
        read_checkpoint(folder)


@pytest.mark.parametrize("weight_map", [None, [], "a.safetensors", {"weight": 1}, {"a": None}])
def test_an_index_that_is_no_table_of_names(folder, weight_map):
    write_index(folder, weight_map)
    with pytest.raises(ValueError, match=r"index\.json: weight_map is not a table"):
        read_checkpoint(folder)
