"""How a notebook shows answers and timelines."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from animal_clip_jax.inference.answers import Answer, Prediction
from animal_clip_jax.inference.results import Bout, Media, VideoResult

HOSTILE = '<script>alert("x")</script>'


class Elements(HTMLParser):
    """Counts elements, and keeps attributes and texts."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[dict] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append(dict(attrs))

    def handle_data(self, data):
        if data.strip():
            self.texts.append(data.strip())


def test_an_answer_shows_its_likeliest_labels():
    actions = [
        Prediction(name, p)
        for name, p in zip("abcdef", (0.5, 0.3, 0.1, 0.06, 0.04, 0.0), strict=True)
    ]
    answer = Answer(actions, [Prediction(HOSTILE, 1.0)], "given", np.zeros(3), note="short")
    page = Elements(answer._repr_html_())
    assert [text for text in page.texts if len(text) == 1] == list("abcde")
    assert "50.0 %" in page.texts and "animals, given" in page.texts and "short" in page.texts
    assert HOSTILE in page.texts and "script" not in page.tags
    assert "array" not in repr(answer)


def test_a_timeline_shows_each_bout_where_it_is():
    bouts = (
        Bout(0.0, 2.5, HOSTILE, "Fox", 0.75),
        Bout(2.5, 5.0, "Run", "", 0.5),
        Bout(7.5, 10.0, HOSTILE, "Fox", 0.25),
    )
    media = Media(duration=10.0, frame_rate=10, num_frames=100, height=4, width=4)
    result = VideoResult("a.mp4", "/a.mp4", "it ends early", media, bouts=bouts)
    page = Elements(result._repr_html_())
    bars = [
        tuple(map(float, re.search(r"left:([\d.]+)%;width:([\d.]+)%", one["style"]).groups()))
        for one in page.attributes
        if "title" in one
    ]
    assert bars == [(0, 25), (75, 25), (25, 25)]  # a lane for each action
    titles = [one["title"] for one in page.attributes if "title" in one]
    assert titles[0] == f"{HOSTILE}, Fox, 0.0–2.5 s, 0.75"
    assert titles[2] == "Run, 2.5–5.0 s, 0.50"
    assert page.texts.count(HOSTILE) == 1 and "script" not in page.tags
    assert any("10.0 s: it ends early" in text for text in page.texts)


@pytest.mark.parametrize("media", [None, Media(0.0, 0, 0, 4, 4)])
def test_a_timeline_without_bouts(media):
    page = Elements(VideoResult("a.mp4", "/a.mp4", media=media)._repr_html_())
    assert any("No action was found" in text for text in page.texts)
