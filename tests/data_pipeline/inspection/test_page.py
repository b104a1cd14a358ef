"""The page: whole, self-contained, with what others wrote as text, and everything in words too."""

import base64
import io
import re
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest
from made_annotations import EIDER, SCRIPT, annotations
from made_videos import numbered_frame
from page_reader import Reader
from PIL import Image

from data_pipeline.inspection import charts
from data_pipeline.inspection.contact_sheet import ShownClip
from data_pipeline.inspection.examination import examine
from data_pipeline.inspection.page import page
from data_pipeline.inspection.subject import of_annotations


def jpeg(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(numbered_frame(number, 96, 128)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    root = tmp_path_factory.mktemp("videos")
    found = examine(of_annotations("csv", "a & b/<list>.csv", annotations(root)))
    clip = ShownClip(SCRIPT, "train", (EIDER,), (SCRIPT, "Eating"), (jpeg(1), jpeg(2), jpeg(3)))
    return page(found, [clip])


@pytest.fixture(scope="module")
def reader(text):
    return Reader(text)


def test_nothing_is_loaded_and_no_script_runs(text, reader):
    reader.check_is_inert()
    tags = Counter(tag for tag, _ in reader.elements)
    assert not tags.keys() & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for tag, attributes in reader.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href"):
                assert value.startswith(("data:image/", "#")), (tag, value[:50])
    assert "url(" not in text and "@import" not in text
    (policy,) = [
        attributes["content"]
        for _, attributes in reader.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert "default-src 'none'" in policy


def test_names_of_others_are_text(text, reader):
    assert "<script" not in text
    assert reader.words.count(SCRIPT) >= 3
    assert "a & b/<list>.csv" in reader.words


def test_links_lead_to_sections(reader):
    links = {at["href"][1:] for tag, at in reader.elements if tag == "a"}
    assert len(links) == 7
    assert links == {at["id"] for tag, at in reader.elements if tag == "section"}


def test_pictures_have_words_instead(reader):
    pictures = [at for tag, at in reader.elements if tag == "img"]
    assert all(at["alt"] for at in pictures)
    # Two charts of ranks, two matrices; three frames. No lengths: there is no video.
    kinds = Counter(at["src"].partition(";")[0] for at in pictures)
    assert kinds == {"data:image/svg+xml": 4, "data:image/jpeg": 3}


def test_boxes_that_scroll_can_be_reached_with_the_keyboard(reader):
    boxes = [at for _, at in reader.elements if at.get("class") == "scroll"]
    assert boxes and all(at["tabindex"] == "0" and at["aria-label"] for at in boxes)
    assert dict(name="viewport", content="width=device-width, initial-scale=1") in [
        at for tag, at in reader.elements if tag == "meta"
    ]


def test_problems_are_first_and_open(reader):
    words = " ".join(reader.words)
    problem, known = words.index("bouts in several splits"), words.index("without a training clip")
    assert words.index("problems found") < problem
    details = [at for tag, at in reader.elements if tag == "details"]
    opened = [("open" in at) for at in details]
    assert opened == sorted(opened, reverse=True) and any(opened) and not all(opened)
    assert known > 0


def charted(content: bytes) -> str:
    return "".join(ElementTree.fromstring(content).itertext())


def test_a_matrix_holds_the_names_as_they_are():
    names = ["$x^2$", "$\\frac$", SCRIPT, "大熊猫", "x" * 60]
    content = charts.matrix(np.arange(10).reshape(5, 2), names, ["Eating", "Père"])
    words = charted(content)
    for name in (*names[:4], "Père", f"{'x' * 39}…"):
        assert name in words
    assert b"<script" not in content


def test_the_same_data_are_the_same_chart():
    for draw in (
        lambda: charts.ranks([[5, 1, 0], [1, 1, 1]], ["train", "test"], "actions"),
        lambda: charts.distribution([1.0, 2.0, 2.5], "seconds"),
        lambda: charts.matrix(np.eye(3, dtype=np.int64), ["a", "b", "c"], ["d", "e", "f"]),
    ):
        assert draw() == draw()


def test_charts_load_nothing_and_have_no_formulas():
    for content in (
        charts.ranks([[50_000, 100, 0]], ["train"], "actions"),
        charts.ranks([[0, 0]], ["train"], "animals"),
        charts.distribution([2.0], "seconds"),
        charts.matrix(np.zeros((2, 2), np.int64), ["a", "b"], ["c", "d"]),
        charts.matrix(np.full((2, 2), 7_000), ["a", "b"], ["c", "d"]),
    ):
        assert "mathdefault" not in charted(content)
        links = re.findall(rb'href="([^"]*)"', content)
        assert all(link.startswith((b"#", b"data:image/png")) for link in links)


def test_a_chart_of_ranks_names_its_scale():
    words = charted(charts.ranks([[50_000, 100, 0]], ["train"], "actions"))
    assert "10,000" in words and "train" in words and "actions, by frequency" in words


def test_frames_are_made_small(text):
    large = [
        Image.open(io.BytesIO(base64.b64decode(content))).size
        for content in re.findall(r"data:image/jpeg;base64,([^\"]+)", text)
    ]
    assert large == [(144, 108)] * 3
