"""Frames at even times: each carries its number, so that what is shown is known."""

import numpy as np
import pytest
from made_videos import number_of, write_rotated_video, write_video

from data_pipeline.decoding import VideoError
from data_pipeline.frames_at_times import frames_between, spread_frames


def numbers(frames):
    return [number_of(frame.image) for frame in frames]


def test_a_short_video_shows_the_middles_of_equal_parts(tmp_path):
    path = write_video(tmp_path / "short.mp4", 60)
    frames = spread_frames(path, 10, 5.0, short_side=48)
    # 12 frames a second, and the middle of the first part is at a quarter of a second.
    assert numbers(frames) == [3 + 6 * k for k in range(10)]
    np.testing.assert_allclose([frame.seconds for frame in frames], 0.25 + 0.5 * np.arange(10))
    assert frames[0].image.shape == (48, 64, 3)


@pytest.mark.parametrize("gop", ["250", "8"])
def test_a_long_video_is_entered_in_its_middle(gop, tmp_path):
    path = write_video(tmp_path / "long.mkv", 250, rate=5, options={"g": gop})
    frames = spread_frames(path, 10, 50.0, short_side=48)
    wanted = 2.5 + 5 * np.arange(10)
    found = np.array([frame.seconds for frame in frames])
    # Up to a quarter of a part, 1.25 s, too early, and never too late.
    assert ((found <= wanted + 1e-6) & (found >= wanted - 1.25 - 0.2)).all()
    assert numbers(frames) == np.round(found * 5).astype(int).tolist()


def test_times_are_those_of_showing_also_at_a_variable_rate(tmp_path):
    stamps = [0, 1, 2, 3, 40, 41, 42, 43]
    path = write_video(tmp_path / "variable.mp4", 8, time_stamps=stamps)
    frames = spread_frames(path, 4, 44 / 12, short_side=48)
    # Middles at 5.5, 16.5, 27.5 and 38.5 twelfths: the fourth frame is shown for most of the time.
    assert numbers(frames) == [3] and frames[0].seconds == pytest.approx(3 / 12)


def test_a_video_of_few_frames_shows_each_once(tmp_path):
    path = write_video(tmp_path / "three.mp4", 3)
    assert numbers(spread_frames(path, 10, 0.25, short_side=48)) == [0, 1, 2]


def test_frames_are_upright(tmp_path):
    path = write_rotated_video(tmp_path / "turned.mp4", 6, 1)
    assert spread_frames(path, 2, 0.5, short_side=48)[0].image.shape == (64, 48, 3)


def test_a_video_that_breaks_off_shows_what_there_is(tmp_path):
    whole = write_video(tmp_path / "whole.mkv", 120, options={"g": "10"}).read_bytes()
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(whole[: len(whole) // 2])
    shown = numbers(spread_frames(broken, 10, 10.0, short_side=48))
    # The middles of parts of a second, 12 frames each.
    expected = [6 + 12 * k for k in range(10)]
    assert 3 <= len(shown) < 10 and shown[:3] == expected[:3]


@pytest.mark.parametrize("gop", ["250", "8"])
@pytest.mark.parametrize("name", ["part.mp4", "part.mkv"])
def test_a_part_of_a_video_has_the_frames_that_are_shown_in_it(name, gop, tmp_path):
    path = write_video(tmp_path / name, 120, options={"g": gop})
    found = frames_between(path, 5.0, 7.0, 4, short_side=48)
    # 12 frames a second, and the middles of the parts at 5.25, 5.75, 6.25 and 6.75 s.
    assert [number_of(image) for image in found] == [63, 69, 75, 81]
    # More than there are: each as long as it is shown.
    many = [number_of(image) for image in frames_between(path, 0.0, 0.25, 12, short_side=48)]
    assert many == sorted(many) and set(many) == {0, 1, 2}


def test_a_part_that_is_not_there_shows_what_can_be_had(tmp_path):
    whole = write_video(tmp_path / "whole.mkv", 120, options={"g": "10"}).read_bytes()
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(whole[: len(whole) // 2])
    assert len(frames_between(broken, 8.0, 9.0, 4, short_side=48)) >= 1


def test_what_is_no_video_is_an_error(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    for name in ("text.mp4", "missing.mp4"):
        with pytest.raises(VideoError):
            spread_frames(tmp_path / name, 10, 1.0, short_side=48)
        with pytest.raises(VideoError):
            frames_between(tmp_path / name, 0.0, 1.0, 2, short_side=48)
