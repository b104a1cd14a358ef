"""The report: what the results say is on the pages, and what others wrote is text there."""

import base64
import dataclasses
import io
import os
import re
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import av
import numpy as np
import pytest
from etils import epath
from made_videos import number_of, write_video
from page_reader import Reader
from PIL import Image

from animal_clip_jax.inference.report.addresses import address_of
from animal_clip_jax.inference.report.overview import confidence_of, overview_of
from animal_clip_jax.inference.report.strip import BOX, MOST_CHARACTERS, strip_of
from animal_clip_jax.inference.report.timeline import clock, words_of
from animal_clip_jax.inference.report.write_report import (
    MOST_PAGES,
    MOST_TOGETHER,
    ROWS_A_PAGE,
    write_report,
)
from animal_clip_jax.inference.results import (
    Bout,
    Header,
    Media,
    Results,
    VideoResult,
    Windows,
    write_results,
)
from animal_clip_jax.pages.plain_text import plain

HOSTILE = (
    "</script><script>alert(1)</script>",
    "\"><img src=x onerror='alert(2)'>",
    "</style></title><!--",
    "{{ 7 * 7 }}{% raw %}&lt;",
    "line\nbreak\u2028\u202egpj.4pm\u0000\udcff",
)
HEADER = Header(
    actions=("Walking", "Eating", "Resting"),
    animals=("Zebra", "Fox"),
    multi_label=False,
    animal_source="predicted",
    model="runs/demo/run, step 12",
    software="animal_clip_jax 0.1.0",
    made="2026-11-24T10:00:00+01:00",
    settings={},
)
MEDIA = Media(duration=5.0, frame_rate=12.0, num_frames=60, height=48, width=64)
# The mean of their scores, each as often as it is long: (4.5 * 0.8 + 1.0 * 0.3) / 5.5.
BOUTS = (
    Bout(3.0, 7.5, "Walking", "Zebra", 0.81),
    Bout(0.125, 1.1257, "Eating", "", 0.3),
)


def result(name, path, likeliest=0.6, bouts=None, **changes):
    rest = (1 - likeliest) / 2
    made = VideoResult(
        name=name,
        path=str(path),
        media=MEDIA,
        actions=np.array([likeliest, rest, rest], np.float32),
        animals=np.array([0.7, 0.3], np.float32),
    )
    if bouts is not None:
        windows = Windows(np.zeros(1), np.ones(1), made.actions[None], made.animals[None])
        made = dataclasses.replace(made, windows=windows, bouts=tuple(bouts))
    return dataclasses.replace(made, **changes)


def written(folder, results, header=HEADER):
    """The pages of a report, by their names below the folder."""
    folder = epath.Path(folder)
    folder.mkdir(exist_ok=True)
    found = write_results(folder / "results.jsonl", header, results)
    pages = write_report(found, folder)
    return {str(path.relative_to(folder)): path.read_text() for path in pages}


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("footage") / "camera 1" / "a#b?%41.mp4", 60)


@pytest.fixture
def reader(video, tmp_path):
    pages = written(tmp_path, [result("a.mp4", video, bouts=BOUTS), result("b.mp4", video)])
    assert list(pages) == ["report.html"]
    return Reader(pages["report.html"])


def test_every_bout_is_on_the_page_with_its_times(reader):
    bars = reader.of_class("bar")
    found = sorted((float(at["data-start"]), float(at["data-stop"])) for at in bars)
    assert found == [(0.125, 1.126), (3.0, 7.5)]
    assert [at["title"] for at in bars] == [
        "Eating, 0.125–1.126 s, 0.30",
        "Walking, Zebra, 3.0–7.5 s, 0.81",
    ]
    assert all(at["aria-label"] == at["title"] for at in bars)
    # A link can be reached by keyboard, and leads to the time also where no script runs.
    assert [unquote(at["href"]).partition("#t=")[2] for at in bars] == [
        "0.125,1.126",
        "3.000,7.500",
    ]
    # The last bout ends after the video: the timeline is as long.
    styles = [re.findall(r"[\d.]+", at["style"]) for at in bars]
    np.testing.assert_allclose(
        np.array(styles, float), [[100 / 60, 100 * 1.0007 / 7.5], [40, 60]], atol=1e-3
    )
    # And in the table.
    words = [word for word in reader.words if word.strip()]
    begin = words.index("score") + 1
    assert words[begin : begin + 9] == [
        *("Eating", "0.125", "1.126", "0.30"),
        *("Walking", "Zebra", "3.0", "7.5", "0.81"),
    ]


def test_a_video_without_windows_has_probabilities_and_no_timeline(video, tmp_path):
    text = written(tmp_path, [result("b.mp4", video, 0.75)])["report.html"]
    reader = Reader(text)
    assert not reader.of_class("bar") and not reader.of_class("timeline")
    assert {"Walking", "0.75", "Zebra", "0.70"} <= set(reader.words)
    assert len([tag for tag, _ in reader.elements if tag == "video"]) == 1


