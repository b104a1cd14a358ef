"""`animal-clip calibrate`: which clips it takes, what it writes, what predictions make of it."""

import io
import json
import shutil

import numpy as np
import pytest
import tiny_run
from etils import epath
from jax.export import deserialize
from made_calibration import calibrated
from PIL import Image
from sklearn.metrics import log_loss

import animal_clip_jax
from animal_clip_jax.calibrate import main as calibrate
from animal_clip_jax.errors import UserError
from animal_clip_jax.evaluation.calibration import DEFAULT_THRESHOLD, LEAST_POSITIVES
from animal_clip_jax.export import main as export
from animal_clip_jax.locks import only_writer
from animal_clip_jax.run import calibration
from animal_clip_jax.run.calibrate import clips_to_fit
from animal_clip_jax.run.data import open_training_data
from animal_clip_jax.run.train import train
from animal_clip_jax.run.trained_run import TrainedRun
from data_pipeline.batches.reading import Source
from data_pipeline.clip_index import load_index

ONE_VIEW = "--config.evaluation.temporal_views=1"


def copy_of(run, folder, **fields):
    """A copy of a run, as if it had been trained with other fields."""
    shutil.copytree(run, folder)
    for name, value in fields.items():
        tiny_run.change_configuration(folder, f'("{name}": )[^,}}]*', rf"\g<1>{json.dumps(value)}")
    return folder


@pytest.fixture(scope="module")
def mine(data, tmp_path_factory):
    """A run long enough to be much too sure of what it has not seen."""
    fields = {"epochs": 20, "evaluation__every_epochs": 20, "checkpoint__every_epochs": 20}
    config = tiny_run.config_on(data, **fields, **tiny_run.PLAIN)
    config.evaluation.shuffle_frames = False
    folder = tmp_path_factory.mktemp("mine") / "run"
    train(config, folder)
    return folder


@pytest.fixture(scope="module")
def fitted(mine):
    """The run, calibrated on its test clips."""
    assert calibrate([str(mine), "--split=test", ONE_VIEW]) == 0
    return calibration.read(mine)


def test_calibrated_predictions_have_the_likelihood_that_was_fitted(fitted, mine, data):
    index = load_index(data, "test")
    stored = Source.open(data, "test")
    clips = [
        np.stack([np.asarray(Image.open(io.BytesIO(frame))) for frame in stored.stored_frames(row)])
        for row in range(len(index))
    ]
    labels = [of_clip[0] for of_clip in index.actions]
    config = TrainedRun.open(mine).config.copy_and_resolve_references()
    config.evaluation.temporal_views = 1
    found = []
    for is_calibrated in (False, True):
        config.predict.calibration = is_calibrated
        model = animal_clip_jax.load(mine, config=config)
        answers = [dict(answer.actions) for answer in model.predict(clips)]
        shares = np.array([[answer[action] for action in model.actions] for answer in answers])
        found.append(log_loss(labels, shares / shares.sum(axis=1, keepdims=True)))
    # The pictures that were fitted on are decoded again, by another library. What that changes in
    # the logits, the temperature divides.
    assert found[0] == pytest.approx(fitted.before.nll, abs=5e-4 * fitted.temperature)
    assert found[1] == pytest.approx(fitted.after.nll, abs=5e-4)
    assert found[1] < found[0] - 3e-3


def test_an_exported_model_is_calibrated_too(fitted, mine, tmp_path):
    assert export([str(mine), f"--output={tmp_path / 'model'}"]) == 0
    arrays = dict(np.load(tmp_path / "model" / "arrays.npz"))
    assert arrays["temperature"] == np.float32(fitted.temperature) != 1
    content = (tmp_path / "model" / "model.jax_export").read_bytes()
    exported = deserialize(bytearray(content))
    model = animal_clip_jax.load(mine)
    size = model.views.image_size
    random = np.random.default_rng(0)
    frames = random.integers(0, 256, (2, model.views.num_frames, size, size, 3), np.uint8)
    shares, _ = exported.call(arrays, frames, np.zeros((2, len(model.animals)), np.float32))
    expected, _, _ = model.score(frames[:, None], None, batch_size=2)
    np.testing.assert_allclose(shares, expected, atol=1e-6)
    about = json.loads((tmp_path / "model" / "model.json").read_text())["calibration"]
    assert about["temperature"] == fitted.temperature and about["fitted_on"] == fitted.clips


def test_what_was_fitted_on_is_on_record(fitted, mine, data):
    run = TrainedRun.open(mine)
    assert (fitted.step, fitted.outputs, fitted.animal_source) == (run.step, "softmax", "none")
    assert fitted.thresholds == {} and fitted.views == {"temporal_views": 1, "crops": 1}
    assert fitted.clips["split"] == "test" and fitted.clips["number"] == tiny_run.TEST_CLIPS
    assert fitted.clips["data_sha256"] == run.description.data_digest
    assert "animal_clip_jax" in fitted.program
    for judged in (fitted.before, fitted.after, fitted.cross_fitted):
        assert judged.reliability.counts.sum() == tiny_run.TEST_CLIPS
    assert fitted.after.nll <= fitted.cross_fitted.nll


