"""Windows along a video: the right frames, in one pass, however they are timed."""

import time

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_videos import number_of, write_video

from data_pipeline.decoding import VideoError
from data_pipeline.window_frames import frame_times, indices_in, window_spans, windows_of


def spans(duration, window, stride):
    return [tuple(span) for span in window_spans(duration, window, stride).tolist()]


def test_spans():
    assert spans(6, 2, 2) == [(0, 2), (2, 4), (4, 6)]
    assert spans(7, 2, 2) == [(0, 2), (2, 4), (4, 6), (6, 7)]
    assert spans(5, 4, 1) == [(0, 4), (1, 5)]
    assert spans(1.5, 4, 1) == [(0, 1.5)]


@given(st.floats(0.1, 500), st.floats(0.05, 50), st.floats(0.05, 1))
def test_every_moment_is_in_a_window_and_none_is_of_no_use(duration, window, share):
    stride = window * share
    found = window_spans(duration, window, stride)
    assert found[0, 0] == 0 and found[-1, 1] == pytest.approx(duration)
    assert (found[:, 1] > found[:, 0]).all() and (found[1:, 0] <= found[:-1, 1] + 1e-9).all()
    # Only the last reaches the end.
    assert (found[:-1, 0] + window < duration + 1e-6).all()


def test_frames_are_those_shown_in_the_middle_of_equal_parts():
    times = np.array([0, 1, 2, 3, 10, 11.0])
    assert indices_in(times, 0, 4, 4).tolist() == [0, 1, 2, 3]
    assert indices_in(times, 0, 12, 4).tolist() == [1, 3, 3, 4]
    assert indices_in(times, 4, 6, 2).tolist() == [3, 3]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.ts", "libx264"), ("a.mkv", "libx264"), ("a.avi", "libx264"),
     ("plain.avi", "mpeg4"), ("a.webm", "libvpx")],
)  # fmt: skip
def test_times_are_those_of_the_frames(tmp_path, name, codec):
    path = write_video(tmp_path / name, 50, codec=codec, rate=25, options={"g": "12"})
    times = frame_times(path)
    np.testing.assert_allclose(times.starts, np.arange(50) / 25, atol=2e-3)
    assert times.end == pytest.approx(2, abs=0.05) and not times.problem


@settings(max_examples=10)
@given(st.lists(st.integers(1, 30), min_size=5, max_size=40), st.integers(1, 4), st.integers(1, 3))
def test_frames_of_windows_at_a_variable_rate(tmp_path_factory, steps, number, seconds):
    stamps = np.cumsum([0, *steps]).tolist()
    path = tmp_path_factory.mktemp("variable") / "v.mkv"
    write_video(path, len(stamps), rate=20, time_stamps=stamps)
    with av.open(str(path)) as container:
        starts = np.array([frame.time for frame in container.decode(video=0)])
    times = frame_times(path)
    np.testing.assert_allclose(times.starts, starts)
    found = list(
        windows_of(
            path, times, window=seconds, stride=seconds / 2, nums_of_frames=(number, 2),
            short_side=48,
        )
    )  # fmt: skip
    assert [(w.start, w.stop) for w in found] == spans(times.end, seconds, seconds / 2)
    for window in found:
        for frames, wanted in zip(window.frames, (number, 2), strict=True):
            middles = [
                window.start + (k + 0.5) / wanted * (window.stop - window.start)
                for k in range(wanted)
            ]
            expected = [max(np.flatnonzero(starts <= middle + 1e-6)) for middle in middles]
            assert [number_of(frame) for frame in frames] == expected


def test_what_breaks_off_is_used_as_far_as_it_goes(tmp_path):
    path = write_video(tmp_path / "v.ts", 200, rate=25, options={"g": "12"})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + b"\0" * 4000)
    found = []
    try:
        times = frame_times(path)
        for window in windows_of(
            path, times, window=1, stride=1, nums_of_frames=(2,), short_side=48
        ):
            found.append(window.start)
    except VideoError:
        pass
    assert found[:3] == [0, 1, 2] and len(found) < 8


def test_who_takes_long_over_the_frames_does_not_use_up_the_time_for_decoding(
    tmp_path, monkeypatch
):
    """A model may be slower than the decoder, or busy with the videos before."""
    path = write_video(tmp_path / "v.mp4", 60)
    times = frame_times(path)
    late = 0.0
    real = time.monotonic
    monkeypatch.setattr("data_pipeline.decoding.time.monotonic", lambda: real() + late)
    windows = windows_of(path, times, window=1, stride=1, nums_of_frames=(2,), short_side=24)
    count = 0
    for _ in windows:
        late += 10_000.0
        count += 1
    assert count == 5


def test_few_frames_are_held_of_a_long_video(tmp_path):
    path = write_video(tmp_path / "v.mp4", 400, rate=10, height=16, width=16)
    for window in windows_of(
        path, frame_times(path), window=2, stride=0.5, nums_of_frames=(4,), short_side=16
    ):
        assert window.frames[0].shape == (4, 16, 16, 3)
