"""A clip for each bout: its frames are those of the bout, by the numbers that they carry."""

import csv
import dataclasses
import shutil

import av
import numpy as np
import pytest
from etils import epath
from made_media import ACTIONS, result_of, results_of, write_with_sound
from made_videos import number_of, write_video

from animal_clip_jax.errors import UserError
from animal_clip_jax.inference.media.bout_clips import write_clips
from animal_clip_jax.inference.results import Bout
from data_pipeline.annotations.datasets import read_annotations

WALKING, EATING, SLASH, CHINESE = ACTIONS


def write(folder, *results):
    return list(write_clips(results_of(folder, *results), epath.Path(folder), threshold=0.5))


def clips_in(folder):
    return {
        str(path.relative_to(folder / "clips")): path
        for path in sorted((folder / "clips").rglob("*.mp4"))
    }


def frames_of(path):
    with av.open(str(path)) as container:
        return [
            (frame.time, number_of(frame.to_ndarray(format="rgb24")))
            for frame in container.decode(video=0)
        ]


def test_each_bout_is_a_file_in_the_folder_of_its_action(kinds, tmp_path):
    bouts = (
        Bout(0.0, 1.0, WALKING, "Red Fox", 0.9),
        Bout(1.0, 1.75, SLASH, "", 0.8),
        Bout(1.75, 2.5, CHINESE, "Badger", 0.7),
    )
    assert write(tmp_path, result_of(kinds["aac"], bouts=bouts, name="cam/aac.mp4")) == []
    found = clips_in(tmp_path)
    assert list(found) == [
        "Walking/cam_aac_0.000-1.000.mp4",
        "a_b_ c/cam_aac_1.000-1.750.mp4",
        "行走/cam_aac_1.750-2.500.mp4",
    ]
    for path, numbers in zip(
        found.values(), (range(12), range(12, 21), range(21, 30)), strict=True
    ):
        frames = frames_of(path)
        assert [number for _, number in frames] == list(numbers)
        np.testing.assert_allclose(
            [time for time, _ in frames], np.arange(len(numbers)) / 12, atol=1e-3
        )
    with (tmp_path / "clips" / "clips.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["video"] for row in rows] == list(found)
    assert [row["actions"] for row in rows] == [WALKING, SLASH, CHINESE]
    assert [row["animals"] for row in rows] == ["Red Fox", "", "Badger"]


def test_sound_is_cut_to_the_sample(kinds, tmp_path):
    # In this video a tone begins at 1 s.
    result = result_of(kinds["aac"], bouts=(Bout(0.75, 1.75, WALKING, "", 0.9),))
    assert write(tmp_path, result) == []
    (path,) = clips_in(tmp_path).values()
    with av.open(str(path)) as container:
        samples = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
        rate = container.streams.audio[0].rate
    assert np.flatnonzero(np.abs(samples) > 0.1)[0] / rate == pytest.approx(0.25, abs=0.005)
    assert 1.0 <= len(samples) / rate < 1.0 + 2 * 1024 / rate


def test_sound_late_in_a_long_video_is_found(tmp_path):
    path = write_with_sound(tmp_path / "long.mp4", 12 * 20, "aac", tone_from=18.0)
    write(tmp_path / "out", result_of(path, bouts=(Bout(17.5, 18.5, WALKING, "", 0.9),)))
    (path,) = clips_in(tmp_path / "out").values()
    with av.open(str(path)) as container:
        samples = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
    assert np.flatnonzero(np.abs(samples) > 0.1)[0] / 48_000 == pytest.approx(0.5, abs=0.005)
    assert [number for _, number in frames_of(path)] == [n % 256 for n in range(210, 222)]


def test_bouts_that_overlap_and_one_within_a_frame(tmp_path):
    path = write_video(tmp_path / "v.mp4", 24, height=64, width=64)
    actions = [f"action {number}" for number in range(9)]
    bouts = [Bout(0.25, 1.25, action, "", 0.6) for action in actions]
    bouts.append(Bout(0.51, 0.55, "short", "", 0.6))  # all in frame 6, which is shown from 0.5 s on
    results = results_of(tmp_path / "out", result_of(path, bouts=tuple(bouts)))
    header = dataclasses.replace(results.header, actions=(*actions, "short"))
    results = dataclasses.replace(results, header=header)
    assert list(write_clips(results, epath.Path(tmp_path / "out"), threshold=0.5)) == []
    found = clips_in(tmp_path / "out")
    assert len(found) == 10
    short = found.pop("short/v_0.510-0.550.mp4")
    assert [number for _, number in frames_of(short)] == [6]
    for path in found.values():
        assert [number for _, number in frames_of(path)] == list(range(3, 15))


def test_the_same_again_changes_nothing_and_other_bouts_replace_them(kinds, tmp_path):
    result = result_of(kinds["vfr"])
    write(tmp_path, result)
    before = {name: path.stat().st_ino for name, path in clips_in(tmp_path).items()}
    mine = tmp_path / "clips" / WALKING / "mine.mp4"
    mine.write_bytes(kinds["one"].read_bytes())
    write(tmp_path, result)
    again = {name: path.stat().st_ino for name, path in clips_in(tmp_path).items()}
    assert again.pop(f"{WALKING}/mine.mp4") and again == before
    other = dataclasses.replace(result, bouts=(Bout(0.0, 1.0, EATING, "", 0.9),))
    write(tmp_path, other)
    assert list(clips_in(tmp_path)) == ["Eating/vfr_0.000-1.000.mp4", f"{WALKING}/mine.mp4"]
    assert not (tmp_path / "clips" / "行走").exists()


def test_nothing_outside_the_folder_is_removed(kinds, tmp_path):
    write(tmp_path, result_of(kinds["one"]))
    (clip,) = clips_in(tmp_path).values()
    for name in ("precious.mp4", "clips/loose.mp4"):
        (tmp_path / name).write_bytes(clip.read_bytes())
    with (tmp_path / "clips" / "clips.csv").open("a") as file:
        file.write("../precious.mp4,x,,\nloose.mp4,x,,\n/etc/passwd,x,,\n")
    write(tmp_path, result_of(kinds["one"], bouts=()))
    assert (tmp_path / "precious.mp4").is_file() and (tmp_path / "clips" / "loose.mp4").is_file()
    assert not clip.exists()


def test_blank_videos_have_none_and_broken_ones_what_there_is(kinds, tmp_path):
    broken = result_of(kinds["broken"], bouts=(Bout(0.0, 60.0, WALKING, "", 0.9),))
    broken = dataclasses.replace(broken, media=dataclasses.replace(broken.media, duration=60.0))
    told = write(tmp_path, result_of(kinds["one"], blank=True), broken)
    assert told == []
    ((name, path),) = clips_in(tmp_path).items()
    assert name == "Walking/broken_0.000-60.000.mp4"
    frames = frames_of(path)
    assert len(frames) > 10 and frames == frames_of(kinds["broken"])


def test_a_full_disk_leaves_no_half_clip(kinds, small_disk):
    results = results_of(small_disk, result_of(kinds["aac"]))
    (small_disk / "filling").write_bytes(b" " * (shutil.disk_usage(small_disk).free - 12_288))
    with pytest.raises(UserError, match="cannot be written: No space left"):
        list(write_clips(results, epath.Path(small_disk), threshold=0.5))
    for path in small_disk.rglob("*.mp4"):
        assert frames_of(path)


def test_the_folders_come_back_as_training_clips(kinds, tmp_path):
    write(tmp_path, result_of(kinds["aac"]))
    names = list(clips_in(tmp_path))
    folders = read_annotations("folders", tmp_path / "clips")
    assert sorted(f"{clip.clip_id}.mp4" for clip in folders.clips) == sorted(names)
    assert {a for clip in folders.clips for a in clip.actions} == {
        WALKING, EATING, "a_b_ c", CHINESE
    }  # fmt: skip
    listed = read_annotations("csv", tmp_path / "clips")
    assert {(a, b) for clip in listed.clips for a in clip.actions for b in clip.animals} == {
        (WALKING, "Red Fox"), (EATING, "Badger"), (SLASH, "Red Fox"), (CHINESE, "Badger")
    }  # fmt: skip
