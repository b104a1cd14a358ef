"""The main job end to end, on a handful of rendered videos: train, go on, evaluate, predict."""

import csv
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tiny
import tiny_run

import animal_clip_jax
from animal_clip_jax.conversion import weights
from animal_clip_jax.errors import MissingFileError, UserError
from animal_clip_jax.files import as_path
from animal_clip_jax.inference.predict import predict
from animal_clip_jax.models.normalisation import CLIP, IMAGENET
from animal_clip_jax.run import assembly
from animal_clip_jax.run.checkpoints import RunCheckpoints
from animal_clip_jax.run.evaluate import evaluate, open_for_use
from animal_clip_jax.run.train import train
from animal_clip_jax.run.workdir import read_config
from animal_clip_jax.run_commands import main as main_py


@pytest.fixture
def answer(capsys, monkeypatch):
    """Calls `main.py` with these arguments: its exit code, and all that it says of errors."""
    monkeypatch.chdir(tiny_run.ROOT)

    def answer(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main_py(arguments)
        return code, capsys.readouterr().err

    return answer


def test_training_leaves_metrics_checkpoints_and_its_configuration(run, data):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    training = [line for line in lines if line["kind"] == "train"]
    steps = 2 * (48 // 16)
    assert training[-1]["step"] == steps and np.isfinite(training[-1]["loss"])
    final = [line for line in lines if line["kind"] == "evaluation"][-1]
    assert final["none/clips"] == final["labels/clips"] == 48 + 16 + 16
    assert final["none/clips_unseen_animals"] == 16 and final["none/clips_unseen_pairs"] == 16
    (folder,) = (run / "evaluations").iterdir()
    written = json.loads((folder / "metrics.json").read_text())
    assert written["metrics"]["none/top1"] == final["none/top1"]
    assert written["split"] == final["split"] == "test" and written["step"] == steps
    assert written["best_checkpoint_chosen_on"] == "none"
    config = json.loads((run / "config.json").read_text())
    assert config["data"]["directory"] == str(data)
    run_checkpoints, step = RunCheckpoints.open(run)
    assert step == steps
    assert run_checkpoints.describe(step).action_names[0] == "Approaching"
    run_checkpoints.close()


def test_another_configuration_is_refused_in_the_same_workdir(run, data):
    config = tiny_run.config_on(data)
    config.optimizer.learning_rate = 0.5
    before = (run / "config.json").read_bytes()
    with pytest.raises(ValueError, match=r"optimizer\.learning_rate \(there 0\.001, now 0\.5\)"):
        train(config, run)
    assert (run / "config.json").read_bytes() == before


def test_predict_names_what_is_wrong(run, data, videos, tmp_path):
    def wrong(workdir=run, **fields):
        config = tiny_run.config_on(
            data, **{f"predict__{name}": value for name, value in fields.items()}
        )
        return predict(workdir, config)

    with pytest.raises(UserError, match="config.predict.video is empty"):
        wrong()
    with pytest.raises(UserError, match=r"nothing.mp4: there is no such file; expected a video"):
        wrong(video="nothing.mp4")
    with pytest.raises(UserError, match="is a folder; expected a video"):
        wrong(video=str(tmp_path))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video")
    with pytest.raises(UserError, match=r"broken\.mp4: not a readable video"):
        wrong(video=str(broken))
    video = str(videos / "videos" / "Walking" / "Zebra_test_000.mp4")
    with pytest.raises(UserError, match="'Unicorn' not among the animals"):
        wrong(video=video, animals="Unicorn")
    with pytest.raises(MissingFileError, match="there is no such folder"):
        wrong(tmp_path / "elsewhere", video=video)
    for field, value, message in (
        ("top_k", 0, "predict.top_k is 0; expected a whole number of at least 1"),
        ("source", "labels", "predict.source is 'labels'; expected one of '', 'predicted'"),
    ):
        with pytest.raises(UserError, match=message):
            wrong(**{"video": video, field: value})


def saved_weights(folder, config, *, normalisation=IMAGENET):
    """A weights checkpoint of the configuration's model, as a conversion writes it."""
    description = assembly.model_description(config.model)
    _, abstract = assembly.abstract_model(config.model)
    metadata = weights.WeightsMetadata(description, normalisation, source_files={})
    weights.save_weights(folder, tiny.random_parameters(abstract), metadata)


def test_weights_that_do_not_fit_are_refused_before_anything_is_written(data, tmp_path):
    config = tiny_run.config_on(data)
    saved_weights(tmp_path / "weights", config)
    saved_weights(tmp_path / "clip_pixels", config, normalisation=CLIP)
    config.init_from = str(tmp_path / "clip_pixels")
    with pytest.raises(UserError, match=r"clip_pixels: .*; data\.std: weights have \(68\.5"):
        train(config, tmp_path / "run")
    config.init_from = str(tmp_path / "weights")
    config.model.architecture.vision_layers = 2
    with pytest.raises(
        UserError, match=r"weights\. model\.architecture\.vision_layers: weights have 1, .* for 2"
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
        ("model.architecture.patch_size", 5, "not a multiple of architecture.patch_size 5"),
        ("prompts.actions", "missing.csv", "missing.csv"),
        ("mesh.data", 3, "data 3 × fsdp 1 × model 1 = 3 devices, but there are"),
        ("batch_size", 100_000, "100000"),
        ("accumulation", 3, "batch_size 16 is not a multiple of config.accumulation 3"),
        (
            "warmup_epochs",
            3,
            r"config.warmup_epochs is 3; expected at most config.epochs, which is 2",
        ),
        ("augmentation.mixup_alpha", 0.0, r"mixup_alpha is 0.0; expected more than 0, or .*mix=F"),
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
        (
            ["--config.epochs=many"],
            "--config.epochs=many: expected a whole number from 1 to 1000000",
        ),
        (["--config.model.architecture=ViT-B/33"], "did you mean ViT-B/32?"),
        (["--config.data.directory=missing_folder"], "missing_folder does not exist"),
    ],
)
def test_a_wrong_command_line_is_answered_in_one_line(answer, arguments, message, tmp_path):
    workdir = tmp_path / "run"
    code, errors = answer("--config=configs/demo.py", f"--workdir={workdir}", *arguments)
    (error,) = errors.splitlines()
    assert code == 2 and error.startswith("error: ") and message in error
    assert not workdir.exists()


def config_flags_of(run, fields):
    """The run's own configuration with fields changed, as flags change it."""
    config = read_config(as_path(run))
    config.update_from_flattened_dict(fields)
    return config


def test_a_run_is_used_without_its_configuration_from_any_folder(run, videos, tmp_path):
    video = videos / "videos" / "Walking" / "Zebra_test_000.mp4"
    result = subprocess.run(
        [
            sys.executable,
            str(tiny_run.ROOT / "main.py"),
            *(f"--workdir={run}", "--mode=predict", f"--config.predict.video={video}"),
            *("--config.predict.animals=Zebra", "--config.predict.top_k=3"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    animals, *actions = result.stdout.splitlines()
    assert animals == "animals: Zebra (given)" and len(actions) == 3


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"model.refinement": False}, "model.refinement (trained with True, now False)"),
        ({"model.architecture.activation": "gelu"}, "architecture.activation (trained with 'quick"),
        ({"data.mean": (0.0, 0.0, 0.0)}, "data.mean (trained with (123.675"),
        ({"prompts.actions": "templates"}, "prompts.actions (trained with 'names'"),
        ({"relation.file": "other.csv"}, "relation.file (trained with ''"),
        ({"model.num_frames": 8, "seed": 1}, "model.num_frames (trained with 4, now 8); seed (tr"),
    ],
)
def test_what_contradicts_the_training_is_refused_by_name(flags, message, run):
    config = config_flags_of(run, flags)
    with pytest.raises(UserError, match=f"contradicts what was trained: .*{re.escape(message)}"):
        open_for_use(run, config)


