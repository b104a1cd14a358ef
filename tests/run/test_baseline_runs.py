"""Runs of the baselines: that they are trained, go on, and are used as all others are."""

import functools
import pathlib
import signal

import jax
import numpy as np
import pytest
import tiny_run
from made_run import make_run

import animal_clip_jax
from animal_clip_jax.errors import UserError
from animal_clip_jax.inference.exported_model import export
from animal_clip_jax.models.presets import PRESETS
from animal_clip_jax.run import fields
from animal_clip_jax.run.evaluate import evaluate
from animal_clip_jax.run.train import train
from animal_clip_jax.run.trained_run import TrainedRun
from animal_clip_jax.training.state import TrainState
from data_pipeline.dataset import load_info

# What `tiny_run` says of CLIP's towers is left open.
TOWERS = {
    name: field.default
    for name, field in fields.FIELDS.items()
    if name.startswith("model.") and field.accepts.is_open
}
PRESET = TOWERS | {
    "model.preset": "tiny",
    "model.num_frames": 8,
    "model.architecture.image_size": 32,
    "augmentation.jitter_probability": 0.0,
    "augmentation.grey_probability": 0.0,
    "augmentation.mix": False,
}
FIELDS = {
    **dict.fromkeys(("i3d", "slowfast", "x3d"), PRESET),
    "mvit": PRESET | {"model.num_frames": 4},
    "evl": {"model.decoder_layers": 1},
    "video_prompt": {
        "model.architecture.context_length": 24,
        **dict.fromkeys(("model.prompt_prefix", "model.prompt_suffix"), 4),
    },
}
ACTIONS = 8
BRIEF = {
    "animals.source": "none",
    "animals.label_dropout": 0.0,
    "evaluation.animal_sources": ("none",),
    "evaluation.temporal_views": 1,
    "evaluation.shuffle_frames": False,
    "evaluation.batch_size": 40,
}


def config_of(family: str, data: pathlib.Path, **others):
    config = tiny_run.config_on(data, **others)
    config.update_from_flattened_dict({"model.family": family, **FIELDS[family], **BRIEF})
    return config


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
    """Of a family, the folder of a run that was never trained, and its state."""

    @functools.cache
    def make(family: str) -> tuple[pathlib.Path, TrainState]:
        folder, config = tmp_path_factory.mktemp(family) / "run", config_of(family, data)
        if family != "video_prompt":
            config.model.num_classes = ACTIONS
        return folder, make_run(config, folder).state

    return make


@pytest.mark.parametrize("family", ["x3d", "evl", "video_prompt"])
def test_a_run_is_opened_and_its_model_is_the_one_that_was_saved(family, made, data):
    folder, state = made(family)
    run = TrainedRun.open(folder)
    assert run.model.family == family
    assert run.model.num_classes == (None if family == "video_prompt" else ACTIONS)
    assert bool(state.statistics) == (family == "x3d")
    # No moments of what is frozen, nor of statistics.
    moments = {
        path[-1].key
        for path, _ in jax.tree_util.tree_flatten_with_path(state.optimizer)[0]
        if hasattr(path[-1], "key")
    }
    assert moments == state.trained.keys()
    shapes = {path: value.shape for path, value in state.values().items()}
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    values, classes = run.restore(device)
    assert {path: value.shape for path, value in values.items()} == shapes
    names = load_info(data).action_names
    assert classes.action_features.shape[0] == len(names)
    if family == "video_prompt":
        assert classes.action_features.dtype == np.int32
    else:
        assert classes.action_features.shape == (len(names), 0)


