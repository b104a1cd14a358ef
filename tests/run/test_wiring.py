"""What one module hands to another: figures of evaluations, computed a second time in NumPy."""

import csv
import dataclasses
import functools
import json
import pathlib
import shutil

import jax
import numpy as np
import pytest
import recomputed
import tiny_run
from converted import describe_again
from made_clips import convert_csv, write_noise
from made_run import make_run
from ml_collections import ConfigDict

import animal_clip_jax
from animal_clip_jax.errors import MissingFileError
from animal_clip_jax.parallel.mesh import REPLICATED, make_mesh
from animal_clip_jax.run.data import open_training_data
from animal_clip_jax.run.evaluate import evaluate
from animal_clip_jax.run.evaluator import Evaluator, Known
from animal_clip_jax.run.train import train
from animal_clip_jax.run.trained_run import TrainedRun
from data_pipeline.annotations.record import Annotations
from data_pipeline.clip_index import load_index
from data_pipeline.dataset import load_info
from data_pipeline.video import load_video, read_video

ZEBRA = pathlib.Path("videos") / "Walking" / "Zebra_test_000.mp4"


def metrics_of(workdir: pathlib.Path) -> dict[str, dict]:
    """The content of every metrics.json below a run, by its number of temporal views."""
    contents = [json.loads(path.read_text()) for path in workdir.glob("evaluations/*/metrics.json")]
    assert len({content["temporal_views"] for content in contents}) == len(contents)
    return {content["temporal_views"]: content for content in contents}


def evaluated(workdir: pathlib.Path, tmp_path: pathlib.Path, **fields) -> dict:
    """What evaluating a copy of a run writes."""
    copy = tmp_path / "evaluated"
    shutil.copytree(workdir, copy)
    shutil.rmtree(copy / "evaluations", ignore_errors=True)
    config = TrainedRun.open(copy).config
    config.update_from_flattened_dict(
        {name.replace("__", "."): value for name, value in fields.items()}
    )
    evaluate(copy, config)
    (found,) = metrics_of(copy).values()
    return found


def evaluator_of(trained: TrainedRun, config: ConfigDict) -> Evaluator:
    data, mesh = open_training_data(config), make_mesh(config.mesh)
    replicated = jax.sharding.NamedSharding(mesh, REPLICATED)
    known = Known(data.info, data.action_clips())
    return Evaluator(config, trained.graphdef, known, mesh, replicated)


def scored(trained: TrainedRun, config: ConfigDict, **views) -> np.ndarray:
    """The scores of the test clips by the run's own evaluator."""
    values, classes = trained.restore(
        jax.sharding.NamedSharding(make_mesh(config.mesh), REPLICATED)
    )
    clips = open_training_data(config).test
    return evaluator_of(trained, config).score(values, classes, clips, **views).scores


def told(clips: dict[str, np.ndarray], source: str) -> np.ndarray:
    """What the model is told of the animals."""
    return clips["animals"] if source == "labels" else np.zeros_like(clips["animals"])


def in_random_order(frames: np.ndarray, seed: int) -> np.ndarray:
    """Every view of every clip by itself: the clip's place and the seed decide."""
    shuffled = frames.copy()
    for clip in range(len(frames)):
        random = np.random.default_rng((seed, clip))
        orders = random.permuted(np.tile(np.arange(frames.shape[2]), (frames.shape[1], 1)), axis=-1)
        for view, order in enumerate(orders):
            shuffled[clip, view] = frames[clip, view][order]
    return shuffled


@pytest.fixture(scope="module")
def workdir(data, tmp_path_factory) -> pathlib.Path:
    """A run of random parameters."""
    folder = tmp_path_factory.mktemp("made") / "run"
    make_run(tiny_run.config_on(data), folder)
    return folder


@pytest.fixture(scope="module")
def trained(workdir) -> TrainedRun:
    return TrainedRun.open(workdir)


@pytest.fixture(scope="module")
def model(trained):
    return recomputed.model_of(trained)


