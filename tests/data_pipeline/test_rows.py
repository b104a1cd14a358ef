"""Rows of videos: what a model looks at, from processes that decode ahead."""

import dataclasses

import deadly_rows
import numpy as np
import pytest
from made_videos import write_video

from data_pipeline import rows
from data_pipeline.rows import Decoders, End, Row, RowPlan, rows_of
from data_pipeline.video import Views, load_video

LOOK = Views(4, 24, num_temporal_views=2)
WHOLE = RowPlan(short_side=32, max_frames=16, looks=(LOOK, Views(2, 16)))
WINDOWS = RowPlan(32, 16, (Views(4, 24), Views(2, 16)), window=1.0, stride=0.5)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return [write_video(folder / f"{k}.mp4", 12 + 10 * k) for k in range(5)]


def all_rows(paths, plan, workers):
    with Decoders(paths, plan, workers) as decoders:
        return [list(decoders.rows(number)) for number in range(len(paths))]


def same(found, expected):
    assert [len(of_video) for of_video in found] == [len(of_video) for of_video in expected]
    for of_video, others in zip(found, expected, strict=True):
        for row, other in zip(of_video[:-1], others[:-1], strict=True):
            assert (row.start, row.stop, row.num_frames) == (
                other.start, other.stop, other.num_frames
            )  # fmt: skip
            for frames, of_other in zip(row.frames, other.frames, strict=True):
                assert np.array_equal(frames, of_other)
        assert of_video[-1].problem == others[-1].problem


def test_a_whole_video_is_seen_as_in_an_evaluation(videos):
    row, end = rows_of(videos[3], WHOLE)
    assert isinstance(row, Row) and isinstance(end, End)
    expected = load_video(
        videos[3], num_frames=4, image_size=24, num_temporal_views=2, short_side=32, max_frames=16
    )
    assert np.array_equal(row.frames[0], expected)
    assert row.frames[1].shape == (1, 2, 16, 16, 3)
    assert (end.problem, end.size, len(end.times.starts)) == ("", (48, 64), 42)
    assert (row.start, row.stop) == (0, pytest.approx(42 / 12, abs=1e-3))


@pytest.mark.parametrize("plan", [WHOLE, WINDOWS])
@pytest.mark.parametrize("workers", [1, 3, 9])
def test_processes_change_nothing(videos, plan, workers):
    same(all_rows(videos, plan, workers), all_rows(videos, plan, 0))


def test_windows(videos):
    *found, end = rows_of(videos[4], WINDOWS)  # 52 frames, 12 a second
    assert [(row.start, row.stop) for row in found[:2]] == [(0, 1), (0.5, 1.5)]
    assert found[-1].stop == pytest.approx(end.times.end)
    assert {row.frames[0].shape for row in found} == {(1, 4, 24, 24, 3)}


@pytest.mark.parametrize("plan", [WHOLE, WINDOWS])
def test_bad_videos_are_ends_with_their_reason(videos, tmp_path, plan):
    (tmp_path / "text.mp4").write_text("ffconcat version 1.0\n")
    (tmp_path / "empty.mp4").touch()
    paths = [tmp_path / "none.mp4", tmp_path / "text.mp4", videos[0], tmp_path / "empty.mp4"]
    found = all_rows(paths, plan, 2)
    assert [of_video[-1].problem for of_video in found] == [
        "there is no such file",
        found[1][0].problem,
        "",
        "the file is empty",
    ]
    assert "none of the formats of videos" in found[1][0].problem
    assert len(found[2]) > 1 and found[0][0].times is None


@pytest.mark.parametrize("plan", [WHOLE, WINDOWS])
def test_what_was_decoded_of_a_video_that_breaks_off_is_used(tmp_path, plan):
    path = write_video(tmp_path / "v.mp4", 100, container_options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    *found, end = rows_of(path, plan)
    assert found and end.problem


def test_a_video_that_kills_its_process_ends_there_and_the_others_go_on(
    videos, tmp_path, monkeypatch
):
    deadly = write_video(tmp_path / "deadly.mp4", 30)
    monkeypatch.setattr(rows, "_decode_all", deadly_rows.decode_all)
    paths = [videos[0], deadly, videos[1], videos[2], videos[3]]
    found = all_rows(paths, WINDOWS, 2)
    assert found[1][-1].problem == rows.KILLED and len(found[1]) == 2
    expected = all_rows(paths, WINDOWS, 0)
    same([found[k] for k in (0, 2, 3, 4)], [expected[k] for k in (0, 2, 3, 4)])


def test_a_window_shorter_than_a_frame_is_the_problem_of_its_video(tmp_path):
    slow = write_video(tmp_path / "slow.mp4", 6, rate=1)
    plan = dataclasses.replace(WINDOWS, window=0.5, stride=0.5)
    (end,) = rows_of(slow, plan)
    assert end.problem.startswith("a window of 0.5 s is shorter than its frames are shown, 1 s")
    *found, end = rows_of(slow, dataclasses.replace(WINDOWS, window=1.0, stride=1.0))
    assert len(found) == 6 and not end.problem
    (end,) = rows_of(
        write_video(tmp_path / "quick.mp4", 12), dataclasses.replace(plan, window=0.08)
    )
    assert "0.0833 s on average" in end.problem


@pytest.mark.parametrize("ending", [".mkv", ".avi"])
def test_a_video_that_just_ends_before_its_time_says_so(tmp_path, ending):
    path = write_video(
        tmp_path / f"v{ending}", 96, codec="mpeg4" if ending == ".avi" else "libx264"
    )
    content = path.read_bytes()
    assert list(rows_of(path, WINDOWS))[-1].problem == ""
    path.write_bytes(content[: len(content) * 3 // 4])
    *found, end = rows_of(path, WINDOWS)
    assert len(found) > 2 and "it breaks off" in end.problem
