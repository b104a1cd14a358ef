"""Runs that recognise the animals: trained, evaluated under every source, used on a video."""

import json
import pathlib
import re
import shutil

import numpy as np
import pytest
import tiny_run
from converted import describe_again
from sklearn.metrics import average_precision_score

from animal_clip_jax.classes.features import class_texts
from animal_clip_jax.conversion.weights import load_weights, save_weights
from animal_clip_jax.errors import MissingFileError, UserError
from animal_clip_jax.files import as_path
from animal_clip_jax.inference.loading import load
from animal_clip_jax.parallel.mesh import make_mesh
from animal_clip_jax.recognition.linear_probe import LinearProbe
from animal_clip_jax.run.animals import PROBE_FILE, AnimalRecognition, multi_hot
from animal_clip_jax.run.data import whole_split
from animal_clip_jax.run.evaluate import evaluate
from animal_clip_jax.run.train import train
from animal_clip_jax.run.workdir import read_config
from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.clip_index import load_index
from data_pipeline.conversion.dataset_writer import Options, convert
from data_pipeline.dataset import load_info

SOURCES = ("none", "labels", "predicted", "learned")


def config_on(data: pathlib.Path, recogniser_folder: pathlib.Path, **fields):
    recognised = {
        "animals__weights": str(recogniser_folder),
        "animals__otherwise": "predicted",
        "evaluation__animal_sources": SOURCES,
        "evaluation__temporal_views": 1,
        "evaluation__shuffle_frames": False,
        **tiny_run.PLAIN,
    }
    return tiny_run.config_on(data, **{**recognised, **fields})


@pytest.fixture(scope="module")
def workdir(data, recogniser_folder, tmp_path_factory) -> pathlib.Path:
    """A run that is told of half of its animals by a recogniser."""
    folder = tmp_path_factory.mktemp("recognised") / "run"
    train(config_on(data, recogniser_folder), folder)
    return folder


@pytest.fixture(scope="module")
def recognition(data, recogniser_folder, workdir) -> AnimalRecognition:
    return recognition_in(workdir, config_on(data, recogniser_folder))


def recognition_in(folder: pathlib.Path, config, **arguments) -> AnimalRecognition:
    names = load_info(config.data.directory).animal_names
    return AnimalRecognition(config, folder, names, make_mesh(config.mesh), **arguments)


def evaluated(config, workdir: pathlib.Path) -> dict[str, float]:
    """The figures of an evaluation of its own."""
    folder = evaluate(workdir, config).splitlines()[-1]
    return json.loads((pathlib.Path(folder) / "metrics.json").read_text())["metrics"]


def test_the_recognisers_own_figures(workdir, recognition, data):
    logged = tiny_run.logged(workdir, "evaluation")[6]
    index = load_index(data, "test")
    animals = multi_hot(index, len(load_info(data).animal_names))
    for source in ("predicted", "learned"):
        weights = recognition.weights(source, whole_split(str(data), "test"))
        assert list(weights) == list(index.clip_ids)
        found = np.stack(list(weights.values()))
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
        assert (np.count_nonzero(found, axis=1) <= 5).all()
        top1 = np.mean(animals[np.arange(len(found)), found.argmax(axis=1)])
        assert logged[f"{source}/animals_top1"] == pytest.approx(top1)
        shown = animals.any(axis=0)
        expected = average_precision_score(animals[:, shown], found[:, shown])
        assert logged[f"{source}/animals_mAP"] == pytest.approx(expected)
    assert "labels/animals_top1" not in logged
    # What the model is given changes its scores, under every source.
    assert len({logged[f"{source}/mAP"] for source in SOURCES}) == len(SOURCES)


def test_the_probe_is_kept_and_evaluation_repeats_the_figures(
    workdir, data, recogniser_folder, tmp_path
):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    shutil.rmtree(copy / "evaluations")
    probe = (copy / PROBE_FILE).read_bytes()
    found = evaluated(config_on(data, recogniser_folder), copy)
    logged = tiny_run.logged(workdir, "evaluation")[6]
    assert found == {name: logged[name] for name in logged if "/" in name}
    assert (copy / PROBE_FILE).read_bytes() == probe


