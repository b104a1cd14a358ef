"""Videos without animals: bright frames are the animals of a made model; then a real recogniser."""

import csv
import dataclasses

import av
import numpy as np
import pytest
from etils import epath

import animal_clip_jax
from animal_clip_jax.errors import UserError
from animal_clip_jax.inference.formats.options import FormatOptions
from animal_clip_jax.inference.formats.table import write_formats
from animal_clip_jax.inference.inputs import find_inputs
from animal_clip_jax.inference.predict_files import predict_files
from animal_clip_jax.inference.results import Results
from animal_clip_jax.inference.smoothing import Smoothing
from animal_clip_jax.inference.stream import Request, predict_stream
from animal_clip_jax.predict_command import main as command
from animal_clip_jax.run.trained_run import Preprocessing
from data_pipeline.video import Views

RATE = 8
REQUEST = Request(window=1.0, stride=0.5, smoothing=Smoothing(0.5, 2.0), blank_below=0.5)


class Brightness:
    """A model to which bright is an animal, which walks where it is red and else eats."""

    preprocessing = Preprocessing(short_side=16, max_frames=16)
    views = Views(2, 16, 1, 1)
    actions, animals = ("Walking", "Eating"), ("Fox",)
    judges_each_action = False
    animal_look = None
    presence_look = Views(4, 16)
    thresholds = None

    def presence(self, looks, *, batch_size):
        return looks.mean(axis=(2, 3, 4)).max(axis=1) / 255

    def score(self, frames, looks, *, animals=(), batch_size):
        assert looks is None  # animals are none of its business
        red = frames[..., 0].mean(axis=(1, 2, 3, 4)) > frames[..., 2].mean(axis=(1, 2, 3, 4))
        number = len(frames)
        return (
            np.stack([np.where(red, 0.9, 0.1), np.where(red, 0.1, 0.9)], axis=1),
            np.ones((number, 1)),
            np.zeros((number, 3)),
        )