def test_the_page_needs_nothing_else(reader):
    reader.check_is_inert()
    assert len(reader.scripts) == 1
    videos = [at for tag, at in reader.elements if tag == "video"]
    assert all("controls" in at and at["preload"] == "metadata" for at in videos)
    assert reader.policy["media-src"] == "'self' file:"
    for tag, at in reader.elements:
        if tag == "img":
            assert at["src"].startswith("data:image/jpeg;base64,") and at["alt"]


def test_a_video_is_found_from_the_page(reader, video, tmp_path):
    (source,) = {at["src"] for tag, at in reader.elements if tag == "video"}
    found = urlsplit(urljoin((tmp_path / "report.html").as_uri(), source))
    assert Path(unquote(found.path)) == video and not found.query and not found.fragment


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_others_make_no_elements(text, video, tmp_path):
    def tags(label):
        header = dataclasses.replace(
            HEADER, actions=("Walking", label, "Resting"), animals=("Zebra", label), model=label
        )
        bouts = [BOUTS[0], Bout(0.0, 2.0, label, label, 0.5)]
        results = [
            result(label, video, bouts=bouts, problem=label),
            result("b", f"/{label}", media=MEDIA),
            VideoResult("c", f"/nowhere/{label}", problem=label),
        ]
        pages = written(tmp_path, results, header)
        reader = Reader(pages["report.html"])
        reader.check_is_inert()
        return reader, Counter((tag, tuple(at)) for tag, at in reader.elements)

    reader, found = tags(text)
    _, expected = tags("harmless")
    assert found == expected
    # All of it is there to be read, on one line and in its own order.
    shown = plain(text)
    assert reader.words.count(shown) >= 4 and "\n" not in shown and "\u202e" not in shown


def test_the_least_certain_are_first_and_those_without_an_answer_last(video, tmp_path):
    bouts = (Bout(3.0, 7.5, "Walking", "Zebra", 0.8), Bout(0, 1, "Eating", "Fox", 0.3))
    results = [
        result("sure", video, 0.9),
        VideoResult("failed", "/nowhere/x.mp4", problem="damaged"),
        result("bouts", video, 0.4, bouts=bouts),
        result("unsure", video, 0.5),
        result("none", video, 0.45, bouts=()),
    ]
    assert confidence_of(results[2]) == pytest.approx((4.5 * 0.8 + 1.0 * 0.3) / 5.5)
    reader = Reader(written(tmp_path, results)["report.html"])
    rows = [at for tag, at in reader.elements if tag == "tr" and "data-name" in at]
    assert [at["data-name"] for at in rows] == ["none", "unsure", "bouts", "sure", "failed"]
    confidences = [at["data-confidence"] for at in rows]
    assert [float(text) for text in confidences[:-1]] == pytest.approx([0.45, 0.5, 3.9 / 5.5, 0.9])
    assert confidences[-1] == ""
    # Without a script nothing of it is hidden; the filters, which would do nothing, are.
    assert not any("hidden" in at for at in rows)
    assert all("hidden" in at for at in reader.of_class("filters"))
    # The menus have all that is shown, and the rows their numbers.
    menu = [at["value"] for tag, at in reader.elements if tag == "option"]
    assert menu[:3] == ["", "0", "1"] and rows[2]["data-actions"].split() == ["1", "0"]
    assert rows[2]["data-animals"].split() == ["1", "0"] and rows[0]["data-actions"] == ""


def test_a_video_that_cannot_be_shown_has_a_line(video, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    results = [
        result("moved.mp4", "/nowhere/moved.mp4", bouts=BOUTS),
        result("other.mp4", tmp_path / "text.mp4"),
        result("blank.mp4", video, blank=True),
        VideoResult("failed.mp4", str(video), problem="it was damaged"),
    ]
    reader = Reader(written(tmp_path, results)["report.html"])
    words = " ".join(reader.words)
    assert "No pictures of it: there is no such file." in words
    assert "No pictures of it: not a readable video" in words
    (blank,) = [at for _, at in reader.elements if at.get("data-name") == "blank.mp4"]
    assert blank["data-kind"].split() == ["blank", "answered"] and blank["data-actions"] == ""
    assert "no animal seems to be in it" in words and "it was damaged" in words
    assert len([tag for tag, _ in reader.elements if tag == "video"]) == 1
    # The bouts of the one that is not there can still be reached and read.
    bars = reader.of_class("bar")
    assert len(bars) == 2 and all(at["tabindex"] == "0" and "href" not in at for at in bars)


def test_frames_are_those_of_their_times(reader, video):
    sources = [at["src"] for tag, at in reader.elements if tag == "img"][:10]
    images = [Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) for url in sources]
    assert [number_of(np.asarray(image)) for image in images] == [3 + 6 * k for k in range(10)]
    assert all(image.size[0] <= BOX[0] and image.size[1] <= BOX[1] for image in images)
    assert len(reader.of_class("strip")) == 2


