"""Copies of videos: held against the videos, both decoded by PyAV."""

import dataclasses
import shutil

import av
import numpy as np
import pytest
from etils import epath
from made_media import VFR, result_of, results_of
from made_videos import peak_signal_to_noise

from animal_clip_jax.errors import UserError
from animal_clip_jax.inference.media.annotated_video import write_videos
from animal_clip_jax.inference.media.encoding import encoder


def write(folder, *results):
    told = list(write_videos(results_of(folder, *results), epath.Path(folder), threshold=0.5))
    return [each for each in told if each.is_failure]


def frames_of(path):
    """Times and upright pictures."""
    with av.open(str(path)) as container:
        frames = [
            (frame.time, np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90))
            for frame in container.decode(video=0)
        ]
    return np.array([time for time, _ in frames]), [picture for _, picture in frames]


def packets_of(path):
    with av.open(str(path)) as container:
        streams = container.streams.audio
        return (
            [bytes(packet) for packet in container.demux(streams) if packet.size] if streams else []
        )


@pytest.fixture(scope="module")
def copies(kinds, tmp_path_factory):
    """All of them in one folder; what was told."""
    folder = tmp_path_factory.mktemp("copies")
    told = write(folder, *(result_of(path) for path in kinds.values()))
    return folder / "videos", told


def test_nothing_went_wrong_and_all_are_there(kinds, copies):
    folder, told = copies
    assert told == []
    assert {path.name for path in folder.iterdir()} == {f"{name}.mp4" for name in kinds}


@pytest.mark.parametrize(
    "name", ["vfr", "rotated", "odd", "one", "aac", "mp3", "pcm", "broken", "transport"]
)
def test_frames_have_their_times_and_stay_upright(kinds, copies, name):
    times, pictures = frames_of(kinds[name])
    found, drawn = frames_of(copies[0] / f"{name}.mp4")
    # Some containers do not begin at 0.
    np.testing.assert_allclose(found - found[0], times - times[0], atol=1e-3)
    height, width = pictures[0].shape[:2]
    assert drawn[0].shape[:2] == (height + height % 2, width + width % 2)
    # Below the labels and above the line of bouts, the picture is that of the video.
    part = slice(height * 6 // 10, height * 9 // 10), slice(0, width)
    for picture, copy in zip(pictures, drawn, strict=True):
        assert peak_signal_to_noise(copy[part], picture[part]) > 28
    # And there is something drawn.
    assert peak_signal_to_noise(drawn[0][-8:-4, :width], pictures[0][-8:-4]) < 20


def test_a_copy_is_played_everywhere_and_lasts_as_long(kinds, copies):
    assert encoder().name == "libx264"
    with av.open(str(copies[0] / "vfr.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        # The last frame is shown as long as all are on average.
        first, *_, last = frames_of(kinds["vfr"])[0]
        longest = (last - first) / (len(VFR) - 1) + 0.01
        assert last - first < container.duration / 1e6 < last - first + longest
    content = (copies[0] / "vfr.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize("name", ["aac", "mp3", "broken"])
def test_sound_is_copied_as_it_is(kinds, copies, name):
    packets = packets_of(kinds[name])
    assert packets and packets_of(copies[0] / f"{name}.mp4") == packets


def test_sound_of_a_transport_stream_loses_no_packet(kinds, copies):
    assert len(packets_of(copies[0] / "transport.mp4")) == len(packets_of(kinds["transport"]))


def samples_of(path):
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
        parts = [frame.to_ndarray().astype(float).ravel() for frame in container.decode(audio=0)]
    return np.concatenate(parts), rate


def test_sound_that_mp4_does_not_take_is_encoded_anew_in_its_place(kinds, copies):
    samples, rate = samples_of(copies[0] / "pcm.mp4")
    assert len(samples) / rate == pytest.approx(2.5, abs=0.03)
    loud = np.abs(samples) > 0.1
    assert np.flatnonzero(loud)[0] / rate == pytest.approx(1.0, abs=0.005)
    assert np.abs(samples[loud]).max() == pytest.approx(0.5, abs=0.05)


def test_small_frames_are_enlarged_so_that_text_can_be_read(kinds, copies):
    _, pictures = frames_of(copies[0] / "small.mp4")
    assert pictures[0].shape[:2] == (240, 320)  # 48x64


def test_the_same_again_writes_only_what_is_new(kinds, copies, tmp_path):
    names = ("vfr", "one", "small")
    results = [result_of(kinds[name]) for name in names]
    write(tmp_path, *results)
    paths = [tmp_path / "videos" / f"{name}.mp4" for name in names]
    before = [path.stat().st_ino for path in paths]
    paths[2].write_bytes(paths[2].read_bytes()[:500])
    results[1] = dataclasses.replace(results[1], bouts=())
    write(tmp_path, *results)
    after = [path.stat().st_ino for path in paths]
    assert after[0] == before[0] and after[1] != before[1] and after[2] != before[2]
    assert frames_of(paths[2])[0].shape == (6,)
    assert sorted(path.name for path in (tmp_path / "videos").iterdir()) == sorted(
        path.name for path in paths
    )


def test_a_video_that_is_there_no_more_is_told_and_the_others_are_done(kinds, tmp_path):
    gone = tmp_path / "gone.mp4"
    shutil.copy(kinds["one"], gone)
    result = result_of(gone)
    gone.unlink()
    failed = dataclasses.replace(
        result_of(kinds["one"]), name="text.mp4", problem="no video", actions=np.zeros(0)
    )
    told = write(tmp_path / "out", result, failed, result_of(kinds["small"]))
    assert [(each.what, each.text) for each in told] == [
        ("gone.mp4", "no copy with labels: there is no such file")
    ]
    assert [path.name for path in (tmp_path / "out" / "videos").iterdir()] == ["small.mp4"]


def test_names_in_folders_and_of_one_stem(kinds, tmp_path):
    names = ("a/x.mp4", "a/x.AVI", "../b.mp4")
    write(tmp_path, *(result_of(kinds["one"], name=name) for name in names))
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.mp4"))
    assert found == ["videos/a/x.AVI.mp4", "videos/a/x.mp4.mp4", "videos/b.mp4"]


def test_a_blank_video_and_one_without_windows_are_drawn(kinds, tmp_path):
    whole = result_of(kinds["one"], windows=None, bouts=(), name="whole.mp4")
    blank = result_of(kinds["one"], blank=True, name="blank.mp4")
    assert write(tmp_path, whole, blank) == []
    pictures = [frames_of(tmp_path / "videos" / f"{name}.mp4")[1][0] for name in ("whole", "blank")]
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() > 50


def test_a_full_disk_is_said_and_leaves_nothing_half_done(kinds, small_disk):
    results = results_of(small_disk, result_of(kinds["broken"]))
    space = shutil.disk_usage(small_disk).free
    (small_disk / "filling").write_bytes(b" " * (space - 16_384))
    with pytest.raises(UserError, match=r"broken.mp4 cannot be written: No space left"):
        list(write_videos(results, epath.Path(small_disk), threshold=0.5))
    assert list(small_disk.rglob("*.mp4")) == []
    (small_disk / "filling").unlink()
    assert write(small_disk, result_of(kinds["broken"])) == []
    assert (small_disk / "videos" / "broken.mp4").is_file()
