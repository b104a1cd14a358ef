"""What a recogniser sees in a run's clips is computed once, and kept by what it depends on."""

import dataclasses

import numpy as np
import pytest
import tiny_run
from etils import epath

from animal_clip_jax.errors import MissingFileError, UserError
from animal_clip_jax.parallel.mesh import make_mesh
from animal_clip_jax.recognition.linear_probe import (
    fit_linear_probe,
    held_out_probabilities,
)
from animal_clip_jax.run import animals
from animal_clip_jax.run.animals import FEATURES_FOLDER, PROBE_FILE, AnimalRecognition, multi_hot
from animal_clip_jax.run.data import ClipSet, whole_split
from data_pipeline.dataset import load_info


@pytest.fixture
def clips(data) -> ClipSet:
    return whole_split(str(data), "train")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> epath.Path:
    """A run's folder that all tests here share, so that clips are looked at once."""
    return epath.Path(tmp_path_factory.mktemp("run"))


@pytest.fixture
def recognition_in(data, recogniser_folder):
    def make(folder, *, names=None, train=None, **fields) -> AnimalRecognition:
        config = tiny_run.config_on(
            data, **{"animals__weights": str(recogniser_folder), "prompts__cache": "none", **fields}
        )
        names = load_info(data).animal_names if names is None else names
        return AnimalRecognition(
            config, epath.Path(folder), names, make_mesh(config.mesh), train=train
        )

    return make


def kept(folder, beginning: str) -> set[str]:
    path = epath.Path(folder) / FEATURES_FOLDER
    files = path.iterdir() if path.exists() else ()
    return {file.name for file in files if file.name.startswith(beginning)}


@pytest.fixture
def counted(monkeypatch):
    """Counts calls of functions of `run.animals`."""
    calls: dict[str, int] = {}

    def count(name: str) -> None:
        original = getattr(animals, name)

        def counting(*arguments, **named):
            calls[name] = calls.get(name, 0) + 1
            return original(*arguments, **named)

        monkeypatch.setattr(animals, name, counting)

    for name in ("image_features", "held_out_probabilities", "fit_linear_probe"):
        count(name)
    return calls


def test_image_features_are_kept_by_split_recogniser_and_frames(
    recognition_in, clips, data, folder, counted
):
    found = recognition_in(folder).image_features(clips)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    (name,) = kept(folder, "train-")
    before = counted.get("image_features", 0)
    np.testing.assert_array_equal(recognition_in(folder).image_features(clips), found)
    assert counted.get("image_features", 0) == before
    # Some of the clips are rows of the same file.
    rows = np.array([5, 2, 11])
    some = ClipSet("validation", "train", rows, clips.index.take(rows))
    np.testing.assert_array_equal(recognition_in(folder).image_features(some), found[rows])
    assert counted.get("image_features", 0) == before and kept(folder, "") >= {name}

    fewer = recognition_in(folder, animals__num_frames=1).image_features(clips)
    assert counted["image_features"] == before + 1
    assert np.abs(fewer - found).max() > 1e-3
    assert len(kept(folder, "train-")) == 2


def test_a_clip_is_seen_alike_in_the_pipeline_and_as_frames(recognition_in, folder, clips, data):
    """The frames of the pipeline, encoded by hand."""
    from data_pipeline.batches.input import evaluation_batches

    recognition = recognition_in(folder)
    expected = recognition.image_features(clips)[:4]
    batch = next(
        evaluation_batches(
            data,
            split="train",
            num_frames=4,
            image_size=recognition.recogniser.architecture.image_size,
            batch_size=4,
        )
    )
    found = recognition.encode_frames(batch["frames"][:, 0])
    assert list(batch["clip_id"]) == list(clips.index.clip_ids[:4])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_damaged_file_is_made_anew(recognition_in, clips, folder, tmp_path):
    found = recognition_in(folder).image_features(clips)
    copy = tmp_path / "run"
    (copy / FEATURES_FOLDER).mkdir(parents=True)
    name = min(kept(folder, "train-"))
    for content in (b"", b"no archive", (folder / FEATURES_FOLDER / name).read_bytes()[:200]):
        for file in kept(folder, "train-"):
            (copy / FEATURES_FOLDER / file).write_bytes(content)
        again = recognition_in(copy).image_features(clips)
        np.testing.assert_allclose(again, found, rtol=1e-5, atol=1e-6)


