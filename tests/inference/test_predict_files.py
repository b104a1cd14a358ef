"""`animal-clip predict --output`: the same as one by one, whatever is in between."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
import tiny_run
from made_calibration import made
from page_reader import Reader

import animal_clip_jax
from animal_clip_jax.errors import UserError
from animal_clip_jax.inference.inputs import find_inputs
from animal_clip_jax.inference.predict_files import predict_files
from animal_clip_jax.inference.results import Results
from animal_clip_jax.inference.smoothing import Smoothing
from animal_clip_jax.inference.stream import Request
from animal_clip_jax.predict_command import main as command

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


def test_results_of_another_calibration_are_not_mixed(run, inputs, tmp_path):
    """The temperature, and the thresholds of actions that are judged by themselves."""
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    tiny_run.change_configuration(folder, '("loss": )"[^"]*"', r'\1"binary_cross_entropy"')
    model, out = animal_clip_jax.load(folder), tmp_path / "out"
    video = [one for one in inputs if one.name == "camera 1/1.mp4"]

    def predicted(thresholds, request=WINDOWS, **options):
        fitted = thresholds and made(thresholds=thresholds, temperature=2.0)
        predict_files(
            dataclasses.replace(model, calibration=fitted), video, out, request, **options
        )
        return results(out)["camera 1/1.mp4"], Results.open(out / "results.jsonl").header.settings

    plain, settings = predicted(None)
    assert "temperature" not in settings
    high = dict.fromkeys(model.actions, 0.95)
    with pytest.raises(UserError, match="its temperature is None, now it is 2.0"):
        predicted(high)
    found, settings = predicted(high, existing="overwrite")

    def odds(probabilities):
        return np.log(probabilities) - np.log1p(-probabilities)

    np.testing.assert_allclose(
        odds(found.windows.actions), odds(plain.windows.actions) / 2, atol=1e-3
    )
    assert len(plain.bouts) > len(found.bouts) == 0
    assert settings["smoothing"]["threshold"] == [0.95] * len(high)
    with pytest.raises(UserError, match="results of another request: its smoothing"):
        predicted({**high, "Walking": 0.2})
    _, settings = predicted(high, Request(), existing="overwrite")
    assert settings["thresholds"] == high
    # A threshold that is asked for is that of all.
    asked = dataclasses.replace(WINDOWS, smoothing=Smoothing(0.25, 1.0, threshold=0.4))
    _, settings = predicted(high, asked, existing="overwrite")
    assert settings["smoothing"]["threshold"] == 0.4 and settings["temperature"] == 2.0


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
    # Pages of what is finished need no prediction.
    assert command([*arguments, "--report", "--report_attention"]) == 1
    assert "0 of them looked at now" in capsys.readouterr().out
    page = Reader((tmp_path / "out" / "report.html").read_text())
    bouts = [bout for result in results(tmp_path / "out").values() for bout in result.bouts]
    assert sorted(float(bar["data-start"]) for bar in page.of_class("bar")) == sorted(
        round(bout.start, 3) for bout in bouts
    )
    assert len([tag for tag, _ in page.elements if tag == "video"]) == 4
    assert len(page.of_class("attention")) == 4
    shutil.rmtree(tmp_path / "out")
    for flags, message in (
        (["--stride=1"], "--stride is for --window"),
        (["--window=1", "--stride=2"], "--stride=2 is longer than --window=1"),
        (["--format=borsi"], "there is no 'borsi'; did you mean boris?"),
    ):
        assert command([str(run), str(footage), f"--output={tmp_path / 'out'}", *flags]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
    for flag in ("--window=1", "--format=boris", "--time_bin=60"):
        assert command([str(run), str(footage), flag]) == 2
        assert f"{flag.partition('=')[0]} is for --output=DIR" in capsys.readouterr().err
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


def test_a_full_disk_is_said_and_the_same_again_goes_on(model, inputs, small_disk, tmp_path):
    request = Request(window=0.1, stride=0.02, smoothing=Smoothing(0.02, 0.2))
    predict_files(model, inputs, tmp_path / "whole", request)
    filling = small_disk / "filling"
    filling.write_bytes(b" " * (shutil.disk_usage(small_disk).free - 20_480))
    with pytest.raises(UserError, match=r"results.jsonl cannot be written: No space left"):
        predict_files(model, inputs, small_disk / "out", request)
    assert not (small_disk / "out" / "results.jsonl").read_bytes().endswith(b"\n")
    filling.unlink()
    assert 0 < predict_files(model, inputs, small_disk / "out", request).num_new < len(inputs)
    assert lines(small_disk / "out") == lines(tmp_path / "whole")


def test_videos_are_written_of_results_that_are_there(run, footage, tmp_path, capsys):
    arguments = [str(run), str(footage), f"--output={tmp_path}", "--recursive"]
    arguments += ["--window=0.5", "--workers=0"]
    assert command(arguments) == 1
    before = (tmp_path / "results.jsonl").read_bytes()
    assert command([*arguments, "--save_video", "--save_clips"]) == 1
    said = capsys.readouterr().out
    assert f"videos: {tmp_path}/videos" in said and f"clips: {tmp_path}/clips" in said
    assert (tmp_path / "results.jsonl").read_bytes() == before
    copies = sorted(str(p.relative_to(tmp_path / "videos")) for p in tmp_path.rglob("videos/*/*"))
    assert copies == ["camera 0/0.mp4", "camera 0/2.mp4", "camera 1/1.mp4", "camera 1/3.mp4"]
    bouts = sum(len(result.bouts) for result in results(tmp_path).values())
    assert len(list(tmp_path.rglob("clips/*/*.mp4"))) == bouts > 3