@pytest.mark.parametrize(("views", "crops"), [(2, 1), (1, 3)])
def test_scores_are_the_probabilities_summed_over_the_views(views, crops, trained, model):
    clips = recomputed.clips_of_test(trained, temporal_views=views, crops=crops)
    assert clips["frames"].shape[1] == views * crops
    for source in ("none", "labels"):
        expected = recomputed.summed(model, clips["frames"], told(clips, source))
        found = scored(
            trained, trained.config, temporal_views=views, crops=crops, animal_source=source
        )
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-5)


def test_scores_of_shuffled_frames(trained, model):
    clips = recomputed.clips_of_test(trained, temporal_views=2)
    animals = told(clips, "none")
    in_order, expected = (
        recomputed.summed(model, frames, animals)
        for frames in (clips["frames"], in_random_order(clips["frames"], 7))
    )
    found = scored(trained, trained.config, temporal_views=2, shuffle_seed=7)
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-5)
    assert np.abs(found - in_order).max() > 1e-3


@pytest.mark.parametrize("views", [1, 2])
def test_the_figures_of_an_evaluation(views, workdir, trained, model, tmp_path):
    """Under both sources, in order and shuffled; the last batch is not full."""
    found = evaluated(
        workdir, tmp_path, evaluation__temporal_views=views, evaluation__batch_size=24
    )
    assert (found["temporal_views"], found["crops"], found["split"]) == (views, 1, "test")
    assert found["animal_sources"] == ["none", "labels"]
    clips = recomputed.clips_of_test(trained, temporal_views=views)
    shuffled = in_random_order(clips["frames"], trained.config.seed)
    assert np.any(shuffled != clips["frames"])
    np.testing.assert_array_equal(
        shuffled.astype(np.int64).sum(axis=2), clips["frames"].astype(np.int64).sum(axis=2)
    )
    for source in ("none", "labels"):
        for prefix, frames in (("", clips["frames"]), ("shuffled_", shuffled)):
            scores = recomputed.summed(model, frames, told(clips, source))
            for name, figure in (
                ("top1", recomputed.top1),
                ("mAP", recomputed.mean_average_precision),
            ):
                expected = figure(scores, clips["actions"])
                assert found["metrics"][f"{source}/{prefix}{name}"] == pytest.approx(
                    expected, abs=5e-4
                ), f"{source} {prefix}{name}"
        by_order = [
            [found["metrics"][f"{source}/{prefix}{name}"] for name in ("top1", "mAP")]
            for prefix in ("", "shuffled_")
        ]
        assert by_order[0] != by_order[1]


@pytest.fixture(scope="module")
def predictor(workdir):
    return animal_clip_jax.load(workdir)


def probabilities_of(answer, actions) -> np.ndarray:
    found = dict(answer.actions)
    return np.array([found[action] for action in actions])


@pytest.mark.parametrize("animals", [(), ("Zebra",)])
def test_a_prediction_is_the_mean_over_the_views(animals, data, predictor, model, videos):
    info = load_info(data)
    frames = load_video(
        videos / ZEBRA,
        num_frames=4,
        image_size=16,
        num_temporal_views=2,
        num_crops=1,
        short_side=20,
        max_frames=info.max_frames,
    )
    weights = np.array([[name in animals for name in info.animal_names]], np.float32)
    logits, features = model(frames, np.repeat(weights, len(frames), axis=0))
    answer = predictor.predict(videos / ZEBRA, animals=animals)
    np.testing.assert_allclose(
        probabilities_of(answer, info.action_names),
        recomputed.softmax(logits).mean(axis=0),
        rtol=2e-4,
        atol=1e-6,
    )
    np.testing.assert_allclose(answer.embedding, features.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        predictor.encode_video(videos / ZEBRA), answer.embedding, rtol=1e-4, atol=1e-5
    )
    assert [name for name, _ in answer.animals] == list(animals)


def test_a_list_of_videos_is_answered_one_by_one(predictor, videos):
    """Ten videos: more than the batch in which they are scored, and no multiple of it."""
    paths = sorted((videos / "videos").rglob("*.mp4"))[:10]
    together = predictor.predict(paths)
    for path, answer in zip(paths, together, strict=True):
        alone = predictor.predict(path)
        np.testing.assert_allclose(
            probabilities_of(answer, predictor.actions),
            probabilities_of(alone, predictor.actions),
            atol=1e-5,
        )
        np.testing.assert_allclose(answer.embedding, alone.embedding, rtol=1e-4, atol=1e-5)
    assert len({answer.embedding.tobytes() for answer in together}) == len(paths)