def test_again_gives_the_same_file_and_a_short_table(fitted, mine, capsys):
    before = (mine / "calibration.json").read_bytes()
    assert calibrate([str(mine), "--split=test", ONE_VIEW]) == 0
    assert (mine / "calibration.json").read_bytes() == before
    said = capsys.readouterr().out
    assert f"test: {tiny_run.TEST_CLIPS} clips, in one view, animals not given" in said
    assert f"{100 * fitted.before.ece:.1f} %  {100 * fitted.cross_fitted.ece:.1f} %" in said
    assert f"{fitted.before.nll:.3f}" in said and f"{fitted.cross_fitted.nll:.3f}" in said
    assert "80 clips say little" in said and "these are the test clips" in said


def test_clips_that_were_held_out_are_taken_by_default(run, data, tmp_path):
    folder = copy_of(run, tmp_path / "run", validation_share=0.3)
    assert calibrate([str(folder), ONE_VIEW]) == 0
    dealt = open_training_data(tiny_run.config_on(data, data__validation_share=0.3))
    found = calibration.read(epath.Path(folder))
    assert found.clips["number"] == len(dealt.validation.index) == 16
    assert (found.clips["split"], found.clips["clip_set"]) == ("train", "validation")


def said(capsys, arguments) -> str:
    assert calibrate(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_which_clips_is_never_guessed(run, data, tmp_path, capsys):
    folder = copy_of(run, tmp_path / "run")
    arguments = [str(folder)]
    assert "held out no clips" in said(capsys, arguments)
    # As published, the best checkpoint is chosen on the test clips: those neither.
    published = copy_of(run, tmp_path / "published", select_best_on="test_as_published")
    assert "--split=NAME" in said(capsys, [str(published)])
    assert "trained on the clips of 'train'" in said(capsys, [*arguments, "--split=train"])
    line = said(capsys, [*arguments, "--split=valid"])
    assert "has no split 'valid'; it has train, test" in line
    nowhere = "--config.data.directory=/nowhere"
    assert "/nowhere does not exist" in said(capsys, [*arguments, "--split=test", nowhere])
    assert "there is no such folder" in said(capsys, [str(tmp_path / "none"), "--split=test"])
    with only_writer(folder):
        line = said(capsys, [*arguments, "--split=test", ONE_VIEW])
    assert "is being written by" in line
    assert not list(tmp_path.glob("*/calibration.json"))


def test_a_share_of_other_data_was_not_held_out(run, tmp_path):
    """Which clips of it were trained on is not known."""
    opened = TrainedRun.open(copy_of(run, tmp_path / "run", validation_share=0.3))
    with pytest.raises(UserError, match="is other data; name a split of it with --split"):
        clips_to_fit(opened, opened.config, "", is_own=False)
    # A split of that name in other data may be taken.
    assert clips_to_fit(opened, opened.config, "train", is_own=False).split == "train"


def test_thresholds_of_actions_with_a_probability_of_their_own(run, data, tmp_path, capsys):
    folder = copy_of(run, tmp_path / "run", loss="binary_cross_entropy")
    assert calibrate([str(folder), "--split=test", ONE_VIEW]) == 0
    found = calibration.read(epath.Path(folder))
    counts = np.bincount(np.concatenate(load_index(data, "test").actions), minlength=8)
    assert (counts >= LEAST_POSITIVES).all()
    model = animal_clip_jax.load(folder)
    assert found.outputs == "sigmoid" and set(found.thresholds) == set(model.actions)
    assert model.thresholds == tuple(found.thresholds.values())
    text = capsys.readouterr().out
    fitted = len(model.actions) - len(found.default_thresholds)
    assert f"Thresholds of {fitted} of 8 actions" in text
    assert all(found.thresholds[name] == DEFAULT_THRESHOLD for name in found.default_thresholds)
    # Each pair of a clip and an action is an answer.
    assert found.before.reliability.counts.sum() == 8 * tiny_run.TEST_CLIPS
    other = model.with_actions(["digging", model.actions[2]])
    assert other.calibration is model.calibration
    assert other.thresholds == (DEFAULT_THRESHOLD, found.thresholds[model.actions[2]])


def test_a_calibration_of_something_else_is_not_used_and_said(run, tmp_path):
    folder = copy_of(run, tmp_path / "run")
    opened = TrainedRun.open(folder)
    assert calibrated(folder, temperature=2.5).misfit(opened, "none") == ""
    for fields, reason in (
        ({"checkpoint": "another"}, f"it is of another checkpoint of step {opened.step}"),
        (
            {"animal_source": "predicted"},
            "it was fitted with the animals zero-shot, and now they are not given",
        ),
        ({"step": opened.step + 1}, f"it is of step {opened.step + 1}, not {opened.step}"),
    ):
        assert calibrated(folder, **fields).misfit(opened, "none") == reason
    with pytest.warns(UserWarning, match="calibration.json is not used, " + reason):
        assert animal_clip_jax.load(folder).calibration is None


def test_a_damaged_calibration_is_refused_unless_it_is_not_asked_for(run, tmp_path):
    folder = copy_of(run, tmp_path / "run")
    calibrated(folder)
    path = folder / "calibration.json"
    text = path.read_text()
    for wrong, message in (
        (text.replace('"temperature": 3.0', '"temperature": 30.0'), "is damaged or was changed"),
        (text[:-20], "is damaged"),
        ("[]", "expected an object"),
        ('{"version": 99}', "is of version 99, made by a newer program"),
    ):
        path.write_text(wrong)
        with pytest.raises(UserError, match=message) as error:
            animal_clip_jax.load(folder)
        assert str(path) in str(error.value) and "animal-clip calibrate" in str(error.value)
    config = TrainedRun.open(folder).config.copy_and_resolve_references()
    config.predict.calibration = False
    assert animal_clip_jax.load(folder, config=config).calibration is None
