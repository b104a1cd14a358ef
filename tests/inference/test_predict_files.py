"""`animal-clip predict --output`: the same as one by one, whatever is in between."""

import csv
import json
import shutil

import numpy as np
import pytest

import animal_clip_jax
from animal_clip_jax.errors import UserError
from animal_clip_jax.inference.inputs import find_inputs
from animal_clip_jax.inference.predict_files import predict_files
from animal_clip_jax.inference.results import Results
from animal_clip_jax.inference.smoothing import Smoothing
from animal_clip_jax.inference.stream import Request
from animal_clip_jax.run_commands import predict as command

WINDOWS = Request(window=0.5, stride=0.25, smoothing=Smoothing(0.25, 1.0))


@pytest.fixture(scope="module")
def model(run):
    return animal_clip_jax.load(run)


@pytest.fixture(scope="module")
def footage(videos, tmp_path_factory):
    """Six videos in two folders, of which one is none and one breaks off."""
    folder = tmp_path_factory.mktemp("footage")
    found = sorted((videos / "videos").rglob("*.mp4"))[:4]
    for number, path in enumerate(found):
        place = folder / f"camera {number % 2}" / f"{number}.mp4"
        place.parent.mkdir(exist_ok=True)
        shutil.copy(path, place)
    (folder / "camera 0" / "text.mp4").write_text("no video")
    return folder


def results(folder):
    return {result.name: result for result in Results.open(folder / "results.jsonl")}


def lines(folder):
    """Without the first, which has the time."""
    return (folder / "results.jsonl").read_text().splitlines()[1:]


@pytest.fixture(scope="module")
def inputs(footage):
    return find_inputs([str(footage)], recursive=True)


def test_whole_videos_are_answered_as_one_by_one(model, footage, inputs, tmp_path):
    summary = predict_files(model, inputs, tmp_path / "out", Request(batch_size=3), top_k=2)
    assert (summary.num_videos, summary.num_new, summary.failed) == (5, 5, ("camera 0/text.mp4",))
    found = results(tmp_path / "out")
    assert list(found) == [video.name for video in inputs]
    with (tmp_path / "out" / "results.csv").open(newline="") as file:
        table = {row["video"]: row for row in csv.DictReader(file)}
    for name, result in found.items():
        if name == "camera 0/text.mp4":
            assert not result.is_answered and "not a readable video" in result.problem
            assert table[name]["problem"] == result.problem and not table[name]["action_1"]
            continue
        answer = model.predict(footage / name)
        expected = dict(answer.actions)
        np.testing.assert_allclose(
            result.actions, [expected[action] for action in model.actions], atol=1e-5
        )
        assert table[name]["action_1"] == answer.actions[0].label
        assert float(table[name]["probability_2"]) == pytest.approx(
            answer.actions[1].probability, abs=1e-4
        )
        assert result.bouts == () and result.windows is None


def test_windows_are_clips_of_their_own(model, footage, inputs, tmp_path):
    predict_files(model, inputs, tmp_path / "out", WINDOWS)
    result = results(tmp_path / "out")["camera 1/1.mp4"]
    assert result.windows.starts[:2].tolist() == [0, 0.25]
    np.testing.assert_allclose(result.actions, result.windows.actions.mean(axis=0), atol=1e-5)
    assert result.bouts[0].start == 0
    assert result.bouts[-1].stop == pytest.approx(result.media.duration, abs=1e-5)


def test_workers_and_batches_change_nothing(model, inputs, tmp_path):
    one = predict_files(model, inputs, tmp_path / "one", WINDOWS, save_embeddings=True)
    other_request = Request(0.5, 0.25, WINDOWS.smoothing, batch_size=8, workers=2)
    predict_files(model, inputs, tmp_path / "two", other_request, save_embeddings=True)
    assert lines(tmp_path / "one") == lines(tmp_path / "two")
    assert one.num_new == 5
    first, second = (np.load(tmp_path / name / "embeddings.npz") for name in ("one", "two"))
    assert first["names"].tolist() == second["names"].tolist() and len(first["names"]) == 4
    np.testing.assert_allclose(first["embeddings"], second["embeddings"], atol=1e-5)


