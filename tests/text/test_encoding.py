"""Texts through the tower, only as far as they go, beside all 77 tokens of each."""

import socket
import subprocess
import sys

import encode_on_devices
import golden
import jax
import numpy as np
import pytest
import small_tower
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import ROOT, on_devices

from animal_clip_jax.classes.features import class_texts, encode_classes, pool
from animal_clip_jax.conversion.openai_names import torch_names
from animal_clip_jax.models import parameters
from animal_clip_jax.models.architectures import ClipArchitecture, heads_of
from animal_clip_jax.models.description import ModelDescription, build
from animal_clip_jax.text import encoding
from animal_clip_jax.text.tokenizer import tokenize


def relative_error(found, expected) -> float:
    difference = np.asarray(found, np.float64) - np.asarray(expected, np.float64)
    return float(np.linalg.norm(difference) / np.linalg.norm(expected))


def encode_in_full(tower, texts) -> np.ndarray:
    graphdef, values = parameters.split(tower)
    encode = jax.jit(lambda values, tokens: parameters.merge(graphdef, values)(tokens))
    return np.asarray(encode(values, tokenize(texts)))


@pytest.fixture(scope="module")
def tower():
    return small_tower.tower()


def test_equals_the_encoding_of_all_tokens(tower):
    texts = small_tower.texts(100, longest=100)
    found = encoding.encode_texts(tower, texts, texts_a_device=16)
    expected = encode_in_full(tower, texts)
    assert found.features.dtype == np.float32 and found.features.shape == expected.shape
    for row, wanted in zip(found.features, expected, strict=True):
        assert relative_error(row, wanted) < 1e-6
    # Each of these words is one token; the start and the end are two more.
    assert found.num_cut == sum(len(text.split()) > 75 for text in texts) > 5


def test_a_text_that_just_fits_is_not_cut(tower):
    texts = [" ".join(["grass"] * count) for count in (74, 75, 76)]
    found = encoding.encode_texts(tower, texts)
    assert found.num_cut == 1
    np.testing.assert_array_equal(found.features[1], found.features[2])
    assert relative_error(found.features[0], found.features[1]) > 1e-3


@given(
    st.lists(st.integers(3, 77), min_size=1, max_size=200).map(np.array),
    st.integers(1, 70),
    st.sampled_from([77, 78, 80]),
)
def test_every_text_is_in_one_batch_that_is_long_enough(lengths, batch_size, context_length):
    batches = encoding.plan_batches(lengths, batch_size, context_length)
    indices = np.concatenate([batch.indices for batch in batches])
    np.testing.assert_array_equal(np.sort(indices), np.arange(len(lengths)))
    assert {len(batch.indices) for batch in batches[:-1]} <= {batch_size}
    assert 1 <= len(batches[-1].indices) <= batch_size
    for batch in batches:
        longest = lengths[batch.indices].max()
        assert longest <= batch.length <= min(longest + 3, context_length)
        assert batch.length % 4 == 0 or batch.length == context_length
    assert len({batch.length for batch in batches}) <= 20


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_classes_are_pooled_from_all_their_texts(tower, pooling):
    names = ["Walking", "Eating", "Common Crane"]
    texts = class_texts("templates", names, "animal")
    found = encode_classes(tower, texts, pooling=pooling)
    for row, of_class in zip(found, texts, strict=True):
        assert relative_error(row, getattr(encode_in_full(tower, of_class), pooling)(0)) < 1e-6


def test_a_pooling_that_does_not_exist():
    with pytest.raises(ValueError, match="config.prompts.pooling is 'sum'; expected 'max' or"):
        pool(np.zeros((2, 2, 2)), "sum")


def test_published_class_features():
    """The tokens, and the features after the maximum, that the published program recorded."""
    config, figures = golden.load()
    architecture = ClipArchitecture(
        embed_dim=config["embed"],
        image_size=config["res"],
        patch_size=config["patch"],
        vision_width=config["vw"],
        vision_layers=config["vl"],
        vision_heads=heads_of(config["vw"]),
        text_width=config["tw"],
        text_layers=config["tl"],
        text_heads=heads_of(config["tw"]),
        context_length=config["ctx"],
        vocab_size=config["vocab"],
    )
    graphdef, abstract = parameters.abstract(
        lambda: build(ModelDescription("clip", architecture), rngs=parameters.rngs_for_shapes())
    )
    values = {}
    for path, (key, layout) in torch_names(abstract).items():
        shape = abstract[path].shape
        values[path] = layout.from_torch(golden.weight(key, layout.torch_shape(shape)), shape)
    tower = parameters.merge(graphdef, values).text
    for kind in ("action", "animal"):
        features = encoding.encode_tokens(tower, figures[f"{kind}_tokens"].astype(np.int32))
        pooled = pool(features.reshape(-1, config["D"], config["embed"]), "max")
        assert relative_error(pooled, figures[f"{kind}_features"]) < 1e-6


def start(devices: int, *arguments) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "tests/text/encode_on_devices.py", *map(str, arguments)],
        cwd=ROOT,
        env=on_devices(devices),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said_by(process: subprocess.Popen) -> str:
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return output


def expected_features() -> tuple[np.ndarray, np.ndarray]:
    tower = parameters.merge(*small_tower.model()).text
    texts = small_tower.texts(37), small_tower.texts(5, seed=1)
    return tuple(encode_in_full(tower, names) for names in texts)


def assert_expected(path) -> None:
    with np.load(path) as found:
        for name, wanted in zip(("action", "animal"), expected_features(), strict=True):
            assert found[f"{name}_features"].shape == wanted.shape
            for row, wanted_row in zip(found[f"{name}_features"], wanted, strict=True):
                assert relative_error(row, wanted_row) < 1e-6


def test_eight_devices_encode_as_one(tmp_path):
    """37 and 5 texts divide over none of the meshes. Each device computes an eighth."""
    meshes = ("8,1,1", "2,2,2")
    processes = [start(8, tmp_path / f"{mesh}.npz", "none", mesh) for mesh in meshes]
    for mesh, process in zip(meshes, processes, strict=True):
        assert said_by(process) == "actions: encoding 37 texts\nanimals: encoding 5 texts\n"
        assert_expected(tmp_path / f"{mesh}.npz")
    alone = encode_on_devices.flops_of_a_device(small_tower.tower(), encoding.one_device())
    for mesh in meshes:
        with np.load(tmp_path / f"{mesh}.npz") as found:
            assert found["flops"] == pytest.approx(alone / 8, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("filled", [0, 1])
def test_processes_whose_caches_differ(tmp_path, filled):
    """Only one of the two has the features; what process 0 has counts."""
    folders = [tmp_path / "cache0", tmp_path / "cache1"]
    encode_on_devices.main(tmp_path / "before.npz", folders[filled], "1,1,1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    processes = [
        start(2, tmp_path / f"{index}.npz", folders[index], "2,2,1", address, 2, index)
        for index in range(2)
    ]
    said = [said_by(process) for process in processes]
    assert ("encoding 37 texts" if filled else "features of 37 texts, read from") in said[0]
    assert "texts" not in said[1]
    for index in range(2):
        assert_expected(tmp_path / f"{index}.npz")