def test_a_contradiction_is_one_line_and_leaves_nothing(answer, run):
    before = sorted(path.name for path in run.rglob("*"))
    flags = ("--mode=evaluate", "--config.model.refinement=False")
    code, errors = answer(f"--workdir={run}", *flags)
    assert code == 2 and "contradicts what was trained" in tiny_run.error_line(errors)
    assert sorted(path.name for path in run.rglob("*")) == before


def test_what_is_no_run_is_said_in_one_line(answer, tmp_path):
    for folder, message in (
        (tmp_path / "nothing", "there is no such folder"),
        (tmp_path, "not the folder of a run"),
        ("foo://bucket/run", "URLs of foo:// are not known"),
    ):
        code, errors = answer(f"--workdir={folder}", "--mode=evaluate")
        assert code == 2 and message in tiny_run.error_line(errors)
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_program_keeps_its_traceback(run):
    """What is not a mistake of the user: here, a function that does what it should not."""
    program = (
        "import main\n"
        "from animal_clip_jax.run import train\n"
        "def broken(*arguments, **settings): raise ValueError('inner')\n"
        "train.train = broken\n"
        f"main.main(['--workdir={run}'])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tiny_run.ROOT, capture_output=True, text=True
    )
    assert result.returncode == 1
    assert "Traceback" in result.stderr and "ValueError: inner" in result.stderr


def test_an_evaluation_leaves_the_record_of_the_training_alone(run, data, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    kept = {name: (copy / name).read_bytes() for name in ("metrics.jsonl", "config.json")}
    events = sorted((copy / "tensorboard").iterdir())
    for views in (1, 1):
        evaluate(copy, tiny_run.config_on(data, evaluation__temporal_views=views))
    assert {name: (copy / name).read_bytes() for name in kept} == kept
    assert sorted((copy / "tensorboard").iterdir()) == events
    # The training's own of two views, and one of one view, made twice.
    found = {}
    for folder in (copy / "evaluations").iterdir():
        content = json.loads((folder / "metrics.json").read_text())
        found[content["temporal_views"]] = content["metrics"]["none/mAP"]
        rows = list(csv.DictReader((folder / "per_class.csv").open()))
        assert len(rows) == 8 * 2 * 2 and {row["animals_from"] for row in rows} == {
            "none",
            "labels",
        }
        clips = [
            row
            for row in csv.DictReader((folder / "per_clip.csv").open())
            if (row["animals_from"], row["frames"]) == ("none", "in order")
        ]
        assert len(clips) == content["metrics"]["none/clips"] == len({row["clip"] for row in clips})
        right = sum(row["best"] == row["actions"] for row in clips)
        assert right == sum(int(row["is_right"]) for row in clips)
        assert right / len(clips) == pytest.approx(content["metrics"]["none/top1"])
    assert found.keys() == {1, 2} and len(set(found.values())) == 2


def test_all_devices_answer_as_one(run, videos):
    """On four virtual devices, where the other tests have one."""
    video = str(videos / "videos" / "Walking" / "Zebra_test_000.mp4")
    program = (
        "import jax, animal_clip_jax\n"
        f"answers = animal_clip_jax.load({str(run)!r}).predict([{video!r}] * 3)\n"
        "print(jax.device_count(), [answer.actions[0][1] for answer in answers])"
    )
    process = tiny_run.start(sys.executable, "-c", program, devices=4)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    count, _, rest = output.splitlines()[-1].partition(" ")
    expected = animal_clip_jax.load(run).predict(video).actions[0][1]
    assert count == "4" and json.loads(rest) == pytest.approx([expected] * 3, abs=1e-6)