def test_held_out_probabilities_are_fitted_once(
    recognition_in, clips, data, folder, tmp_path, counted
):
    features = recognition_in(folder).image_features(clips)
    names = load_info(data).animal_names
    annotated = multi_hot(clips.index, len(names))

    def held_out(**fields) -> np.ndarray:
        recognition = recognition_in(folder, **fields)
        given = recognition.weights("learned", clips, is_training=True)
        assert list(given) == list(clips.index.clip_ids)
        return np.stack(list(given.values()))

    found = held_out()
    expected = held_out_probabilities(
        features, annotated, clips.index.clip_ids, names, l2=1e-3, top_k=5
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert counted["held_out_probabilities"] == 1
    first = kept(folder, "held_out_")
    np.testing.assert_array_equal(held_out(), found)
    assert counted["held_out_probabilities"] == 1 and kept(folder, "held_out_") == first

    files = {frozenset(first)}
    for number, fields in enumerate(
        ({"animals__head_l2": 1e-2}, {"animals__top_k": 2}, {"animals__num_frames": 1}), start=2
    ):
        assert np.abs(held_out(**fields) - found).max() > 1e-4, fields
        assert counted["held_out_probabilities"] == number
        files.add(frozenset(kept(folder, "held_out_")))
    assert len(files) == 4 and len(kept(folder, "held_out_")) == 4

    # Other labels of the same clips, and the same labels under other names.
    others = tuple(animals[::-1] or (0,) for animals in clips.index.animals[1:]) + ((0,),)
    relabelled = ClipSet("train", "train", None, dataclasses.replace(clips.index, animals=others))
    recognition_in(folder).weights("learned", relabelled, is_training=True)
    assert len(kept(folder, "held_out_")) == 5
    renamed = tuple(f"a {name}" for name in names)
    recognition_in(folder, names=renamed).weights("learned", clips, is_training=True)
    assert len(kept(folder, "held_out_")) == 6 and counted["held_out_probabilities"] == 6
    np.testing.assert_array_equal(held_out(), found)
    assert counted["held_out_probabilities"] == 6


def test_the_probe_is_fitted_once_to_the_training_clips(
    recognition_in, clips, data, folder, counted
):
    with pytest.raises(MissingFileError, match=f"{PROBE_FILE}: this run has learned no animals"):
        recognition_in(folder).probe()
    names = load_info(data).animal_names
    probe = recognition_in(folder, train=clips).probe()
    features = recognition_in(folder).image_features(clips)
    expected = fit_linear_probe(features, multi_hot(clips.index, len(names)), names, l2=1e-3)
    np.testing.assert_allclose(
        probe.probabilities(features), expected.probabilities(features), rtol=1e-4, atol=1e-5
    )
    assert counted["fit_linear_probe"] == 1
    again = recognition_in(folder).probe()
    np.testing.assert_array_equal(again.kernel, probe.kernel)
    # Its columns go with the names.
    other = recognition_in(folder).for_animals((names[3], "Okapi", names[0])).probe()
    np.testing.assert_array_equal(other.kernel[:, [0, 2]], probe.kernel[:, [3, 0]])
    assert counted["fit_linear_probe"] == 1
    for fields in ({"animals__head_l2": 1e-2}, {"animals__num_frames": 1}):
        with pytest.raises(UserError, match=f"{PROBE_FILE}: fitted with another image"):
            recognition_in(folder, **fields).probe()


def test_another_recogniser_than_the_runs_is_refused(recognition_in, data, recogniser_folder):
    config = tiny_run.config_on(data, animals__weights=str(recogniser_folder))
    with pytest.raises(UserError, match=f"{recogniser_folder} .*is not the image–text model"):
        animals.load_recogniser(config, "0" * 64)
    digest = animals.load_recogniser(config).digest
    assert animals.load_recogniser(config, digest).digest == digest
    config.animals.weights = "/no/such/folder"
    message = f"not at /no/such/folder, which config.animals.weights names .SHA-256 {digest[:16]}"
    with pytest.raises(MissingFileError, match=message):
        animals.load_recogniser(config, digest)