def test_the_frames_of_a_video_are_answered_as_its_file(predictor, tmp_path):
    path = tmp_path / "video.mp4"
    write_noise(path, num_frames=11, height=20, width=26)
    frames = read_video(path, select=np.arange).frames
    assert frames.shape == (11, 20, 26, 3)
    of_array, of_file = predictor.predict(frames), predictor.predict(path)
    assert of_array.actions == of_file.actions
    np.testing.assert_array_equal(of_array.embedding, of_file.embedding)


def rows_of(
    splits: tuple[str, ...], animals: tuple[str, ...], *, label, named: bool = True
) -> list[tuple[str, str, str, str]]:
    """Walking and lying animals, from the rendered videos of each split."""
    return [
        (
            f"{action}/{animal}_{split}_000.mp4",
            animal if named else "",
            label(action, animal),
            split,
        )
        for split in splits
        for action in ("Walking", "LyingDown")
        for animal in animals
    ]


ANIMALS = ("Bear", "Cow", "Flamingo", "Giraffe", "Llama")
SHORT = dict(
    epochs=1,
    warmup_epochs=0,
    batch_size=4,
    evaluation__batch_size=8,
    evaluation__temporal_views=2,
    evaluation__shuffle_frames=False,
    **tiny_run.PLAIN,
)


@pytest.fixture(scope="module")
def multi_label_data(videos, tmp_path_factory) -> pathlib.Path:
    """Some animals also call while they walk or lie."""

    def label(action: str, animal: str) -> str:
        calls = (action, animal) in {
            ("Walking", "Bear"),
            ("Walking", "Llama"),
            ("LyingDown", "Cow"),
        }
        return f"{action};Calling" if calls else action

    rows = rows_of(("train", "test"), ANIMALS, label=label)
    return convert_csv(videos, tmp_path_factory.mktemp("multi"), rows)


@pytest.fixture(scope="module")
def multi_label_run(multi_label_data, tmp_path_factory) -> pathlib.Path:
    """A run of a loss that judges every action by itself, which keeps averages of what it
    trains, far behind."""
    workdir = tmp_path_factory.mktemp("multi") / "run"
    fields = dict(
        loss="binary_cross_entropy",
        optimizer__ema_decay=0.9,
        optimizer__learning_rate=0.02,
        evaluation__animal_sources=("none",),
    )
    train(tiny_run.config_on(multi_label_data, **SHORT, **fields), workdir)
    return workdir


def evaluation_lines(workdir: pathlib.Path) -> list[dict]:
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == "evaluation"]


@pytest.fixture(scope="module")
def multi_label_model(multi_label_run):
    return recomputed.model_of(TrainedRun.open(multi_label_run))


def test_several_actions_a_clip(multi_label_run, multi_label_data, multi_label_model):
    """Evaluated at the end of training, from the averages, by a sigmoid of each view."""
    assert load_info(multi_label_data).multi_label
    run = TrainedRun.open(multi_label_run)
    clips = recomputed.clips_of_test(run, temporal_views=2)
    assert clips["actions"].sum(axis=1).max() == 2
    scores = recomputed.summed(
        multi_label_model, clips["frames"], told(clips, "none"), recomputed.sigmoid
    )
    (content,) = metrics_of(multi_label_run).values()
    expected = recomputed.mean_average_precision(scores, clips["actions"])
    assert content["metrics"]["none/mAP"] == pytest.approx(expected, abs=1e-6)
    assert evaluation_lines(multi_label_run)[-1]["none/mAP"] == content["metrics"]["none/mAP"]