def test_image_features_of_another_data_set_are_not_taken_for_these(
    workdir, recognition, other_data, data, recogniser_folder
):
    """Both have a split called test, and the same run looks at both."""
    ours = recognition.image_features(whole_split(str(data), "test"))
    other = recognition_in(workdir, config_on(other_data, recogniser_folder))
    theirs = other.image_features(whole_split(str(other_data), "test"))
    assert len(ours) == 80 and len(theirs) == 4
    np.testing.assert_array_equal(recognition.image_features(whole_split(str(data), "test")), ours)


def test_a_probe_of_another_recogniser_is_refused(workdir, data, recogniser_folder, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    with np.load(copy / PROBE_FILE) as content:
        np.savez(copy / PROBE_FILE, **{**content, "settings": np.array("another")})
    with pytest.raises(UserError, match=f"{PROBE_FILE}: fitted with another"):
        evaluate(copy, config_on(data, recogniser_folder))


def test_a_probe_is_fitted_to_the_clips_of_the_training_alone(
    workdir, other_data, data, videos, recogniser_folder, tmp_path
):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    expected = LinearProbe.from_bytes((copy / PROBE_FILE).read_bytes(), PROBE_FILE)
    (copy / PROBE_FILE).unlink()
    config = config_on(data, recogniser_folder, predict__source="learned")
    with pytest.raises(MissingFileError, match=f"{PROBE_FILE}: this run has learned no animals"):
        load(copy, config=config).predict(str(videos / "videos" / "Walking" / "Zebra_test_000.mp4"))
    other = config_on(other_data, recogniser_folder, evaluation__open_vocabulary=True)
    with pytest.raises(MissingFileError, match=f"{PROBE_FILE}: this run has learned no animals"):
        evaluate(copy, other)
    assert not (copy / PROBE_FILE).exists()
    evaluate(copy, config)
    fitted = LinearProbe.from_bytes((copy / PROBE_FILE).read_bytes(), PROBE_FILE)
    np.testing.assert_array_equal(fitted.kernel, expected.kernel)


def test_a_probe_is_not_fitted_to_other_clips_with_the_same_labels(
    workdir, data, recogniser_folder, tmp_path
):
    """A copy of the data in which clips have moved between training and test."""
    copy, moved = tmp_path / "run", tmp_path / "data"
    shutil.copytree(workdir, copy)
    shutil.copytree(data, moved)
    rows = (moved / "clips.csv").read_text().splitlines()
    first = next(index for index, row in enumerate(rows) if row.startswith("train,"))
    rows[first], rows[first + 1] = rows[first + 1], rows[first]
    (moved / "clips.csv").write_text("\n".join(rows) + "\n")
    describe_again(moved)
    (copy / PROBE_FILE).unlink()
    with pytest.raises(MissingFileError, match="this run has learned no animals"):
        evaluate(copy, config_on(moved, recogniser_folder))


def test_a_recogniser_that_is_gone_is_asked_for_by_name(
    videos, recogniser_folder, workdir, tmp_path
):
    copy, gone = tmp_path / "run", tmp_path / "gone"
    shutil.copytree(workdir, copy)
    tiny_run.change_configuration(copy, re.escape(str(recogniser_folder)), str(gone))
    video = str(videos / "videos" / "Walking" / "Zebra_test_000.mp4")
    config = read_config(as_path(copy))
    config.predict.source = "predicted"
    with pytest.raises(MissingFileError, match=f"is not at {gone}, which config.animals.weights"):
        load(copy, config=config)
    # Where it is said to be: the same one is taken wherever it lies, and another one there is not.
    shutil.copytree(recogniser_folder, gone)
    found = load(copy, config=config).predict(video)
    config.animals.weights = str(recogniser_folder)
    assert load(copy, config=config).predict(video).animals == found.animals
    shutil.rmtree(gone)
    weights, metadata = load_weights(recogniser_folder)
    changed = {**weights, "visual.class_embedding": weights["visual.class_embedding"] + 1}
    save_weights(gone, changed, metadata)
    config.animals.weights = str(gone)
    with pytest.raises(UserError, match=f"{gone} .*is not the image–text model that the run's"):
        load(copy, config=config)
    # The run itself needs it for recognised animals only.
    assert load(copy).animal_source == "none"


@pytest.mark.parametrize("source", ["predicted", "learned"])
def test_a_video_is_recognised_as_its_clip_was(
    source, workdir, recognition, data, videos, recogniser_folder
):
    model = load(workdir, config=config_on(data, recogniser_folder, predict__source=source))
    video = videos / "videos" / "Walking" / "Zebra_test_000.mp4"
    found = model.predict(video)
    assert found.animal_source == source
    names = load_info(data).animal_names
    clip = recognition.weights(source, whole_split(str(data), "test"))["Walking/Zebra_test_000"]
    weights = np.zeros(len(names))
    for name, weight in found.animals:
        weights[names.index(name)] = weight
    # A JPEG's loss apart, which a probe on features of random weights magnifies.
    np.testing.assert_allclose(weights, clip, atol=0.02 if source == "predicted" else 0.1)
    assert weights.argmax() == clip.argmax()
    assert sum(score for _, score in found.actions) == pytest.approx(1, abs=1e-5)
    given = model.predict(video, animals=["Zebra"])
    assert given.animal_source == "given" and given.animals == [("Zebra", 1.0)]


@pytest.mark.slow
def test_it_goes_on_to_the_same_end(workdir, data, recogniser_folder, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    shutil.rmtree(copy / "checkpoints" / "6")
    train(config_on(data, recogniser_folder), copy)
    tiny_run.assert_identical(tiny_run.checkpoint(copy), tiny_run.checkpoint(workdir))


@pytest.mark.slow
def test_what_it_is_told_in_training_matters(workdir, data, recogniser_folder, tmp_path):
    losses = [tiny_run.logged(workdir, "train")[6]["loss"]]
    for name, fields in (
        ("withheld", {"animals__otherwise": "none"}),
        ("learned", {"animals__source": "learned", "animals__label_dropout": 0.0}),
    ):
        config = config_on(data, recogniser_folder, **fields)
        config.evaluation.animal_sources = ("none",)
        config.evaluation.every_epochs = 2
        train(config, tmp_path / name)
        losses.append(tiny_run.logged(tmp_path / name, "train")[6]["loss"])
    assert len(set(losses)) == 3


def test_other_actions_and_animals(workdir, data, videos, recogniser_folder):
    config = config_on(data, recogniser_folder, predict__source="predicted")
    model = load(workdir, config=config)
    other = model.with_actions(["Grooming", "Walking"], animals=["Okapi", "Zebra", "Owl"])
    found = other.predict(videos / "videos" / "Walking" / "Zebra_test_000.mp4")
    assert {label for label, _ in found.actions} == {"Grooming", "Walking"}
    assert {label for label, _ in found.animals} == {"Okapi", "Zebra", "Owl"}
    # They are looked for by their descriptions: each by the other's texts, it is the other.
    names = ["Okapi", "Owl"]
    texts = class_texts(config.animals.prompts, names[::-1], "animal")
    swapped = model.with_actions(
        model.actions, animals=names, descriptions=dict(zip(names, texts, strict=True))
    )
    plain = model.with_actions(model.actions, animals=names)
    video = videos / "videos" / "Walking" / "Zebra_test_000.mp4"
    expected = dict(plain.predict(video).animals)
    assert expected["Okapi"] != expected["Owl"]
    assert dict(swapped.predict(video).animals) == pytest.approx(
        {"Okapi": expected["Owl"], "Owl": expected["Okapi"]}, abs=1e-6
    )
    with pytest.raises(UserError, match="'Fox' not among the animals \\(Okapi, Zebra, Owl\\)"):
        other.predict(videos / "videos" / "Walking" / "Zebra_test_000.mp4", animals=["Fox"])
    assert model.actions == load_info(data).action_names


@pytest.mark.slow
def test_two_processes_recognise_as_one(data, recogniser_folder, tmp_path):
    flags = [
        f"--config.animals.weights={recogniser_folder}",
        "--config.animals.otherwise=learned",
        f"--config.evaluation.animal_sources={SOURCES!r}",
        "--config.evaluation.temporal_views=1",
        "--config.epochs=1",
    ]
    alone, together = tmp_path / "alone", tmp_path / "together"
    tiny_run.finish(alone, data, *flags)
    command = tiny_run.command(together, data, *flags)
    results = tiny_run.run_processes([command, command], devices=2)
    assert [code for code, _, _ in results] == [0, 0], results[0][2] + results[1][2]
    for split in ("train", "test"):
        ours, theirs = (
            np.load(next((folder / "image_features").glob(f"{split}-*.npz")))
            for folder in (alone, together)
        )
        np.testing.assert_allclose(ours["array"], theirs["array"], atol=1e-5)
    ours, theirs = (tiny_run.logged(workdir, "evaluation")[3] for workdir in (alone, together))
    for source in ("predicted", "learned"):
        for name in ("animals_top1", "animals_top5", "animals_mAP"):
            assert theirs[f"{source}/{name}"] == pytest.approx(ours[f"{source}/{name}"], abs=1e-3)
    ours, theirs = (tiny_run.logged(workdir, "train")[3] for workdir in (alone, together))
    assert theirs["loss"] == pytest.approx(ours["loss"], rel=1e-4)


@pytest.fixture(scope="module")
def other_data(videos, tmp_path_factory) -> pathlib.Path:
    """Some of the test videos under other names: a zebra is an okapi, lying down is resting."""
    folder = tmp_path_factory.mktemp("other")
    actions = ["Resting", "Walking"]
    rows = ["video,animals,actions,split"]
    for animal, name in (("Zebra", "Okapi"), ("Fox", "Fox")):
        rows += [
            f"Walking/{animal}_test_000.mp4,{name},Walking,test",
            f"LyingDown/{animal}_test_000.mp4,{name},Resting,test",
        ]
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    for action in ("Walking", "LyingDown"):
        for animal in ("Zebra", "Fox"):
            target = folder / "videos" / action / f"{animal}_test_000.mp4"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(videos / "videos" / action / f"{animal}_test_000.mp4", target)
    annotations = read_annotations("csv", folder)
    convert("other", annotations, folder / "data", options=Options(short_side=20), workers=1)
    assert load_info(folder / "data").action_names == tuple(actions)
    return folder / "data"


def test_evaluation_on_labels_that_training_did_not_have(
    workdir, other_data, data, recogniser_folder, tmp_path
):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    config = config_on(other_data, recogniser_folder)
    config.data.num_actions = 8  # of the training
    config.evaluation.animal_sources = ("labels", "predicted", "learned")
    with pytest.raises(ValueError, match="num_actions is 8, but .* has 2"):
        evaluate(copy, config)
    config.data.train_split, config.data.num_actions = "test", 0
    with pytest.raises(ValueError, match="or set config.evaluation.open_vocabulary"):
        evaluate(copy, config)
    config.data.train_split, config.data.num_actions = "train", 8
    config.evaluation.open_vocabulary = True
    figures = evaluated(config, copy)
    assert figures["labels/clips"] == 4
    # Each of the four clips counts for one quarter; a model of two actions is never wrong about 2.
    assert 4 * figures["predicted/top1"] in range(5) and "predicted/top5" not in figures
    # Training showed a walking fox, and knows no okapi and no resting.
    assert figures["labels/clips_seen_pairs"] == 1
    assert figures["labels/clips_unseen_animals"] == 2
    # The learned head knows foxes only: all else gets no probability.
    assert figures["learned/animals_top1"] == 0.5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"animals__weights": ""}, "'learned' and 'predicted' as a source .* needs pretrained"),
        ({"animals__weights": "/no/such/folder"}, "/no/such/folder"),
        (
            {"animals__source": "learned"},
            "'learned' and config.animals.otherwise 'predicted'; a run trains on one",
        ),
        ({"animals__prompts": "/no/such.csv"}, "no description file at /no/such.csv"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(
    fields, message, data, recogniser_folder, tmp_path
):
    config = config_on(data, recogniser_folder)
    config.update_from_flattened_dict(
        {name.replace("__", "."): value for name, value in fields.items()}
    )
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
