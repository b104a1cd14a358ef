"""Where a model looks, on a page: which frames it is asked about, and what is shown of them."""

import base64
import dataclasses
import io

import numpy as np
import pytest
from made_videos import number_of, write_video
from PIL import Image

from animal_clip_jax.errors import UserError
from animal_clip_jax.inference.answers import AttentionMaps
from animal_clip_jax.inference.report.attended import attended
from animal_clip_jax.inference.results import VideoResult, Windows

FRAMES = np.full((16, 32, 32, 3), 60, np.uint8)


@pytest.fixture(scope="module")
def result(tmp_path_factory) -> VideoResult:
    path = write_video(tmp_path_factory.mktemp("footage") / "numbered.mp4", 120)
    return VideoResult("numbered.mp4", str(path), actions=np.array([0.5, 0.5], np.float32))


def _on_the_last_frame(asked: list):
    """A model that looks at nothing but the upper left of the last frame."""

    def attend(video) -> AttentionMaps:
        asked.append(video)
        maps = np.zeros((16, 2, 2), np.float32)
        maps[-1, 0, 0] = 1
        return AttentionMaps(FRAMES, maps)

    return attend


def test_a_video_without_windows_is_looked_at_as_a_whole(result):
    asked: list = []
    words, sources = attended(result, _on_the_last_frame(asked))
    assert asked == [result.path] and "in the video as a whole" in words
    pictures = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))).astype(int)
        for source in sources
    ]
    assert len(pictures) == 10  # of 16 frames, the first and the last among them
    assert all(np.abs(picture - 60).max() < 4 for picture in pictures[:-1])
    last = pictures[-1]
    assert last[:48, :48].mean() > 120 and np.abs(last[-24:, -24:] - 60).max() < 8


def test_of_windows_it_is_the_one_in_which_the_model_is_surest(result):
    windows = Windows(
        np.array([0.0, 3.0, 6.0]),
        np.array([3.0, 6.0, 9.0]),
        np.array([[0.5, 0.5], [0.1, 0.9], [0.8, 0.2]], np.float32),
        np.zeros((3, 0), np.float32),
    )
    asked: list = []
    words, _ = attended(dataclasses.replace(result, windows=windows), _on_the_last_frame(asked))
    assert "from 3.0 to 6.0 s" in words
    numbers = [number_of(frame) for frame in asked[0]]
    assert numbers == sorted(numbers) and set(numbers) == set(range(36, 72))  # 12 a second


def test_what_cannot_be_shown_says_why(result, tmp_path):
    def refuse(video):
        raise UserError("it breaks off <b>here</b>")

    words, sources = attended(result, refuse)
    assert sources == () and words.endswith("cannot be shown: it breaks off <b>here</b>.")
    windows = Windows(np.zeros(1), np.ones(1), np.ones((1, 2)), np.zeros((1, 0)))
    gone = dataclasses.replace(result, path=str(tmp_path / "gone.mp4"), windows=windows)
    words, sources = attended(gone, _on_the_last_frame([]))
    assert sources == () and "cannot be shown" in words