def test_scores_as_published_whatever_the_loss(multi_label_run, multi_label_model, tmp_path):
    run = TrainedRun.open(multi_label_run)
    clips = recomputed.clips_of_test(run, temporal_views=2)
    for how, to_probabilities in (
        ("as_trained", recomputed.sigmoid),
        ("softmax", recomputed.softmax),
    ):
        config = run.config.copy_and_resolve_references()
        config.evaluation.scores = how
        expected = recomputed.summed(
            multi_label_model, clips["frames"], told(clips, "none"), to_probabilities
        )
        found = scored(run, config, temporal_views=2)
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-6)
    published = evaluated(multi_label_run, tmp_path, evaluation__scores="softmax")
    assert published["scores"] == "softmax"
    assert published["metrics"]["none/mAP"] == pytest.approx(
        recomputed.mean_average_precision(expected, clips["actions"]), abs=1e-6
    )


def test_several_actions_of_a_video(multi_label_run, multi_label_data, multi_label_model, videos):
    """Each action has a probability of its own: the mean over the views of the sigmoid."""
    info = load_info(multi_label_data)
    frames = load_video(
        videos / ZEBRA,
        num_frames=4,
        image_size=16,
        num_temporal_views=2,
        short_side=20,
        max_frames=info.max_frames,
    )
    logits, _ = multi_label_model(frames, np.zeros((2, len(info.animal_names))))
    answer = animal_clip_jax.load(multi_label_run).predict(videos / ZEBRA)
    found = probabilities_of(answer, info.action_names)
    np.testing.assert_allclose(found, recomputed.sigmoid(logits).mean(axis=0), rtol=1e-4)
    assert abs(found.sum() - 1) > 0.01


def test_the_averages_are_scored_after_an_epoch(multi_label_run, multi_label_model):
    run = TrainedRun.open(multi_label_run)
    _, saved = tiny_run.checkpoint(multi_label_run)
    clips = recomputed.clips_of_test(run, temporal_views=1)
    figures = []
    for values in ({**saved["parameters"], **saved["averaged"]}, saved["parameters"]):
        model = functools.partial(multi_label_model, values=values)
        scores = recomputed.summed(model, clips["frames"], told(clips, "none"), recomputed.sigmoid)
        figures.append(recomputed.mean_average_precision(scores, clips["actions"]))
    averages, raw = figures
    assert abs(averages - raw) > 1e-3
    after_epoch = [line for line in evaluation_lines(multi_label_run) if line["step"] == run.step]
    assert [line["temporal_views"] for line in after_epoch] == [1, 2]
    assert after_epoch[0]["none/mAP"] == pytest.approx(averages, abs=1e-6)


def test_no_probe_is_fitted_to_other_data_with_the_same_labels(
    workdir, data, recogniser_folder, tmp_path
):
    copy, other = tmp_path / "run", tmp_path / "data"
    shutil.copytree(workdir, copy)
    shutil.copytree(data, other)
    describe_again(other, name="another")
    config = TrainedRun.open(copy).config
    config.animals.weights = str(recogniser_folder)
    config.evaluation.animal_sources = ("learned",)
    config.data.directory = str(other)
    with pytest.raises(MissingFileError, match="this run has learned no animals"):
        evaluate(copy, config)
    assert not (copy / "linear_probe.npz").exists()


GROUP_OF = {"Bear": "mammal", "Cow": "mammal", "Flamingo": "bird", "Llama": ""}
SEGMENT_OF = {"Calling": "tail", "LyingDown": "head", "Walking": "tail"}


