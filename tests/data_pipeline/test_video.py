"""Decoding: the right frames, upright, and clear reasons where there are none."""

import os

import av
import numpy as np
import pytest
from made_videos import (
    number_of,
    numbered_frame,
    peak_signal_to_noise,
    write_rotated_video,
    write_sound,
    write_video,
    write_video_with_hidden_frames,
)
from PIL import Image

from animal_clip_jax.errors import UserError
from data_pipeline.batches.sampling import uniform_indices
from data_pipeline.decoding import VideoError, map_frames
from data_pipeline.video import load_video, read_video, views_of_array


def everything(num_frames):
    return np.arange(num_frames)


def numbers(video):
    return [number_of(frame) for frame in video.frames]


@pytest.mark.parametrize(
    ("name", "num_frames", "settings"),
    [
        ("b_frames.mp4", 40, {"options": {"bf": "3", "g": "15"}}),
        ("one.mp4", 1, {}),
        ("three.mp4", 3, {}),
        ("portrait.mp4", 6, {"height": 96, "width": 48}),
        ("odd.mp4", 6, {"height": 51, "width": 67, "pixel_format": "yuv444p"}),
        ("mpeg4.avi", 20, {"codec": "mpeg4", "options": {"qscale": "2"}}),
        ("vp9.webm", 12, {"codec": "libvpx-vp9"}),
        ("h264.mkv", 12, {}),
        ("h264.ts", 12, {}),
        ("fragments.mp4", 12, {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
    ],
)
def test_every_frame_in_the_order_of_showing(tmp_path, name, num_frames, settings):
    video = read_video(write_video(tmp_path / name, num_frames, **settings), select=everything)
    assert numbers(video) == list(range(num_frames))
    assert video.num_frames == num_frames
    assert video.frame_indices.tolist() == list(range(num_frames))
    size = (settings.get("height", 48), settings.get("width", 64))
    assert (video.height, video.width) == size == video.frames.shape[1:3]
    assert video.frame_rate == pytest.approx(12, rel=0.1)


def test_only_selected_frames_are_returned(tmp_path):
    path = write_video(tmp_path / "v.mp4", 50, options={"bf": "2"})
    video = read_video(path, select=lambda n: uniform_indices(n, 7))
    assert numbers(video) == uniform_indices(50, 7).tolist() == video.frame_indices.tolist()
    assert video.num_frames == 50


def test_a_variable_frame_rate_neither_repeats_nor_drops(tmp_path):
    stamps = [0, 1, 2, 10, 11, 12, 40, 41, 42, 60]
    video = read_video(write_video(tmp_path / "v.mp4", 10, time_stamps=stamps), select=everything)
    assert numbers(video) == list(range(10))


def test_frames_that_are_not_shown_do_not_count(tmp_path):
    hidden = {1, 7, 8}
    path = write_video_with_hidden_frames(tmp_path / "v.webm", 20, hidden)
    shown = [number for number in range(20) if number not in hidden]
    video = read_video(path, select=lambda n: uniform_indices(n, 5))
    assert video.num_frames == 17
    assert video.frame_indices.tolist() == uniform_indices(17, 5).tolist()
    assert numbers(video) == [shown[k] for k in video.frame_indices]


@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
def test_rotated_videos_come_out_upright(tmp_path, quarter_turns):
    path = write_rotated_video(tmp_path / "v.mp4", 5, quarter_turns)
    video = read_video(path, select=everything)
    shown = np.stack([np.rot90(numbered_frame(k, 48, 64), -quarter_turns) for k in range(5)])
    assert video.frames.shape == shown.shape
    assert (video.height, video.width) == shown.shape[1:3]
    assert peak_signal_to_noise(video.frames, shown) > 30


def test_the_short_side_is_as_asked_for(tmp_path):
    landscape = write_video(tmp_path / "a.mp4", 2, height=48, width=86)
    portrait = write_rotated_video(tmp_path / "b.mp4", 2, 1, height=48, width=86)
    assert read_video(landscape, select=everything, short_side=32).frames.shape == (2, 32, 57, 3)
    assert read_video(portrait, select=everything, short_side=96).frames.shape == (2, 172, 96, 3)


def test_pixels_are_those_of_pyav_at_that_size(tmp_path):
    path = write_video(tmp_path / "v.mp4", 8, height=90, width=120)
    video = read_video(path, select=everything, short_side=60)
    with av.open(str(path)) as container:
        reference = [
            frame.to_ndarray(format="rgb24", width=80, height=60)
            for frame in container.decode(video=0)
        ]
    np.testing.assert_array_equal(video.frames, reference)


class TestBadVideos:
    def reason(self, path):
        with pytest.raises(VideoError) as error:
            read_video(path, select=everything)
        assert "\n" not in str(error.value)
        return str(error.value)

    def test_missing(self, tmp_path):
        assert self.reason(tmp_path / "none.mp4") == "there is no such file"

    def test_in_a_cloud(self):
        assert self.reason("gs://bucket/v.mp4") == (
            "videos are read from this machine, not from a URL"
        )

    def test_empty(self, tmp_path):
        (tmp_path / "v.mp4").touch()
        assert self.reason(tmp_path / "v.mp4") == "the file is empty"

    def test_no_video_at_all(self, tmp_path):
        (tmp_path / "v.mp4").write_text("this is a text file " * 100)
        assert "not a readable video" in self.reason(tmp_path / "v.mp4")

    def test_only_sound(self, tmp_path):
        assert "none of the formats of videos" in self.reason(write_sound(tmp_path / "sound.wav"))

    @pytest.mark.parametrize(
        ("name", "settings"),
        [
            ("index_first.mp4", {"container_options": {"movflags": "faststart"}}),
            ("index_last.mp4", {}),
            ("fragments.mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
            ("a.avi", {"codec": "mpeg4"}),
            ("a.mkv", {}),
            ("a.webm", {"codec": "libvpx-vp9"}),
        ],
    )
    @pytest.mark.parametrize("share", [0.5, 0.7])
    def test_broken_off(self, tmp_path, name, settings, share):
        settings = {"options": {"g": "5"}, **settings}
        path = write_video(tmp_path / name, 60, **settings)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        assert self.reason(path)

    def test_damaged_in_the_middle(self, tmp_path):
        path = write_video(tmp_path / "v.mp4", 60, options={"g": "5"})
        content = bytearray(path.read_bytes())
        start = content.index(b"mdat") + 2000
        content[start : start + 2000] = bytes(2000)
        path.write_bytes(content)
        assert self.reason(path)


class TestLoadVideo:
    def test_views_are_frames_and_crops(self, tmp_path):
        path = write_video(tmp_path / "v.mp4", 32, height=48, width=96)
        clip = load_video(
            path, num_frames=4, image_size=40, num_temporal_views=2, num_crops=3, short_side=48
        )
        assert clip.shape == (6, 4, 40, 40, 3)
        assert clip.dtype == np.uint8
        whole = read_video(path, select=everything).frames
        # View 1 of 2: frames floor(i 32/4 + 3 32/16); its second crop is at the right end.
        expected = whole[[6, 14, 22, 30], :, 48:]
        found = clip[3 + 1][:, ::4, ::4]
        rows = ((np.arange(40) + 0.5) * 48 / 40).astype(int)[::4]
        assert peak_signal_to_noise(found, expected[:, rows][:, :, rows]) > 20

    def test_one_view_is_the_centre_crop_of_the_middle_frames(self, tmp_path):
        path = write_video(tmp_path / "v.mp4", 32, height=64, width=96)
        clip = load_video(path, num_frames=4, image_size=56, short_side=64)
        whole = read_video(path, select=everything).frames
        np.testing.assert_array_equal(clip[0], whole[[4, 12, 20, 28], 4:60, 20:76])


class TestViewsOfAnArray:
    VIEWS = {"num_frames": 4, "image_size": 40, "num_temporal_views": 2, "num_crops": 3}

    def both(self, tmp_path, shape, **settings):
        """The views of a video's own frames, and those of the file, as int16."""
        path = write_video(tmp_path / "v.mp4", 37, **shape)
        frames = read_video(path, select=everything).frames
        settings = {**self.VIEWS, "max_frames": 16, **settings}
        found, expected = views_of_array(frames, **settings), load_video(path, **settings)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        return found.astype(np.int16), expected.astype(np.int16)

    @pytest.mark.parametrize("short_side", [48, 96, 130])
    @pytest.mark.parametrize("shape", [(90, 120), (120, 90), (51, 67)])
    def test_they_are_those_of_the_file(self, tmp_path, shape, short_side):
        shape = {"height": shape[0], "width": shape[1], "pixel_format": "yuv444p"}
        found, expected = self.both(tmp_path, shape, short_side=short_side)
        difference = np.abs(found - expected)
        assert difference.max() <= 2
        assert difference.mean() < 1

    def test_colour_at_half_the_resolution_differs_near_edges(self, tmp_path):
        found, expected = self.both(tmp_path, {"height": 360, "width": 480}, short_side=256)
        assert np.abs(found - expected).mean() < 1

    def test_frames_of_the_right_size_stay_as_they_are(self, tmp_path):
        found, expected = self.both(tmp_path, {"height": 64, "width": 96}, short_side=64)
        np.testing.assert_array_equal(found, expected)

    def test_a_part_of_a_larger_array_will_do(self):
        frames = np.stack([numbered_frame(k, 48, 64) for k in range(9)])
        wide = np.repeat(frames, 2, axis=2)
        settings = {**self.VIEWS, "short_side": 36}
        np.testing.assert_array_equal(
            views_of_array(wide[:, :, ::2], **settings), views_of_array(frames, **settings)
        )

    @pytest.mark.parametrize(
        ("frames", "message"),
        [
            (np.zeros((4, 8, 8), np.uint8), r"uint8 array .*, found uint8 \(4, 8, 8\)"),
            (np.zeros((4, 8, 8, 4), np.uint8), r"found uint8 \(4, 8, 8, 4\)"),
            (np.zeros((4, 3, 8, 8), np.uint8), r"found uint8 \(4, 3, 8, 8\)"),
            (np.zeros((4, 8, 8, 3), np.float32), r"found float32 \(4, 8, 8, 3\)"),
            (np.zeros((0, 8, 8, 3), np.uint8), r"empty: \(0, 8, 8, 3\)"),
            (np.zeros((4, 0, 8, 3), np.uint8), r"empty: \(4, 0, 8, 3\)"),
        ],
    )
    def test_other_arrays_are_refused(self, frames, message):
        with pytest.raises(UserError, match=message):
            views_of_array(frames, **self.VIEWS)


class TestOnlyVideosAreVideos:
    """Of whatever name a file is, what FFmpeg would make of it decides."""

    def reason(self, path) -> str:
        with pytest.raises(VideoError) as caught:
            read_video(path, select=everything)
        return str(caught.value)

    def test_playlists_that_name_a_neighbour(self, tmp_path):
        write_video(tmp_path / "neighbour.mp4", 3)
        for name, text in {
            "list.mp4": "ffconcat version 1.0\nfile neighbour.mp4\n",
            "hls.mp4": "#EXTM3U\n#EXTINF:1,\nneighbour.mp4\n#EXT-X-ENDLIST\n",
            "plain.m3u8": "#EXTM3U\n#EXTINF:1,\nneighbour.mp4\n#EXT-X-ENDLIST\n",
        }.items():
            (tmp_path / name).write_text(text)
            assert "video" in self.reason(tmp_path / name)

    @pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp", "webp", "tiff"])
    def test_stills(self, tmp_path, kind):
        path = tmp_path / "still.mp4"
        with path.open("wb") as file:
            Image.new("RGB", (64, 48)).save(file, kind)
        assert "still" in self.reason(path)

    @pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "webp"])
    def test_stills_that_are_asked_for(self, tmp_path, kind):
        path = tmp_path / "frame %d.still"  # not the name of a series
        with path.open("wb") as file:
            Image.new("RGB", (64, 48), (200, 30, 30)).save(file, kind)
        (frame,), facts = map_frames(lambda frame: frame, path, select=everything, stills=True)
        assert facts.num_frames == 1 and frame.shape == (48, 64, 3)
        assert np.abs(frame.mean((0, 1)) - (200, 30, 30)).max() < 6
        playlist = tmp_path / "list.png"
        playlist.write_text(f"ffconcat version 1.0\nfile '{path.name}'\n")
        with pytest.raises(VideoError):
            map_frames(lambda frame: frame, playlist, select=everything, stills=True)

    def test_a_still_in_the_form_of_mp4(self, tmp_path):
        path = write_video(tmp_path / "v.mp4", 1)
        path.write_bytes(path.read_bytes().replace(b"ftypisom", b"ftypavif", 1))
        assert self.reason(path) == "it is a still picture"

    def test_a_picture_that_moves(self, tmp_path):
        frames = [Image.fromarray(numbered_frame(k, 48, 64)) for k in range(3)]
        frames[0].save(tmp_path / "v.gif", save_all=True, append_images=frames[1:])
        assert read_video(tmp_path / "v.gif", select=everything).num_frames == 3

    def test_pipes_and_devices(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.mp4")
        (tmp_path / "zero.mp4").symlink_to("/dev/zero")
        for name in ("pipe.mp4", "zero.mp4"):
            assert self.reason(tmp_path / name) == "it is not a file"

    @pytest.mark.parametrize("name", ["concat:a.mp4", "12:30.mp4", "-.mp4", "%d.mp4"])
    def test_names_that_ffmpeg_could_misunderstand(self, tmp_path, name, monkeypatch):
        write_video(tmp_path / "v.mp4", 3).rename(tmp_path / name)
        monkeypatch.chdir(tmp_path)
        assert read_video(name, select=everything).num_frames == 3

    def test_a_name_that_is_not_utf8(self, tmp_path):
        path = tmp_path / os.fsdecode(b"\xff.mp4")
        os.rename(write_video(tmp_path / "v.mp4", 3), path)
        assert read_video(path, select=everything).num_frames == 3

    def test_a_name_that_is_too_long(self, tmp_path):
        assert "too long" in self.reason(tmp_path / ("v" * 300))

    def test_frames_larger_than_any_camera_takes(self, tmp_path):
        frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue")]
        frames[0].save(tmp_path / "v.gif", save_all=True, append_images=frames[1:])
        content = bytearray((tmp_path / "v.gif").read_bytes())
        content[6:10] = (20_000).to_bytes(2, "little") * 2  # width and height of all frames
        (tmp_path / "v.gif").write_bytes(content)
        assert "more than 67108864 pixels" in self.reason(tmp_path / "v.gif")