def write(path, *seconds_of):
    """Frames of one colour each: (seconds, colour)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "5"})
        stream.height = stream.width = 32
        stream.pix_fmt = "yuv420p"
        for seconds, colour in seconds_of:
            image = np.broadcast_to(np.array(colour, np.uint8), (32, 32, 3)).copy()
            for _ in range(int(seconds * RATE)):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())
    return path


DARK, RED, BLUE = (20, 20, 20), (255, 160, 160), (160, 160, 255)


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("footage")
    write(folder / "empty.mp4", (4, DARK))
    write(folder / "passing.mp4", (3, DARK), (1, RED), (1, BLUE), (3, DARK))
    write(folder / "short.mp4", (0.125, DARK), (0.125, BLUE))
    (folder / "text.mp4").write_text("no video")
    return folder


def predict(footage, request):
    inputs = find_inputs([str(footage)])
    return {result.name: result for result, _ in predict_stream(Brightness(), inputs, request)}


def test_bouts_are_where_an_animal_is(footage):
    found = predict(footage, REQUEST)
    empty, passing, short = (found[f"{name}.mp4"] for name in ("empty", "passing", "short"))
    assert empty.blank and empty.bouts == () and empty.presence == pytest.approx(20 / 255, abs=0.02)
    assert not passing.blank and passing.presence == pytest.approx(575 / 3 / 255, abs=0.02)
    # Windows of a second every half: those that end after 3 s and begin before 5 s see it.
    starts = passing.windows.starts[passing.windows.presence >= 0.5]
    assert starts.tolist() == [2.5, 3.0, 3.5, 4.0, 4.5]
    assert [(bout.start, bout.stop, bout.action) for bout in passing.bouts][-1] == (
        passing.bouts[-1].start, 5.5, "Eating"
    )  # fmt: skip
    assert passing.bouts[0].start == 2.5 and passing.bouts[0].action in ("Walking", "Eating")
    assert len(empty.windows.actions) == len(empty.windows.presence) == 7
    assert not short.blank and short.bouts[0].stop == pytest.approx(0.25)
    failed = found["text.mp4"]
    assert failed.problem and not failed.blank and failed.presence is None


def test_whole_videos_and_nothing_asked(footage):
    whole = predict(footage, Request(blank_below=0.5))
    assert {name: result.blank for name, result in whole.items()} == {
        "empty.mp4": True, "passing.mp4": False, "short.mp4": False, "text.mp4": False
    }  # fmt: skip
    plain = predict(footage, dataclasses.replace(REQUEST, blank_below=None))
    assert all(result.presence is None and not result.blank for result in plain.values())
    assert plain["empty.mp4"].windows.presence is None and plain["empty.mp4"].bouts


def test_several_actions_at_a_time_and_least_lengths(footage):
    several = Brightness()
    several.judges_each_action = True
    inputs = find_inputs([str(footage / "passing.mp4")])
    ((result, _),) = predict_stream(several, inputs, REQUEST)
    assert min(bout.start for bout in result.bouts) >= 2.5
    assert max(bout.stop for bout in result.bouts) == 5.5
    longer = dataclasses.replace(REQUEST, smoothing=Smoothing(0.5, 2.0, least_seconds=3.5))
    ((result, _),) = predict_stream(several, inputs, longer)
    assert result.bouts == () and not result.blank


@pytest.fixture(scope="module")
def model(run, recogniser_folder):
    """The run with a recogniser that it was not trained with."""
    plain = animal_clip_jax.load(run)
    with pytest.raises(UserError, match=r"image–text model, and recognising animals needs"):
        plain.with_presence()
    config = plain.run.config.copy_and_resolve_references()
    config.animals.weights = str(recogniser_folder)
    return animal_clip_jax.load(run, config=config).with_presence()


def test_described_animals_are_looked_for_by_their_descriptions(run, recogniser_folder, tmp_path):
    """An animal that the description file lacks, before and after its presence is asked for."""
    loaded = animal_clip_jax.load(run)
    path = tmp_path / "animals.csv"
    path.write_text("animal,text\n" + "".join(f"{name},A {name}.\n" for name in loaded.animals))
    config = loaded.run.config.copy_and_resolve_references()
    config.animals.weights, config.animals.prompts = str(recogniser_folder), str(path)
    plain = animal_clip_jax.load(run, config=config)

    def described(model, text):
        return model.with_actions(model.actions, animals=["Okapi"], descriptions={"Okapi": [text]})

    before = described(plain.with_presence(), "A giraffe of the forest.")
    look = before.presence_look
    shape = (2, look.num_frames, look.image_size, look.image_size, 3)
    looks = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    found = before.presence(looks, batch_size=2)
    after = described(plain, "A giraffe of the forest.").with_presence()
    np.testing.assert_array_equal(after.presence(looks, batch_size=2), found)
    other = described(plain, "A bird.").with_presence()
    assert np.abs(other.presence(looks, batch_size=2) - found).max() > 1e-4


def test_results_and_every_format_say_so(model, videos, tmp_path):
    inputs = find_inputs([str(videos)], recursive=True)[:4]
    request = dataclasses.replace(REQUEST, window=0.5, stride=0.25, batch_size=3, blank_below=1e-6)
    predict_files(model, inputs, tmp_path / "all", request)
    presences = {r.name: r.presence for r in Results.open(tmp_path / "all" / "results.jsonl")}
    # Between the second and the third, so that two of four are blank.
    ordered = sorted(presences.values())
    limit = (ordered[1] + ordered[2]) / 2
    out = epath.Path(tmp_path / "out")
    asked = dataclasses.replace(request, blank_below=limit)
    predict_files(model, inputs, out, asked)
    results = Results.open(out / "results.jsonl")
    assert results.header.settings["blank_below"] == limit
    found = {result.name: result for result in results}
    blank = {name for name, presence in presences.items() if presence < limit}
    assert {name for name, result in found.items() if result.blank} == blank and len(blank) == 2
    for name, result in found.items():
        assert (
            result.presence
            == presences[name]
            == pytest.approx(float(result.windows.presence.max()), abs=1e-6)
        )
        assert bool(result.bouts) == (name not in blank)
    with (out / "results.csv").open() as file:
        table = {row["video"]: row for row in csv.DictReader(file)}
    for name, row in table.items():
        assert row["blank"] == str(name in blank).lower()
        assert float(row["presence"]) == pytest.approx(presences[name], abs=1e-4)
        assert bool(row["action_1"]) == (name not in blank)
    with pytest.raises(UserError, match="its blank_below is .*, now it is 0.5"):
        predict_files(model, inputs, out, dataclasses.replace(request, blank_below=0.5))
    with pytest.raises(UserError, match="its blank_below is .*, now it is None"):
        predict_files(model, inputs, out, dataclasses.replace(request, blank_below=None))

    deployments = tmp_path / "deployments.csv"
    deployments.write_text(
        "filePath,timestamp,deploymentID,latitude,longitude,deploymentStart,deploymentEnd\n"
        + "".join(
            f"{name},2026-05-02T04:30:00Z,a,1,2,2026-05-01T00:00:00Z,2026-06-01T00:00:00Z\n"
            for name in found
        )
    )
    names = ("bouts", "boris", "boris_events", "boris_binary", "camtrap_dp", "megadetector")
    names += ("zamba", "webvtt", "label_studio", "time_budget")
    options = FormatOptions(deployments=epath.Path(deployments))
    written = write_formats(results, names, out, options)
    with (out / "camtrap_dp" / "observations.csv").open() as file:
        kinds = {(row["mediaID"], row["observationType"]) for row in csv.DictReader(file)}
    assert {name for name, kind in kinds if kind == "blank"} == blank
    assert {name for name, kind in kinds if kind == "animal"} == set(found) - blank
    for name in ("bouts", "boris_events"):
        text = written[name][0].read_text()
        assert all((video in text) == (video not in blank) for video in found)
    for name in ("zamba", "time_budget", "label_studio", "boris"):
        assert "blank" in written[name][0].read_text()


def test_the_command(run, videos, tmp_path, capsys):
    base = [str(run), str(videos / "videos"), "--recursive", f"--output={tmp_path / 'out'}"]
    for flags, message in (
        (["--blank_below=0.5"], "--blank_below: whether an animal is there is said by"),
        (["--blank_below=0"], "0 is not more than 0"),
        (["--blank_below=1.5"], "1.5 is more than 1"),
        (["--save_clips"], "--save_clips is for --window"),
    ):
        assert command([*base, *flags]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
