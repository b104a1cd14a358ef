"""Features on disk: what a hit is, what a damaged or half-written entry is, who may write."""

import dataclasses
import pathlib
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
import small_tower
from tiny_run import ROOT

from animal_clip_jax.classes.features import encode_classes
from animal_clip_jax.models import parameters
from animal_clip_jax.models.text import TextTower
from animal_clip_jax.parallel.mesh import AXES, make_mesh
from animal_clip_jax.text.encoding import TextFeatures
from animal_clip_jax.text.feature_cache import (
    DamagedEntry,
    FeatureCache,
    cache_folder,
    entry_key,
    tower_digest,
)

TEXTS = ["one", "two", "three", "four", "five", "six"]
CLASSES = [TEXTS[:3], TEXTS[3:]]
MESH = make_mesh(dict.fromkeys(AXES, 1), jax.devices()[:1])


@pytest.fixture(scope="module")
def tower() -> TextTower:
    return small_tower.tower()


@pytest.fixture
def cache(tower, tmp_path) -> FeatureCache:
    return FeatureCache.open(tmp_path / "cache", tower, MESH)


def some_features(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((len(TEXTS), 64)).astype(np.float32)


def test_the_second_start_gets_the_same_bytes(tower, cache):
    first_said, second_said = [], []
    first = encode_classes(tower, CLASSES, cache=cache, what="actions", say=first_said.append)
    again = FeatureCache.open(cache.folder, tower, MESH)
    second = encode_classes(tower, CLASSES, cache=again, what="actions", say=second_said.append)
    assert first.tobytes() == second.tobytes()
    assert first_said == ["actions: encoding 6 texts"]
    assert second_said == [f"actions: features of 6 texts, read from {cache.folder}"]
    assert first.tobytes() == encode_classes(tower, CLASSES).tobytes()


def test_a_hit_does_not_ask_the_tower(tower, cache):
    """What is stored here is nothing that the tower would say."""
    stored = some_features()
    cache.write(TEXTS, TextFeatures(stored, num_cut=2))
    for pooling in ("max", "mean"):
        said = []
        found = encode_classes(tower, CLASSES, cache=cache, pooling=pooling, say=said.append)
        expected = getattr(stored.reshape(2, 3, 64), pooling)(axis=1)
        np.testing.assert_array_equal(found, expected)
        assert said[1] == (
            "classes: 2 of 6 texts are longer than the text tower's 77 tokens and were cut"
        )


def test_texts_that_are_cut_are_counted(tower):
    said = []
    texts = [["a fox", "grass " * 75], ["grass " * 76, "grass " * 200]]
    encode_classes(tower, texts, what="actions", say=said.append)
    assert said[1:] == [
        "actions: 2 of 4 texts are longer than the text tower's 77 tokens and were cut"
    ]


@pytest.mark.parametrize(
    "texts",
    [
        [*TEXTS[:5], "Six"],
        [*TEXTS[:5], "six "],
        TEXTS[::-1],
        TEXTS[:5],
        [*TEXTS, "seven"],
        ["one two", *TEXTS[2:], ""],
        ['one", "two', *TEXTS[2:]],
    ],
)
def test_other_texts_are_not_found(cache, texts):
    cache.write(TEXTS, TextFeatures(some_features(), 0))
    assert cache.read(texts) is None


def test_another_tower_is_another_tower(tower):
    graphdef, values = parameters.split(tower)
    digests = {tower_digest(tower)}
    assert tower_digest(parameters.merge(graphdef, values)) in digests
    for path in values:
        changed = np.array(values[path])
        changed.flat[-1] = np.nextafter(changed.flat[-1], np.float32(9))
        digests.add(tower_digest(parameters.merge(graphdef, {**values, path: changed})))
    assert len(digests) == 1 + len(values)
    digests.add(tower_digest(small_tower.tower(dtype="bfloat16")))
    exact = dataclasses.replace(small_tower.ARCHITECTURE, activation="gelu")
    digests.add(tower_digest(small_tower.tower(architecture=exact)))
    assert len(digests) == 3 + len(values)


def test_a_tower_of_other_weights_gets_its_own_features(tower, cache):
    ours = encode_classes(tower, CLASSES, cache=cache)
    other = small_tower.tower(seed=1)
    other_cache = FeatureCache.open(cache.folder, other, MESH)
    theirs = encode_classes(other, CLASSES, cache=other_cache)
    assert theirs.tobytes() == encode_classes(other, CLASSES).tobytes() != ours.tobytes()
    assert len(list(cache.folder.iterdir())) == 2


def test_the_key_depends_on_all_that_the_features_depend_on():
    known = {"tower": "a", "tokenizer": "b", "arithmetic": "cpu default"}
    keys = {entry_key(TEXTS, **known)}
    for name in known:
        keys.add(entry_key(TEXTS, **{**known, name: "c"}))
    assert len(keys) == 4


def truncate(entry: pathlib.Path) -> None:
    entry.write_bytes(entry.read_bytes()[:-5])


def cut_in_half(entry: pathlib.Path) -> None:
    content = entry.read_bytes()
    entry.write_bytes(content[: len(content) // 2])


def flip_a_bit(entry: pathlib.Path) -> None:
    content = bytearray(entry.read_bytes())
    content[len(content) // 2] ^= 1
    entry.write_bytes(content)


def store(**arrays):
    return lambda entry: np.savez(entry, **arrays)


def empty(entry: pathlib.Path) -> None:
    entry.write_bytes(b"")


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        cut_in_half,
        flip_a_bit,
        empty,
        store(features=some_features()),
        store(num_cut=0),
        store(features=some_features()[:5], num_cut=0),
        store(features=some_features()[:, 0], num_cut=0),
        store(features=some_features().astype(np.float64), num_cut=0),
        store(features=some_features(), num_cut=[1, 2]),
        store(features=np.array([{"a": 1}], object), num_cut=0),
    ],
)
def test_a_damaged_entry_is_said_and_replaced(tower, cache, damage):
    expected = encode_classes(tower, CLASSES, cache=cache)
    (entry,) = cache.folder.iterdir()
    damage(entry)
    with pytest.raises(DamagedEntry, match=f"{entry} is damaged: "):
        cache.read(TEXTS)
    said = []
    found = encode_classes(tower, CLASSES, cache=cache, what="animals", say=said.append)
    assert found.tobytes() == expected.tobytes()
    assert said[0].startswith(f"animals: {entry} is damaged: ")
    assert said[0].endswith("; it is computed and stored again")
    assert cache.read(TEXTS) is not None
    assert list(cache.folder.iterdir()) == [entry]


def test_a_folder_that_cannot_be_written(tower, tmp_path):
    (tmp_path / "file").touch()
    cache = FeatureCache.open(tmp_path / "file" / "cache", tower, MESH)
    said = []
    found = encode_classes(tower, CLASSES, cache=cache, what="actions", say=said.append)
    assert found.tobytes() == encode_classes(tower, CLASSES).tobytes()
    assert said[1].startswith("actions: the features cannot be kept for the next start: ")
    assert f"{tmp_path}/file/cache" in said[1] and "config.prompts.cache" in said[1]


def test_which_folder(monkeypatch, tmp_path):
    assert cache_folder("none") is cache_folder("None") is None
    assert cache_folder("/a/b") == pathlib.Path("/a/b")
    monkeypatch.setenv("HOME", "/home/fox")
    assert cache_folder("~/b") == pathlib.Path("/home/fox/b")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("") == tmp_path / "animal_clip_jax" / "class_features"
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        expected = pathlib.Path("/home/fox/.cache/animal_clip_jax/class_features")
        assert cache_folder("") == expected
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder("") == expected


WRITER = """
import pathlib, resource, signal, sys
import numpy as np
from animal_clip_jax.text.feature_cache import FeatureCache
from animal_clip_jax.text.encoding import TextFeatures
folder, seed, times, limit = sys.argv[1], *map(int, sys.argv[2:])
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
cache = FeatureCache(pathlib.Path(folder), "tower", "tokenizer", "arithmetic")
features = np.full((6, 10_000), seed, np.float32)
print("ready", flush=True)
for index in range(times):
    cache.write([f"{index}", *"abcde"], TextFeatures(features, seed))
"""


def start_writer(folder: pathlib.Path, seed: int, times: int, limit: int = 0):
    arguments = [str(value) for value in (folder, seed, times, limit)]
    # -B: the limit is for the cache, not for what Python compiles and keeps.
    command = [sys.executable, "-B", "-c", WRITER, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_write_that_is_killed_leaves_nothing_that_looks_whole(tmp_path):
    """The system kills a process that writes more to a file than its limit."""
    writer = start_writer(tmp_path, seed=0, times=1, limit=100_000)
    writer.communicate()
    assert writer.returncode == -signal.SIGXFSZ
    (left,) = tmp_path.iterdir()
    assert left.stat().st_size == 100_000
    cache = FeatureCache(tmp_path, "tower", "tokenizer", "arithmetic")
    texts = ["0", *"abcde"]
    assert cache.read(texts) is None
    cache.write(texts, TextFeatures(some_features(), 1))
    np.testing.assert_array_equal(cache.read(texts).features, some_features())


def test_two_write_at_once_and_one_reads(tmp_path):
    times = 100
    writers = [start_writer(tmp_path, seed, times) for seed in (1, 2)]
    cache = FeatureCache(tmp_path, "tower", "tokenizer", "arithmetic")
    found = 0
    for index in range(times):
        stored = None
        while stored is None:
            is_over = None not in [writer.poll() for writer in writers]
            stored = cache.read([f"{index}", *"abcde"])
            assert stored is not None or not is_over
        # All of one of them, whichever it was.
        assert stored.num_cut in (1, 2) and (stored.features == stored.num_cut).all()
        found += 1
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    assert found == len(list(tmp_path.iterdir())) == times


def test_the_folder_may_be_deleted(cache):
    cache.write(TEXTS, TextFeatures(some_features(), 0))
    shutil.rmtree(cache.folder)
    assert cache.read(TEXTS) is None
    cache.write(TEXTS, TextFeatures(some_features(), 0))
    assert cache.read(TEXTS) is not None