@pytest.mark.parametrize("family", ["x3d", "video_prompt"])
def test_predictions_and_timelines(family, made, videos):
    model = animal_clip_jax.load(made(family)[0])
    path = videos / "videos" / "Walking" / "Zebra_test_000.mp4"
    answer = model.predict(path)
    assert sum(action.probability for action in answer.actions) == pytest.approx(1, abs=1e-5)
    assert {action.label for action in answer.actions} == set(model.actions)
    result = model.timeline(path, window=0.3)
    assert result.windows.actions.shape[1] == ACTIONS < result.windows.actions.size
    with pytest.raises(UserError, match=f"attention is of .*; this one is {family}"):
        model.attention(path)
    with pytest.raises(UserError, match=f"encode_actions: a model of family {family} reads"):
        model.encode_actions(["digging"])
    described = {model.actions[0]: ["It moves."]}
    with pytest.raises(UserError, match=f"descriptions: a model of family '{family}' reads none"):
        model.with_actions(model.actions, descriptions=described)
    if family == "video_prompt":
        other = model.with_actions(["digging a burrow", "flying"], animals=())
        assert {action.label for action in other.predict(path).actions} == set(other.actions)
        with pytest.raises(UserError, match=r"'a a a.* \(16 tokens\); at most 14 fit between"):
            model.with_actions(["a " * 16])
    else:
        with pytest.raises(UserError, match="reads no texts: it tells the 8 actions of its"):
            model.with_actions(["digging"])


@pytest.mark.parametrize("family", ["x3d", "video_prompt"])
def test_an_exported_model_answers_as_the_run_does(family, made, tmp_path):
    """Of batch normalisation, without any texts; and of names, which the run encodes once."""
    folder, _ = made(family)
    export(TrainedRun.open(folder), tmp_path / "exported")
    exported = jax.export.deserialize(
        bytearray((tmp_path / "exported" / "model.jax_export").read_bytes())
    )
    arrays = dict(np.load(tmp_path / "exported" / "arrays.npz"))
    config = TrainedRun.open(folder).config.model
    size = config.architecture.image_size
    shape = (2, config.num_frames, size, size, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    probabilities, features = exported.call(arrays, frames, np.zeros((2, 8), np.float32))
    model = animal_clip_jax.load(folder)
    expected, _, embedding = model.score(frames[:, None], None, batch_size=2)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(features, embedding, rtol=1e-3, atol=1e-5)


def test_names_that_leave_no_room_for_prompts(data, tmp_path):
    config = config_of("video_prompt", data)
    config.model.architecture.context_length = 11
    with pytest.raises(UserError, match=r"'Backing away' \(2 tokens\).*at most 1 fit between"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists() or not any((tmp_path / "run").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("family", FIELDS)
def test_every_family_is_trained_and_evaluated(family, data, tmp_path):
    config = config_of(family, data, accumulation=2, optimizer__ema_decay=0.5)
    train(config, tmp_path / "run")
    steps = tiny_run.logged(tmp_path / "run", "train")
    assert max(steps) == 6 and all(np.isfinite(line["loss"]) for line in steps.values())
    assert "Top-1" in evaluate(tmp_path / "run")


@pytest.mark.slow
def test_slowfast_is_killed_and_goes_on_to_the_same_end(data, tmp_path):
    """Parameters, statistics, moments and averages, bit by bit."""
    settings = {"model.family": "slowfast", **FIELDS["slowfast"], **BRIEF}
    settings |= {"accumulation": 2, "optimizer.name": "sgd", "optimizer.ema_decay": 0.5}
    settings |= {"log_every_steps": 1, "evaluation.every_epochs": 100}
    flags = [f"--config.{name}={value}" for name, value in settings.items()]
    tiny_run.finish(tmp_path / "whole", data, *flags)
    process = tiny_run.start(*tiny_run.command(tmp_path / "killed", data, *flags))
    for line in process.stdout:
        if line.startswith("step 4/6"):
            process.kill()
            break
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert tiny_run.checkpoint(tmp_path / "killed")[0] == 3
    said = tiny_run.finish(tmp_path / "killed", data, *flags)
    assert "going on from step 3 of 6" in said
    (step, found), (last, wanted) = map(
        tiny_run.checkpoint, (tmp_path / "killed", tmp_path / "whole")
    )
    assert step == last == 6
    statistics = [path for path in wanted["parameters"] if path.endswith("running_mean")]
    assert statistics and np.any(wanted["parameters"][statistics[0]] != 0)
    tiny_run.assert_identical(found, wanted)


def test_every_preset_family_has_a_tiny_one():
    assert all("tiny" in presets for presets in PRESETS.values())
