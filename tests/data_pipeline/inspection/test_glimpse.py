"""A look at videos: header, a few frames by number, folders of frames, and what is none."""

import io
from pathlib import Path

import numpy as np
import pytest
from made_annotations import annotations
from made_videos import (
    number_of,
    numbered_frame,
    write_rotated_video,
    write_sound,
    write_video,
)
from PIL import Image

from data_pipeline.conversion.encode import Failure, Footage
from data_pipeline.inspection.file_checks import Files
from data_pipeline.inspection.glimpse import glimpse
from data_pipeline.inspection.lengths import (
    Glimpses,
    check_glimpses,
    check_lengths,
    clip_lengths,
)
from data_pipeline.inspection.subject import Length, of_annotations

RATE = 12


def look(path: Path, *parts):
    return glimpse(Footage(path), short_side=48, max_frames=3, parts={path: parts})


def numbers(result):
    return [number_of(np.asarray(Image.open(io.BytesIO(frame)))) for frame in result.frames]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_first_middle_and_last_frame_without_decoding_all(tmp_path, name):
    path = write_video(tmp_path / name, 121, rate=RATE, options={"bf": "0", "g": "24"})
    result = look(path, (None, None))
    assert (result.facts.num_frames, result.facts.frame_rate) == (121, RATE)
    assert (result.facts.height, result.facts.width) == (48, 64)
    first, middle, last = numbers(result)
    assert first == 0 and abs(middle - 60) <= 1 and last >= 119


def test_frames_of_a_bout_are_inside_of_it(tmp_path):
    path = write_video(tmp_path / "long.mp4", 120, rate=RATE)
    result = look(path, (2.0, 3.0), (5.0, 5.5))
    shown = numbers(result)
    assert len(shown) == 6
    assert all(24 <= number < 36 for number in shown[:3])
    assert all(60 <= number < 66 for number in shown[3:])


def test_a_bout_after_the_end_has_no_frames(tmp_path):
    path = write_video(tmp_path / "short.mp4", 12, rate=RATE)
    assert look(path, (50.0, 60.0)).frames == (b"", b"", b"")


def test_a_turned_video_is_upright(tmp_path):
    path = write_rotated_video(tmp_path / "turned.mp4", 5, 1, height=48, width=64)
    result = look(path, (None, None))
    assert (result.facts.height, result.facts.width) == (64, 48)
    assert Image.open(io.BytesIO(result.frames[0])).size == (48, 64)


def test_a_folder_of_frames(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(1, 12):
        Image.fromarray(numbered_frame(number, 48, 64)).save(folder / f"{number}.png")
    result = look(folder, (None, None))
    assert (result.facts.num_frames, result.facts.frame_rate) == (11, 0)
    assert len(result.frames) == 3 and numbers(result) == sorted(set(numbers(result)))


@pytest.mark.parametrize("content", ["sound", "text", "nothing", "missing"])
def test_what_is_no_video_is_said_to_be_none(tmp_path, content):
    path = tmp_path / "a.mp4"
    if content == "sound":
        write_sound(path)
    elif content != "missing":
        path.write_text("no video" if content == "text" else "")
    result = look(path)
    assert isinstance(result, Failure) and result.reason


def test_lengths_of_clips_and_what_is_odd_about_them(tmp_path):
    made = annotations(tmp_path)
    path = {name: tmp_path / f"{name}.mp4" for name in ("a", "b", "long")}
    files = Files(
        found={
            clip.clip_id: tmp_path / clip.path
            for clip in made.clips
            if clip.path in ("a.mp4", "b.mp4", "long.mp4")
        },
        missing=(),
        unannotated=(),
    )
    glimpses = Glimpses(
        num_videos=3,
        lengths={
            path["a"]: Length("a.mp4", 0.5, 5, 48, 64),
            # The second of its bouts, from 3 to 3.5 s, ends after it does.
            path["long"]: Length("long.mp4", 2.5, 25, 30, 40),
        },
        unreadable={path["b"]: "the file is empty"},
        frames={},
    )
    lengths = clip_lengths(made.clips, files, glimpses)
    assert [(one.name, one.seconds, one.num_frames) for one in lengths] == [
        ("a", 0.5, 5),
        ("long@1-2", 1.0, 10),
        ("long@3-3.5", 0.5, 5),
    ]
    subject = of_annotations("csv", "list.csv", made)
    unreadable, late = check_glimpses(subject, files, glimpses)
    assert unreadable.is_problem and unreadable.rows == (
        {"video": str(path["b"]), "why": "the file is empty"},
    )
    assert late.is_problem and [row["clip"] for row in late.rows] == ["long@3-3.5"]
    (short,) = check_lengths(lengths)
    assert [(row["clip"], row["frames"]) for row in short.rows] == [("a", 5), ("long@3-3.5", 5)]
    assert check_lengths([Length("a", None, 0, 48, 64), Length("b", 1.0, 8, 48, 64)]) == []
