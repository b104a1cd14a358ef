"""Videos of all kinds."""

import pathlib

import pytest
from made_media import VFR, write_with_sound
from made_videos import write_rotated_video, write_video


@pytest.fixture(scope="session")
def kinds(tmp_path_factory) -> dict[str, pathlib.Path]:
    """Videos by what is special about them."""
    folder = tmp_path_factory.mktemp("kinds")
    size = {"height": 176, "width": 192}
    found = {
        "vfr": write_video(folder / "vfr.mp4", len(VFR), time_stamps=VFR, **size),
        "rotated": write_rotated_video(folder / "rotated.mp4", 14, 1, height=160, width=200),
        "odd": write_video(
            folder / "odd.mkv", 14, height=241, width=321, pixel_format="yuv444p"
        ),
        "one": write_video(folder / "one.mp4", 1, **size),
        "small": write_video(folder / "small.mp4", 6),
        "aac": write_with_sound(folder / "aac.mp4", 30, "aac", tone_from=1.0),
        "mp3": write_with_sound(folder / "mp3.avi", 30, "libmp3lame", video_codec="mpeg4"),
        "transport": write_with_sound(folder / "transport.ts", 30, "aac"),
        "pcm": write_with_sound(
            folder / "pcm.avi", 30, "pcm_s16le", video_codec="mjpeg", pixel_format="yuvj420p",
            tone_from=1.0,
        ),
    }  # fmt: skip
    whole = write_with_sound(folder / "whole.mkv", 60, "aac").read_bytes()
    found["broken"] = folder / "broken.mkv"
    found["broken"].write_bytes(whole[: len(whole) // 2])
    return found