def test_it_goes_on_where_it_was(model, inputs, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    predict_files(model, inputs, whole, WINDOWS)
    shutil.copytree(whole, cut)
    text = (whole / "results.jsonl").read_bytes()
    for length in (len(text) // 2, text.index(b"\n") + 5, text.index(b"\n") + 1):
        (cut / "results.jsonl").write_bytes(text[:length])
        (cut / "results.csv").unlink()
        summary = predict_files(model, inputs, cut, WINDOWS)
        assert summary.num_new > 0
        for path in whole.iterdir():
            assert (cut / path.name).read_bytes() == path.read_bytes()
    assert predict_files(model, inputs, cut, WINDOWS).num_new == 0


def test_results_of_another_request_are_not_mixed(model, inputs, tmp_path):
    predict_files(model, inputs, tmp_path / "out", Request())
    before = (tmp_path / "out" / "results.jsonl").read_bytes()
    with pytest.raises(
        UserError, match="results of another request: its stride is None, now it is 0.25"
    ):
        predict_files(model, inputs, tmp_path / "out", WINDOWS)
    with pytest.raises(UserError, match="its save_embeddings is False, now it is True"):
        predict_files(model, inputs, tmp_path / "out", Request(), save_embeddings=True)
    with pytest.raises(UserError, match="gs://bucket/answers"):
        predict_files(model, inputs, "gs://bucket/answers", Request())
    with pytest.raises(UserError, match="is there already; --existing=skip goes on"):
        predict_files(model, inputs, tmp_path / "out", Request(), existing="error")
    assert (tmp_path / "out" / "results.jsonl").read_bytes() == before
    predict_files(model, inputs, tmp_path / "out", WINDOWS, existing="overwrite")
    assert results(tmp_path / "out")["camera 1/1.mp4"].windows is not None
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(UserError, match="not empty and holds no results"):
        predict_files(model, inputs, tmp_path / "other", Request())


def test_nothing_to_look_at(model, tmp_path):
    with pytest.raises(UserError, match="no video to look at: .*none.mp4: there is no such file"):
        predict_files(model, find_inputs(["none.mp4"]), tmp_path / "out", Request())
    assert not (tmp_path / "out").exists()


def test_the_command(run, footage, tmp_path, capsys):
    arguments = [str(run), str(footage), f"--output={tmp_path / 'out'}", "--recursive"]
    arguments += ["--window=0.5", "--workers=0", "--format=bouts,boris", "--save_embeddings"]
    assert command(arguments) == 1  # one of the videos is none
    said = capsys.readouterr().out
    assert "5 videos, 5 of them looked at now" in said and "camera 0/text.mp4" in said
    assert json.loads((tmp_path / "out" / "predictions.boris").read_text())["observations"]
    assert (tmp_path / "out" / "bouts.csv").read_text().count("camera") >= 4
    shutil.rmtree(tmp_path / "out")
    for flags, message in (
        (["--stride=1"], "--stride is for --window"),
        (["--window=1", "--stride=2"], "--stride=2 is longer than --window=1"),
        (["--format=borsi"], "there is no 'borsi'; did you mean boris?"),
    ):
        assert command([str(run), str(footage), f"--output={tmp_path / 'out'}", *flags]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
    assert command([str(run), str(footage), "--window=1"]) == 2
    assert "--window is for --output=DIR" in capsys.readouterr().err
    assert command([str(run), str(footage), "--recursive", "--dry_run"]) == 0
    assert capsys.readouterr().out.count("\n") == 5


def test_a_timeline_is_that_of_the_files(model, footage, inputs, tmp_path):
    predict_files(model, inputs, tmp_path / "out", WINDOWS)
    expected = results(tmp_path / "out")["camera 1/1.mp4"]
    found = model.timeline(
        footage / "camera 1" / "1.mp4", window=0.5, stride=0.25, smoothing=WINDOWS.smoothing
    )
    assert [(b.start, b.action) for b in found.bouts] == [
        (b.start, b.action) for b in expected.bouts
    ]
    np.testing.assert_allclose(found.windows.actions, expected.windows.actions, atol=1e-5)
    with pytest.raises(UserError, match="text.mp4: not a readable video"):
        model.timeline(footage / "camera 0" / "text.mp4")
