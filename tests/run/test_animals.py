"""Runs that recognise the animals: trained, evaluated under every source, used on a video."""

import pathlib
import shutil

import numpy as np
import pytest
import tiny_run
from sklearn.metrics import average_precision_score

from animal_clip_jax.inference.predictor import predict
from animal_clip_jax.parallel.mesh import make_mesh
from animal_clip_jax.recognition.linear_probe import AnimalHead
from animal_clip_jax.run.animals import HEAD_FILE, AnimalRecognition, multi_hot
from animal_clip_jax.run.evaluator import evaluate_run
from animal_clip_jax.run.train import train
from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.conversion.dataset_writer import Options, convert
from data_pipeline.dataset import load_index, load_info

SOURCES = ("none", "labels", "predicted", "learned")


def config_on(data: pathlib.Path, recogniser_folder: pathlib.Path, **fields):
    recognised = {
        "animals__weights": str(recogniser_folder),
        "animals__otherwise": "predicted",
        "evaluation__animal_sources": SOURCES,
        "evaluation__temporal_views": 1,
        "evaluation__shuffle_frames": False,
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
    config = config_on(data, recogniser_folder)
    return AnimalRecognition(config, workdir, load_info(data).animal_names, make_mesh(config.mesh))


def test_the_recognisers_own_figures(workdir, recognition, data):
    logged = tiny_run.logged(workdir, "evaluation")[6]
    index = load_index(data, "test")
    animals = multi_hot(index, len(load_info(data).animal_names))
    for source in ("predicted", "learned"):
        weights = recognition.weights(source, "test")
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
    assert len({logged[f"{source}/mAP"] for source in SOURCES}) > 1


def test_the_head_is_kept_and_evaluation_repeats_the_figures(
    workdir, data, recogniser_folder, tmp_path
):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    (copy / "metrics.jsonl").unlink()
    head = (copy / HEAD_FILE).read_bytes()
    report = evaluate_run(config_on(data, recogniser_folder), copy)
    assert "predicted" in report and "animals_top1" in report
    assert tiny_run.logged(copy, "evaluation")[6] == tiny_run.logged(workdir, "evaluation")[6]
    assert (copy / HEAD_FILE).read_bytes() == head


def test_what_was_seen_is_kept(workdir, recognition, data, recogniser_folder, tmp_path):
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    config = config_on(data, recogniser_folder)
    names, mesh = load_info(data).animal_names, make_mesh(config.mesh)
    expected = recognition.seen("test")
    kept = fresh / "seen_test.npz"
    # Damaged, or of another number of frames, it is made anew.
    kept.write_bytes(b"PK")
    seen = AnimalRecognition(config, fresh, names, mesh).seen("test")
    np.testing.assert_array_equal(seen, expected)
    with np.load(kept) as content:
        key = content["key"]
    np.savez(kept, key=key, seen=expected + 1)
    again = AnimalRecognition(config, fresh, names, mesh).seen("test")
    np.testing.assert_array_equal(again, expected + 1)
    config.animals.num_frames = 2
    other = AnimalRecognition(config, fresh, names, mesh).seen("test")
    assert np.abs(other - expected).max() < 1 and np.any(other != expected)


def test_a_head_of_another_recogniser_is_refused(workdir, data, recogniser_folder, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    with np.load(copy / HEAD_FILE) as content:
        np.savez(copy / HEAD_FILE, **{**content, "settings": np.array("another")})
    with pytest.raises(ValueError, match=f"{HEAD_FILE}: fitted with another"):
        evaluate_run(config_on(data, recogniser_folder), copy)


def test_a_head_is_fitted_to_the_clips_of_the_training_alone(
    workdir, other_data, data, videos, recogniser_folder, tmp_path
):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    expected = (copy / HEAD_FILE).read_bytes()
    (copy / HEAD_FILE).unlink()
    config = config_on(data, recogniser_folder, predict__source="learned")
    with pytest.raises(FileNotFoundError, match=f"{HEAD_FILE}: this run has learned no animals"):
        predict(config, copy, str(videos / "videos" / "Walking" / "Zebra5001.mp4"))
    other = config_on(other_data, recogniser_folder, evaluation__open_vocabulary=True)
    with pytest.raises(FileNotFoundError, match=f"{HEAD_FILE}: this run has learned no animals"):
        evaluate_run(other, copy)
    assert not (copy / HEAD_FILE).exists()
    evaluate_run(config, copy)
    fitted = AnimalHead.load(copy / HEAD_FILE)
    (copy / HEAD_FILE).write_bytes(expected)
    np.testing.assert_array_equal(fitted.kernel, AnimalHead.load(copy / HEAD_FILE).kernel)


@pytest.mark.parametrize("source", ["predicted", "learned"])
def test_a_video_is_recognised_as_its_clip_was(
    source, workdir, recognition, data, videos, recogniser_folder
):
    config = config_on(data, recogniser_folder, predict__source=source)
    video = videos / "videos" / "Walking" / "Zebra5001.mp4"
    found = predict(config, workdir, str(video))
    assert found.animal_source == source
    names = load_info(data).animal_names
    clip = recognition.weights(source, "test")["Walking/Zebra5001"]
    told = np.zeros(len(names))
    for name, weight in found.animals:
        told[names.index(name)] = weight
    # A JPEG's loss apart, which a head on features of random weights magnifies.
    np.testing.assert_allclose(told, clip, atol=0.02 if source == "predicted" else 0.1)
    assert told.argmax() == clip.argmax()
    assert sum(score for _, score in found.actions) == pytest.approx(1, abs=1e-5)
    given = predict(config, workdir, str(video), animals=("Zebra",))
    assert given.animal_source == "given" and given.animals == [("Zebra", 1.0)]


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


def test_other_actions_and_animals(workdir, data, videos, recogniser_folder, tmp_path):
    for name, lines in (("actions", "Grooming\nWalking\n"), ("animals", "Okapi\nZebra\n\nOwl\n")):
        (tmp_path / f"{name}.txt").write_text(lines)
    config = config_on(
        data,
        recogniser_folder,
        predict__action_labels=str(tmp_path / "actions.txt"),
        predict__animal_labels=str(tmp_path / "animals.txt"),
        predict__source="predicted",
    )
    video = str(videos / "videos" / "Walking" / "Zebra5001.mp4")
    found = predict(config, workdir, video)
    assert {label for label, _ in found.actions} == {"Grooming", "Walking"}
    assert {label for label, _ in found.animals} == {"Okapi", "Zebra", "Owl"}
    for field, value, message in (
        ("animals.temperature", 0.0, "animals.temperature is 0.0; expected more than 0"),
        ("predict.top_k", 0, "predict.top_k is 0; expected at least 1"),
        ("predict.source", "labels", "predict.source has 'labels'; expected one of predicted"),
    ):
        wrong = config.copy_and_resolve_references()
        wrong.update_from_flattened_dict({field: value})
        with pytest.raises(ValueError, match=message):
            predict(wrong, workdir, video)
    with pytest.raises(ValueError, match="'Fox' not among the animals \\(Okapi, Zebra, Owl\\)"):
        predict(config, workdir, video, animals=("Fox",))


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
        ours, theirs = (np.load(folder / f"seen_{split}.npz") for folder in (alone, together))
        np.testing.assert_allclose(ours["seen"], theirs["seen"], atol=1e-5)
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
            f"Walking/{animal}5001.mp4,{name},Walking,test",
            f"LyingDown/{animal}5001.mp4,{name},Resting,test",
        ]
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    for action in ("Walking", "LyingDown"):
        for animal in ("Zebra", "Fox"):
            target = folder / "videos" / action / f"{animal}5001.mp4"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(videos / "videos" / action / f"{animal}5001.mp4", target)
    annotations = read_annotations("csv", folder)
    convert("other", annotations, folder / "data", options=Options(short_side=20), workers=1)
    assert load_info(folder / "data").action_names == tuple(actions)
    return folder / "data"


def test_evaluation_on_labels_that_training_did_not_have(
    workdir, other_data, data, recogniser_folder, tmp_path
):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    (copy / "metrics.jsonl").unlink()
    config = config_on(other_data, recogniser_folder)
    config.data.num_actions = 8  # of the training
    config.evaluation.animal_sources = ("labels", "predicted", "learned")
    with pytest.raises(ValueError, match="num_actions is 8, but .* has 2"):
        evaluate_run(config, copy)
    config.data.train_split, config.data.num_actions = "test", 0
    with pytest.raises(ValueError, match="or set config.evaluation.open_vocabulary"):
        evaluate_run(config, copy)
    config.data.train_split, config.data.num_actions = "train", 8
    config.evaluation.open_vocabulary = True
    evaluate_run(config, copy)
    (figures,) = tiny_run.logged(copy, "evaluation").values()
    assert figures["labels/clips"] == 4 and 0 <= figures["predicted/top1"] <= 1
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
        ({"animals__otherwise": "guessed"}, "animals.otherwise has 'guessed'; expected one of"),
        (
            {"animals__source": "learned"},
            "'learned' and config.animals.otherwise 'predicted'; a run trains on one",
        ),
        ({"animals__temperature": 0.0}, "animals.temperature is 0.0; expected more than 0"),
        ({"animals__num_frames": 0}, "animals.num_frames is 0; expected at least 1"),
        ({"animals__top_k": -1}, r"animals.top_k is -1; expected 0 \(all\) or more"),
        ({"animals__label_dropout": 1.5}, "animals.label_dropout is 1.5; expected 0 to 1"),
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