def test_clips_without_animals_and_groups_of_clips(videos, recogniser_folder, tmp_path):
    """Some clips have no animal, in training and test, under every source of the animals. The data
    says which clips are a group and which actions are rare."""

    def change(annotations: Annotations) -> Annotations:
        clips = (
            dataclasses.replace(clip, group=GROUP_OF[clip.path.split("/")[-1].partition("_")[0]])
            for clip in annotations.clips
        )
        return dataclasses.replace(
            annotations,
            clips=tuple(clips),
            action_segments=tuple(map(SEGMENT_OF.get, annotations.action_names)),
            segments_source="segments.xlsx",
        )

    rows = rows_of(
        ("train", "test"),
        tuple(GROUP_OF),
        label=lambda action, animal: f"{action};Calling" if animal == "Cow" else action,
    )
    unnamed = [
        (video, "" if "Bear" in video and "Walking" in video else animals, *rest)
        for video, animals, *rest in rows
    ]
    data = convert_csv(videos, tmp_path, unnamed, change=change)
    sources = ("none", "labels", "predicted", "learned")
    config = tiny_run.config_on(
        data,
        **SHORT,
        animals__weights=str(recogniser_folder),
        evaluation__animal_sources=sources,
    )
    make_run(config, tmp_path / "run")
    found = evaluated(tmp_path / "run", tmp_path)
    assert found["segments_source"] == "segments.xlsx"
    run = TrainedRun.open(tmp_path / "run")
    clips = recomputed.clips_of_test(run, temporal_views=2)
    assert sorted(clips["animals"].sum(axis=1)) == [0] + [1] * 7
    groups = np.array(load_index(data, "test").groups)
    assert sorted(groups) == ["", ""] + ["bird"] * 2 + ["mammal"] * 4
    model, metrics = recomputed.model_of(run), found["metrics"]
    for source in ("none", "labels"):
        scores = recomputed.summed(model, clips["frames"], told(clips, source))
        of_group = {
            group: recomputed.mean_average_precision(
                scores[groups == group], clips["actions"][groups == group]
            )
            for group in ("mammal", "bird")
        }
        for group, expected in of_group.items():
            assert metrics[f"{source}/mAP_group_{group}"] == pytest.approx(expected, abs=1e-6)
        assert metrics[f"{source}/mAP_per_group"] == pytest.approx(
            np.mean(list(of_group.values())), abs=1e-6
        )
        tail = [SEGMENT_OF[name] == "tail" for name in run.labels.actions]
        assert metrics[f"{source}/mAP_tail"] == pytest.approx(
            recomputed.mean_average_precision(scores[:, tail], clips["actions"][:, tail]), abs=1e-6
        )
    for source in sources:
        assert metrics[f"{source}/clips"] == 8 and metrics[f"{source}/clips_group_mammal"] == 4
        # How well animals are recognised is said of the seven clips that have one.
        if source in ("predicted", "learned"):
            assert 7 * metrics[f"{source}/animals_top1"] == pytest.approx(
                round(7 * metrics[f"{source}/animals_top1"])
            )
    (folder,) = (tmp_path / "evaluated" / "evaluations").iterdir()
    assert "as segments.xlsx has them" in (folder / "report.txt").read_text()
    written = list(csv.DictReader((folder / "per_group.csv").read_text().splitlines()))
    assert [row["group"] for row in written] == ["mammal", "bird", "mean of groups"] * 4
    segments = list(csv.DictReader((folder / "per_class.csv").read_text().splitlines()))
    assert {row["class"]: row["segment"] for row in segments} == SEGMENT_OF


@pytest.fixture(scope="module")
def data_without_animals(videos, tmp_path_factory) -> pathlib.Path:
    rows = rows_of(("train", "test"), ANIMALS[:4], label=lambda action, _: action, named=False)
    return convert_csv(videos, tmp_path_factory.mktemp("unnamed"), rows)


@pytest.mark.parametrize("family", ["animal_clip", pytest.param("xclip", marks=pytest.mark.slow)])
def test_data_without_animals(family, data_without_animals, videos, tmp_path):
    assert load_info(data_without_animals).animal_names == ()
    workdir = tmp_path / "run"
    config = tiny_run.config_on(data_without_animals, model__family=family, **SHORT)
    train(config, workdir)
    run = TrainedRun.open(workdir)
    _, classes = run.restore(jax.sharding.SingleDeviceSharding(jax.devices()[0]))
    assert classes.animal_features.shape == (0, 64) and classes.relation.shape == (2, 0)
    clips = recomputed.clips_of_test(run, temporal_views=2)
    scores = recomputed.summed(recomputed.model_of(run), clips["frames"], clips["animals"])
    metrics = evaluated(workdir, tmp_path)["metrics"]
    for source in ("none", "labels"):
        assert metrics[f"{source}/clips"] == 8
        assert metrics[f"{source}/top1"] == recomputed.top1(scores, clips["actions"])
    answer = animal_clip_jax.load(workdir).predict(videos / ZEBRA)
    assert answer.animals == [] and {name for name, _ in answer.actions} == {
        "Walking",
        "LyingDown",
    }
    assert sum(probability for _, probability in answer.actions) == pytest.approx(1, abs=1e-5)
