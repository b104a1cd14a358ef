"""Bouts of a recording: exactly the frames that PyAV shows within their times."""

import av
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_videos import number_of, write_video

from data_pipeline import bouts
from data_pipeline.bouts import map_bout
from data_pipeline.decoding import VideoError, map_frames

RATE = 25
NUM_FRAMES = 250
FORMS = {
    "key_frames.mp4": ("libx264", {"g": "12"}),
    "one_key_frame.mp4": ("libx264", {"g": "1000", "sc_threshold": "0"}),
    "open_groups.mp4": ("libx265", {"x265-params": "keyint=12:open-gop=1:log-level=none"}),
    "stream.ts": ("libx264", {"g": "12"}),
    "film.mkv": ("libx264", {"g": "12"}),
    "disc.mpg": ("mpeg2video", {"g": "12"}),
    "web.webm": ("libvpx", {"g": "12"}),
    # AVI has no times of showing; with frames that are stored in another order, false ones.
    "plain.avi": ("mpeg4", {"g": "12"}),
    "reordered.avi": ("libx264", {"g": "12"}),
}


def everything(num_frames):
    return np.arange(num_frames)


def bout(path, start, stop, select=everything):
    return map_bout(number_of, path, start, stop, select=select, short_side=None)


def numbers_within(times, start, stop):
    return [number for number, time in enumerate(times) if start <= time < stop]


@pytest.fixture(scope="module", params=FORMS)
def recording(request, tmp_path_factory):
    codec, options = FORMS[request.param]
    path = tmp_path_factory.mktemp("recording") / request.param
    return write_video(path, NUM_FRAMES, codec=codec, rate=RATE, options=options)


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 1), (0, 10), (0.5, 0.7), (3.21, 4.1), (5.0, 5.04), (8.5, 10), (9, 10.9), (7.479, 7.4811)],
)
def test_the_frames_shown_from_start_to_before_stop(recording, start, stop):
    found, facts = bout(recording, start, stop)
    expected = numbers_within([number / RATE for number in range(NUM_FRAMES)], start, stop)
    assert [number % 256 for number in expected] == found
    assert facts.num_frames == len(expected)
    assert facts.frame_indices.tolist() == list(range(len(expected)))
    assert (facts.height, facts.width) == (48, 64)


@settings(max_examples=25)
@given(
    steps=st.lists(st.integers(1, 40), min_size=3, max_size=30),
    first=st.integers(0, 700),
    length=st.integers(1, 500),
)
@example(steps=[1, 2, 3], first=0, length=107)
@example(steps=[1, 2, 3], first=0, length=108)
@example(steps=[9, 9, 17], first=0, length=136)
def test_at_a_variable_frame_rate_times_count_not_numbers(tmp_path_factory, steps, first, length):
    stamps = np.cumsum([0, *steps]).tolist()
    path = tmp_path_factory.mktemp("variable") / "v.mkv"
    write_video(path, len(stamps), rate=100, time_stamps=stamps)
    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    start, stop = first / 100, (first + length) / 100
    expected = numbers_within(times, start - 1e-9, stop - 1e-9)
    # The last frame is shown for a hundredth of a second, and a bout may end a second after it.
    if expected and first + length <= stamps[-1] + 1 + 100:
        assert bout(path, start, stop)[0] == expected
    else:
        with pytest.raises(VideoError, match="no frame is shown|is not in the recording"):
            bout(path, start, stop)


def test_only_chosen_frames_are_given(recording):
    found, facts = bout(recording, 2, 4, select=lambda count: np.array([0, count // 2, count - 1]))
    assert found == [50, 75, 99]
    assert (facts.num_frames, facts.frame_indices.tolist()) == (50, [0, 25, 49])


def test_a_recording_whose_time_does_not_begin_at_zero(tmp_path):
    stamps = [1000 + number for number in range(60)]
    path = write_video(tmp_path / "late.ts", 60, rate=RATE, time_stamps=stamps)
    assert bout(path, 1, 2)[0] == list(range(25, 50))


def test_damage_elsewhere_does_not_matter(tmp_path):
    path = write_video(tmp_path / "v.ts", NUM_FRAMES, rate=RATE, options={"g": "12"})
    content = bytearray(path.read_bytes())
    content[len(content) * 3 // 4 :] = b"\0" * (len(content) - len(content) * 3 // 4)
    path.write_bytes(content)
    assert bout(path, 2, 4)[0] == list(range(50, 100))
    with pytest.raises(VideoError):
        map_frames(number_of, path, select=everything)


@pytest.mark.parametrize(
    ("start", "stop", "message"),
    [
        (5.01, 5.02, "no frame is shown from 5.01 to 5.02 s"),
        (9, 12, r"the bout from 9 to 12 s is not in the recording, which ends at (9\.9|10\.)"),
        (70, 80, "the bout from 70 to 80 s is not in the recording"),
    ],
)
def test_bouts_that_are_not_there(recording, start, stop, message):
    with pytest.raises(VideoError, match=message):
        bout(recording, start, stop)


def test_what_is_no_video(tmp_path):
    with pytest.raises(VideoError, match="there is no such file"):
        bout(tmp_path / "none.mp4", 0, 1)
    (tmp_path / "text.mp4").write_text("ffconcat version 1.0\n")
    with pytest.raises(VideoError, match="none of the formats of videos"):
        bout(tmp_path / "text.mp4", 0, 1)


def test_an_hour_before_the_bout_is_not_decoded(tmp_path, monkeypatch):
    """Of a recording of ten minutes, a bout near its end takes a few of its key frames."""
    path = write_video(tmp_path / "v.mp4", 600, rate=1, options={"g": "10"}, height=16, width=16)
    seen = []
    monkeypatch.setattr(bouts.Clock, "check", lambda clock, count: seen.append(count))
    assert len(bout(path, 560, 565)[0]) == 5
    # Packets that were counted and frames that were decoded.
    assert max(seen) < 40