def test_a_strip_of_noise_is_small_too(tmp_path):
    random = np.random.default_rng(0)
    with av.open(str(tmp_path / "noise.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = 108, 144, "yuv420p"
        for _ in range(20):
            frame = random.integers(0, 256, (108, 144, 3)).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    strip = strip_of(str(tmp_path / "noise.mp4"), 2.0)
    assert len(strip) == 10 and 0 < sum(len(s.source) for s in strip) <= MOST_CHARACTERS


def test_the_same_results_are_the_same_page(video, tmp_path):
    results = [result(f"{k}.mp4", video, 0.5, bouts=BOUTS) for k in range(3)]
    first, second = (written(tmp_path / name, results) for name in ("one", "two"))
    assert first == second


def test_many_videos_have_pages_of_their_own(video, tmp_path):
    number = ROWS_A_PAGE + 100
    results = [
        result(f"camera {k % 7}/{k}.mp4", "/nowhere/x.mp4", 0.4 + 0.5 * (k * 7919 % 1000) / 1000)
        for k in range(number)
    ]
    pages = written(tmp_path, results)
    lists = {name: Reader(text) for name, text in pages.items() if "/0" not in name}
    assert list(lists) == ["report.html", "report/videos-0002.html"]
    names, confidences = [], []
    for reader in lists.values():
        rows = [at for tag, at in reader.elements if tag == "tr" and "data-name" in at]
        names += [at["data-name"] for at in rows]
        confidences += [float(at["data-confidence"]) for at in rows]
    assert sorted(names) == sorted(made.name for made in results)
    assert confidences == sorted(confidences) and len(pages) == 2 + MOST_PAGES
    # Every page that the lists name is there.
    for name, reader in lists.items():
        for tag, at in reader.elements:
            target = at.get("href", "").partition("#")[0]
            if tag == "a" and target.endswith(".html"):
                assert os.path.normpath(os.path.join(os.path.dirname(name), target)) in pages
    assert sum(len(text) for text in pages.values()) < 25e6
    # Fewer are on one page again.
    assert list(written(tmp_path, results[:MOST_TOGETHER])) == ["report.html"]
    assert not (tmp_path / "report").exists()


def test_pages_in_review_order_lead_to_each_other(video, tmp_path):
    results = [
        result(f"{k}.mp4", video, 0.9 - k / 100, bouts=BOUTS[: k % 2]) for k in range(MOST_TOGETHER)
    ]
    results.append(result("last.mp4", video, 0.35))
    pages = written(tmp_path, results)
    place = [
        f"{row.number:06d}.html"
        for row in overview_of(Results.open(tmp_path / "results.jsonl")).rows
    ]
    assert sorted(pages) == sorted(["report.html", *(f"report/{name}" for name in place)])
    for k, name in enumerate(place):
        reader = Reader(pages[f"report/{name}"])
        links = [at["href"] for tag, at in reader.elements if tag == "a" and "href" in at]
        around = [link for link in links if link.endswith(".html")]
        assert around == ["../report.html", *place[max(k - 1, 0) : k], *place[k + 1 : k + 2]]
        (source,) = [at["src"] for tag, at in reader.elements if tag == "video"]
        here = (tmp_path / "report" / name).as_uri()
        assert unquote(urlsplit(urljoin(here, source)).path) == str(video)


def test_no_video_at_all(tmp_path):
    reader = Reader(written(tmp_path, [])["report.html"])
    assert reader.words.count("What 0 videos show") == 2  # also as its title
    reader.check_is_inert()


def test_addresses():
    assert address_of("/a/videos/x y.mp4", "/a/out") == "../videos/x%20y.mp4"
    assert address_of("/a/out/b:c.mp4", "/a/out") == "b%3Ac.mp4"
    for path in ("/b/x.mp4", '/b/ü\n"#?%.mp4', os.fsdecode(b"/b/\xff.mp4")):
        assert address_of(path, "/a/out") == Path(path).as_uri()
    assert address_of("/b/\ud800.mp4", "/a/out") == ""


def test_times_in_words():
    assert [clock(s) for s in (0, 7.5, 62.04, 3723)] == ["0:00", "0:07.5", "1:02", "1:02:03"]
    assert clock(59.97) == "1:00"
    assert words_of(Bout(3, 7.5, "Walking", "Zebra", 0.81)) == "Walking, Zebra, 3.0–7.5 s, 0.81"
