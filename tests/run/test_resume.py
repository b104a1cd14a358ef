"""Going on with a run: elsewhere, longer, from its weights; and what is refused."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest
import tiny
import tiny_run
from converted import describe_again

from animal_clip_jax.conversion import weights
from animal_clip_jax.errors import MissingFileError, UserError
from animal_clip_jax.files import as_path
from animal_clip_jax.locks import only_writer
from animal_clip_jax.models.normalisation import IMAGENET
from animal_clip_jax.run import assembly
from animal_clip_jax.run.config import with_absolute_paths
from animal_clip_jax.run.metrics_log import MetricsLog
from animal_clip_jax.run.resume import earlier_run
from animal_clip_jax.run.train import train
from animal_clip_jax.run.trained_run import load_start
from animal_clip_jax.run.workdir import check_is_free, read_record
from data_pipeline.dataset import load_info

# No more evaluation than there must be.
BRIEF = dict(
    evaluation__every_epochs=100,
    evaluation__temporal_views=1,
    evaluation__shuffle_frames=False,
    evaluation__animal_sources=("none",),
)
# Training that leaves the parameters as they are.
FIXED = {
    **BRIEF,
    **tiny_run.PLAIN,
    "optimizer__learning_rate": 0.0,
    "optimizer__minimum_learning_rate": 0.0,
}


@pytest.fixture
def half(run, tmp_path) -> pathlib.Path:
    """A copy of the finished run that lacks its last checkpoint, and has that of step 3."""
    workdir = tmp_path / "half"
    shutil.copytree(run, workdir)
    shutil.rmtree(workdir / "checkpoints" / "6")
    return workdir


def parameters_of(workdir: pathlib.Path) -> dict[str, np.ndarray]:
    return tiny_run.checkpoint(workdir)[1]["parameters"]


def test_it_goes_on_where_its_data_lies_elsewhere(half, data, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(data, moved)
    config = with_absolute_paths(tiny_run.config_on(moved))
    found = earlier_run(config, as_path(half), load_info(moved))
    assert found is not None and found.step == 3


def _swapped_labels(data: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """The data with its actions in another order."""
    shutil.copytree(data, folder)
    names = (folder / "actions.txt").read_text().split("\n")
    names[0], names[1] = names[1], names[0]
    (folder / "actions.txt").write_text("\n".join(names))
    return describe_again(folder)


def test_other_data_is_refused_wherever_it_lies(half, data, tmp_path):
    other = _swapped_labels(data, tmp_path / "other")
    config = tiny_run.config_on(other)
    message = rf"{other} is not the data that {half} was trained on: its actions are in another or"
    with pytest.raises(UserError, match=message):
        train(config, half)
    # Changed in its place, too.
    shutil.rmtree(half / "checkpoints")
    for path in (half / "config.json", half / "run.json"):
        path.write_text(path.read_text().replace(str(data), str(other)))
    with pytest.raises(UserError, match="is not what the run was made from"):
        train(config, half)
    assert not (half / "checkpoints").exists()


def test_labels_in_another_order_are_refused_by_a_run_without_a_record(half, data, tmp_path):
    other = _swapped_labels(data, tmp_path / "other")
    (half / "run.json").unlink()
    names = (data / "actions.txt").read_text().split("\n")
    message = (
        f"its actions are in another order: {names[1]!r} is where {names[0]!r} was. Give the s"
    )
    with pytest.raises(UserError, match=message):
        train(tiny_run.config_on(other), half)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda info: {"action_names": (*info.action_names, "Zig")}, "'Zig' is new"),
        (lambda info: {"animal_names": info.animal_names[1:]}, "there .*; '.*' is missing"),
        (
            lambda info: {
                "relation_counts": info.relation_counts + np.eye(*_shape(info), dtype=int)
            },
            "2 training clips show '.*' as '.*', there 1",
        ),
    ],
)
def test_what_differs_in_other_data_is_said(half, data, change, message):
    info = load_info(data)
    other = dataclasses.replace(info, **change(info))
    config = with_absolute_paths(tiny_run.config_on(data))
    with pytest.raises(UserError, match=f"{data} is not the data that {half} was .*{message}"):
        earlier_run(config, as_path(half), other)


def _shape(info):
    return info.relation_counts.shape


def test_clips_that_changed_are_noticed_by_a_run_without_a_record(half, data, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(data, other)
    clips = (other / "clips.csv").read_text().splitlines(keepends=True)
    (other / "clips.csv").write_text("".join([clips[0], *clips[2:], clips[1]]))
    describe_again(other)
    (half / "run.json").unlink()
    config = with_absolute_paths(tiny_run.config_on(other))
    with pytest.raises(UserError, match="labels and their counts are the same, but not its clips"):
        earlier_run(config, as_path(half), load_info(data))


class TestTheFolder:
    @pytest.mark.parametrize("names", [["notes.txt"], ["data", "x", "y", "z"], ["tensorboard"]])
    def test_a_folder_of_something_else_is_refused(self, tmp_path, data, names):
        folder = tmp_path / "mine"
        for name in names:
            (folder / name).mkdir(parents=True)
        message = f"{folder} is not empty and holds no run, but {', '.join(names[:3])}"
        with pytest.raises(UserError, match=message):
            train(tiny_run.config_on(data), folder)
        assert sorted(path.name for path in folder.iterdir()) == names

    def test_a_file_is_refused(self, tmp_path, data):
        (tmp_path / "file").write_text("mine")
        with pytest.raises(UserError, match="file is a file; expected the folder of a run"):
            train(tiny_run.config_on(data), tmp_path / "file")

    def test_what_a_killed_start_left_is_none(self, tmp_path):
        for name in ("run.json.12.incomplete", ".writing", "lost+found"):
            (tmp_path / name).write_text("")
        check_is_free(as_path(tmp_path))
        check_is_free(as_path(tmp_path / "none"))

    def test_one_training_at_a_time(self, half, data):
        with (
            only_writer(half),
            pytest.raises(UserError, match=f"^{half} is being written by this very process"),
        ):
            train(tiny_run.config_on(data), half)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": "2"}, "version is '2', expected a whole number"),
        ({"version": True}, "version is True, expected a whole number"),
        ({"inputs": []}, r"inputs is \[\], expected an object"),
        ({"inputs": {"init_from": 3}}, "inputs.init_from is 3, expected an object"),
        ({"inputs": {"a": {"path": 5, "digest": ""}}}, "inputs.a.path is 5, expected a text"),
        ({"inputs": {"a": {"path": "x"}}}, "inputs.a.digest is missing"),
        ({"extended": {"step": 3}}, "extended is .*, expected a list"),
        ({"extended": [3]}, r"extended\[0\] is 3, expected an object"),
        ({"extended": [{"step": 3, "epochs": 2}]}, r"extended\[0\].to is missing"),
        ({"program": None}, "program is None, expected a text"),
    ],
)
def test_a_damaged_record_is_named(run, tmp_path, change, message):
    content = json.loads((run / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**content, **change}))
    with pytest.raises(UserError, match=f"^{tmp_path}/run.json is damaged: {message}"):
        read_record(as_path(tmp_path))


class TestMetricsLog:
    def lines(self, folder):
        return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]

    @pytest.fixture
    def log(self, tmp_path):
        log = MetricsLog(as_path(tmp_path))
        for step in (1, 2, 3):
            log.write(step, "train", {"loss": 0.5})
        log.write(3, "evaluation", {"top1": 0.25})
        return log

    @pytest.mark.parametrize("cut", [1, 2, 30])
    def test_a_line_that_was_broken_off_is_removed_and_said(self, log, tmp_path, cut):
        before = log.path.read_bytes()
        log.path.write_bytes(before[:-cut])
        assert not log.holds(3, "evaluation")
        said = log.go_on(3)
        assert said.startswith(f"{log.path}: the last line was broken off after ")
        log.write(3, "evaluation", {"top1": 0.25})
        assert log.path.read_bytes() == before and not log.go_on(3)

    def test_lines_of_steps_that_are_made_again_are_removed(self, log, tmp_path):
        assert log.go_on(2) == ""
        assert [line["step"] for line in self.lines(tmp_path)] == [1, 2]

    def test_a_line_of_an_evaluation_that_is_made_again_is_removed(self, log, tmp_path):
        log.go_on(3, is_evaluated=True)
        assert len(self.lines(tmp_path)) == 4
        log.go_on(3, is_evaluated=False)
        assert [line["kind"] for line in self.lines(tmp_path)] == ["train"] * 3

    def test_lines_of_others_stay(self, log, tmp_path):
        with log.path.open("a") as file:
            file.write('mine\n[3]\n{"step": "x", "kind": 1}\n')
        before = log.path.read_bytes()
        assert log.go_on(3) == "" and log.path.read_bytes() == before

    def test_there_is_none_yet(self, tmp_path):
        assert MetricsLog(as_path(tmp_path)).go_on(0) == "" and not list(tmp_path.iterdir())


def test_it_goes_on_without_what_it_was_made_from(data, tmp_path):
    """It begins with converted weights. They, descriptions and relations may go once there is a
    checkpoint."""
    config = tiny_run.config_on(data, **FIXED, epochs=1)
    description = assembly.model_description(config.model)
    values = tiny.random_parameters(assembly.abstract_model(config.model)[1])
    files = tmp_path / "files"
    weights.save_weights(
        files / "weights", values, weights.WeightsMetadata(description, IMAGENET, {})
    )
    names = (data / "actions.txt").read_text().split("\n")[:-1]
    rows = "".join(f"{name},it is {name}\n" for name in names)
    (files / "actions.csv").write_text(f"action,text\n{rows}")
    shutil.copy(data / "relation.csv", files / "relation.csv")
    config.init_from = str(files / "weights")
    config.prompts.actions = str(files / "actions.csv")
    config.relation.file = str(files / "relation.csv")
    train(config, tmp_path / "run")
    expected = tiny_run.checkpoint(tmp_path / "run")
    for path, value in values.items():
        np.testing.assert_array_equal(expected[1]["parameters"][path], value, err_msg=path)

    changed = config.copy_and_resolve_references()
    changed.relation.file = str(tmp_path / "relation.csv")
    (tmp_path / "relation.csv").write_text("animal,action\nFox,Walking\n")
    with pytest.raises(UserError, match=r"relation.file \(.*relation.csv is not what the run was"):
        train(changed, tmp_path / "run")

    shutil.rmtree(files)
    config.epochs = 2
    train(config, tmp_path / "run", extends=True)
    step, content = tiny_run.checkpoint(tmp_path / "run")
    assert (expected[0], step) == (3, 6)
    tiny_run.assert_identical(content["classes"], expected[1]["classes"])
    fresh = tiny_run.config_on(data, init_from=str(files / "weights"))
    with pytest.raises(MissingFileError, match="config.init_from: there is nothing at .*weights;"):
        train(fresh, tmp_path / "fresh")
    assert not (tmp_path / "fresh").exists()


def test_more_epochs(run, data, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(run, workdir)
    config = tiny_run.config_on(data, **BRIEF, epochs=3)
    with pytest.raises(UserError, match=r"epochs \(there 2, now 3\) \(--extend goes on with more"):
        train(config, workdir)
    train(config, workdir, extends=True)
    assert tiny_run.checkpoint(workdir)[0] == 9
    assert read_record(workdir).extended == ({"step": 6, "epochs": 2, "to": 3},)
    rates = {
        step: line["learning_rate"] for step, line in tiny_run.logged(workdir, "train").items()
    }
    # The longer schedule from here: the cosine over nine steps, at its eighth.
    base, least = config.optimizer.learning_rate, config.optimizer.minimum_learning_rate
    expected = least + 0.5 * (base - least) * (1 + np.cos(np.pi * 8 / 9))
    assert rates[9] == pytest.approx(expected, rel=1e-5)
    # The same command again, after a stop, and the same without --extend.
    same = with_absolute_paths(config)
    for extends in (True, False):
        assert earlier_run(same, as_path(workdir), load_info(data), extends=extends).step == 9
    config.epochs = 2
    with pytest.raises(UserError, match="config.epochs is 2, and .* was planned for 3; give more"):
        train(config, workdir, extends=True)
    with pytest.raises(UserError, match="holds no checkpoint to go on from"):
        train(config, tmp_path / "nothing", extends=True)
    assert not (tmp_path / "nothing").exists()


def test_another_training_starts_from_its_weights(run, data, tmp_path):
    start = load_start(str(run), "animal_clip")
    expected = parameters_of(run)
    assert start.parameters.keys() == expected.keys()
    for path, value in expected.items():
        np.testing.assert_array_equal(start.parameters[path], value, err_msg=path)
    config = tiny_run.config_on(data, init_from=str(run), model__num_frames=8)
    with pytest.raises(UserError, match="model.num_frames: weights have 4, config asks for 8"):
        train(config, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_record_of_a_newer_version_is_refused(half, data):
    content = json.loads((half / "run.json").read_text())
    (half / "run.json").write_text(json.dumps({**content, "version": 99}))
    with pytest.raises(UserError, match="run.json is of version 99, made by a newer animal_clip_j"):
        train(tiny_run.config_on(data), half)
    (half / "run.json").write_text("[]")
    with pytest.raises(UserError, match="run.json is damaged"):
        train(tiny_run.config_on(data), half)


def test_a_profile_of_a_run_of_few_steps(run, data, tmp_path):
    """Three steps, where the trace would begin with the fifth."""
    config = tiny_run.config_on(data, **FIXED, epochs=1, profile=True)
    train(config, tmp_path / "run")
    assert list((tmp_path / "run" / "profile").rglob("*.xplane.pb"))
