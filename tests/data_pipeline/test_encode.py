"""Encoding in processes: in order, and beyond the death of a process."""

import multiprocessing

import deadly_videos
import pytest
from made_videos import write_video

from data_pipeline.conversion.encode import Failure, Footage, encode_in_order, encode_video

KILLED = Failure("its decoding killed the process")
SIZES = {"short_side": 24, "max_frames": 4}


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Footage:
    return Footage(write_video(tmp_path_factory.mktemp("good") / "good.mp4", 6))


def same(found, expected):
    """Whether two encodings are the same to the byte."""
    if isinstance(found, Failure) or isinstance(expected, Failure):
        return found == expected
    return (found.frames, found.height, found.width) == (
        expected.frames,
        expected.height,
        expected.width,
    ) and found.facts.frame_indices.tolist() == expected.facts.frame_indices.tolist()


@pytest.mark.parametrize(
    ("deadly", "workers"), [({0}, 1), ({3}, 2), ({11}, 2), ({0, 1, 6}, 2), ({2, 3, 4, 5}, 3)]
)
def test_only_videos_that_kill_their_process_fail(good, tmp_path, deadly, workers):
    videos = []
    for k in range(12):
        path = tmp_path / f"{'deadly' if k in deadly else 'good'}{k}.mp4"
        # Two lengths: a mix-up of the order would show.
        videos.append(Footage(write_video(path, 3 + k % 2)))
    found = list(encode_in_order(videos, **SIZES, workers=workers, encode=deadly_videos.encode))
    assert len(found) == 12
    for k, (video, footage) in enumerate(zip(found, videos, strict=True)):
        assert same(video, KILLED if k in deadly else encode_video(footage, **SIZES))


def test_nothing_but_killers(tmp_path):
    videos = [Footage(tmp_path / f"deadly{k}.mp4") for k in range(3)]
    found = list(encode_in_order(videos, **SIZES, workers=2, encode=deadly_videos.encode))
    assert found == [KILLED] * 3


def test_a_process_that_someone_else_kills_costs_nothing(good, tmp_path):
    videos = [good] * 10
    encoded = encode_in_order(videos, **SIZES, workers=1)
    found = [next(encoded)]
    (worker,) = multiprocessing.active_children()
    worker.kill()
    found += encoded
    assert len(found) == 10
    expected = encode_video(good, **SIZES)
    assert all(same(video, expected) for video in found)


def test_a_bad_video_is_a_failure_with_its_reason(good, tmp_path):
    found = list(encode_in_order([Footage(tmp_path / "none.mp4"), good], **SIZES, workers=1))
    assert found[0] == Failure("there is no such file")
    assert same(found[1], encode_video(good, **SIZES))


def test_whatever_a_video_makes_a_library_raise_is_its_failure(good, tmp_path):
    videos = [Footage(write_video(tmp_path / "strange.mp4", 3)), good]
    found = list(encode_in_order(videos, **SIZES, workers=1, encode=deadly_videos.encode))
    reason = "it cannot be encoded (MemoryError: no room for 96000 columns)"
    assert found[0] == Failure(reason)
    assert same(found[1], encode_video(good, **SIZES))


def test_decoding_that_does_not_end_is_ended(good, tmp_path):
    videos = [good, Footage(write_video(tmp_path / "endless.mp4", 3)), good]
    settings = {"encode": deadly_videos.encode, "seconds": deadly_videos.two_seconds}
    found = list(encode_in_order(videos, **SIZES, workers=1, **settings))
    assert found[1] == Failure("its decoding had not ended after 2 s")
    assert all(same(found[k], encode_video(good, **SIZES)) for k in (0, 2))


def test_frames_that_no_jpeg_can_hold_are_named(tmp_path):
    thin = Footage(write_video(tmp_path / "thin.mp4", 2, height=3000, width=2))
    (found,) = encode_in_order([thin], short_side=64, max_frames=4, workers=1)
    assert "2x3000, would be 64x96000 when scaled" in found.reason
