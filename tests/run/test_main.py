"""The main job end to end, on a handful of rendered videos: train, go on, evaluate, predict."""

import json
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
import tiny_run
from flax import nnx

from animal_clip_jax.conversion import weights
from animal_clip_jax.inference.predictor import predict
from animal_clip_jax.models.description import build
from animal_clip_jax.models.normalisation import CLIP, IMAGENET
from animal_clip_jax.models.parameters import split
from animal_clip_jax.run import assembly
from animal_clip_jax.run.checkpoints import RunCheckpoints
from animal_clip_jax.run.evaluator import evaluate_run
from animal_clip_jax.run.train import train


def test_training_leaves_metrics_checkpoints_and_its_configuration(run, data):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    training = [line for line in lines if line["kind"] == "train"]
    steps = 2 * (48 // 16)
    assert training[-1]["step"] == steps and np.isfinite(training[-1]["loss"])
    final = [line for line in lines if line["kind"] == "evaluation"][-1]
    assert final["none/clips"] == final["labels/clips"] == 48 + 16 + 16
    assert final["none/clips_unseen_animals"] == 16 and final["none/clips_unseen_pairs"] == 16
    config = json.loads((run / "config.json").read_text())
    assert config["data"]["directory"] == str(data)
    run_checkpoints, step = RunCheckpoints.open(run)
    assert step == steps
    assert run_checkpoints.describe(step).action_names[0] == "Walking"
    run_checkpoints.close()


def test_a_run_that_was_killed_goes_on_to_the_same_end(run, data, tmp_path):
    workdir = tmp_path / "killed"
    shutil.copytree(run, workdir)
    shutil.rmtree(workdir / "checkpoints" / "6")  # killed after the first epoch's checkpoint
    tiny_run.finish(workdir, data)
    (step, expected), (again, found) = tiny_run.checkpoint(run), tiny_run.checkpoint(workdir)
    assert step == again == 6
    tiny_run.assert_identical(found, expected)


def test_another_configuration_is_refused_in_the_same_workdir(run, data):
    config = tiny_run.config_on(data)
    config.optimizer.learning_rate = 0.5
    before = (run / "config.json").read_bytes()
    with pytest.raises(ValueError, match=r"optimizer\.learning_rate \(there 0\.001, now 0\.5\)"):
        train(config, run)
    assert (run / "config.json").read_bytes() == before


def test_evaluate_and_predict(run, data, videos):
    config = tiny_run.config_on(data)
    report = evaluate_run(config, run)
    assert "animals from: none, frames shuffled" in report and "unseen animals" in report

    video = str(videos / "videos" / "Walking" / "Zebra5001.mp4")
    predictions = predict(config, run, video)
    assert (predictions.animal_source, predictions.animals) == ("none", [])
    assert sum(score for _, score in predictions.actions) == pytest.approx(1, abs=1e-5)
    assert len({action for action, _ in predictions.actions}) == 8
    scores = [score for _, score in predictions.actions]
    assert scores == sorted(scores, reverse=True)
    told = predict(config, run, video, animals=("Zebra",))
    assert (told.animal_source, told.animals) == ("given", [("Zebra", 1.0)])
    assert [score for _, score in told.actions] != scores


def test_predict_names_what_is_wrong(run, data, videos, tmp_path):
    config = tiny_run.config_on(data)
    with pytest.raises(FileNotFoundError, match="no such file: 'nothing.mp4'"):
        predict(config, run, "nothing.mp4")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video")
    with pytest.raises(ValueError, match=r"config\.predict\.video: .*broken\.mp4"):
        predict(config, run, str(broken))
    video = str(videos / "videos" / "Walking" / "Zebra5001.mp4")
    with pytest.raises(ValueError, match="'Unicorn' not among the animals"):
        predict(config, run, video, animals=("Unicorn",))
    with pytest.raises(FileNotFoundError, match="train first"):
        predict(config, tmp_path / "elsewhere", video)


def saved_weights(folder, config, **changes):
    """A weights checkpoint of the configuration's model, as a conversion writes it."""
    description = assembly.model_description(config.model)
    _, values = split(build(description, rngs=nnx.Rngs(7)))
    values = jax.tree.map(np.asarray, values)
    metadata = weights.WeightsMetadata(
        model=description, normalisation=changes.get("normalisation", IMAGENET), source_files={}
    )
    weights.save_weights(folder, values, metadata)
    return values


def test_starting_from_converted_weights(data, tmp_path):
    config = tiny_run.config_on(data)
    values = saved_weights(tmp_path / "weights", config)
    config.init_from = str(tmp_path / "weights")
    config.epochs = 1
    config.optimizer.learning_rate = config.optimizer.minimum_learning_rate = 0.0
    train(config, tmp_path / "run")
    _, content = tiny_run.checkpoint(tmp_path / "run")
    for path, value in values.items():
        np.testing.assert_array_equal(content["parameters"][path], value, err_msg=path)


def test_weights_that_do_not_fit_are_refused_before_anything_is_written(data, tmp_path):
    config = tiny_run.config_on(data)
    saved_weights(tmp_path / "weights", config)
    saved_weights(tmp_path / "clip_pixels", config, normalisation=CLIP)
    config.init_from = str(tmp_path / "clip_pixels")
    with pytest.raises(ValueError, match=r"clip_pixels: .* but config\.data\.mean is"):
        train(config, tmp_path / "run")
    config.init_from = str(tmp_path / "weights")
    config.model.architecture.vision_layers = 2
    with pytest.raises(
        ValueError, match=r"vision_layers 1, but config\.model\.architecture\.vision_layers .* 2"
    ):
        train(config, tmp_path / "run")
    config.init_from = str(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("data.num_actions", 9, r"config\.data\.num_actions is 9, but .* has 8"),
        ("data.test_split", "val", r"config\.data\.test_split is 'val', but .* has test, train"),
        ("loss", "hinge", r"config\.loss is 'hinge'; expected one of cross_entropy"),
        ("animals.source", "guess", r"config\.animals\.source has 'guess'"),
        ("model.family", "resnet", r"config\.model\.family is 'resnet'"),
        ("model.architecture.patch_size", 5, "not a multiple of architecture.patch_size 5"),
        ("model.dtype", "float16", r"config\.model\.dtype is 'float16'"),
        ("prompts.actions", "missing.csv", "missing.csv"),
        ("mesh.data", 3, "data 3 × fsdp 1 × model 1 = 3 devices, but there are"),
        ("batch_size", 100_000, "100000"),
        ("accumulation", 3, "batch_size 16 is not a multiple of config.accumulation 3"),
    ],
)
def test_a_wrong_field_is_named_before_anything_is_written(field, value, message, data, tmp_path):
    config = tiny_run.config_on(data)
    config.update_from_flattened_dict({field: value})
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config.model.nope=3"], "no field config.model.nope"),
        (["--config.epochs=many"], "invalid literal"),
        (["--config.data.directory=missing_folder"], "missing_folder does not exist"),
    ],
)
def test_a_wrong_command_line_is_answered_in_one_line(arguments, message, tmp_path):
    workdir = tmp_path / "run"
    command = [sys.executable, "main.py", "--config=configs/demo.py", f"--workdir={workdir}"]
    result = subprocess.run(
        [*command, *arguments], cwd=tiny_run.ROOT, capture_output=True, text=True
    )
    assert result.returncode == 2
    (error,) = result.stderr.splitlines()
    assert error.startswith("error: ") and message in error
    assert not workdir.exists()
