"""MegaDetector's JSON, Label Studio's tasks and WebVTT."""

import json
from html import unescape
from urllib.parse import unquote
from xml.etree import ElementTree

import made_results as made
import webvtt as webvtt_py

from animal_clip_jax.inference.formats import label_studio, megadetector, webvtt
from animal_clip_jax.inference.results import Bout, write_results


def test_megadetector(results, out, options):
    (path,) = megadetector.write(results, out, options)
    content = json.loads(path.read_text())
    assert content["info"]["format_version"] == "1.6"
    assert content["detection_categories"] == {"1": "animal"}
    assert list(content["classification_categories"].values()) == list(made.ACTIONS)
    images = {image["file"]: image for image in content["images"]}
    assert set(images) == {video.name for video in made.VIDEOS}
    assert images["d.mp4"]["failure"] == made.FAILED.problem
    assert images["d.mp4"]["detections"] is None
    for video in made.VIDEOS:
        if video is made.FAILED:
            continue
        image = images[video.name]
        assert "failure" not in image and image["frame_rate"] == video.media.frame_rate
        assert image["frames_processed"] == sorted(set(image["frames_processed"]))
        assert image["frames_processed"][-1] < video.media.num_frames
        for detection in image["detections"]:
            assert detection["frame_number"] in image["frames_processed"]
            assert detection["category"] == "1" and isinstance(detection["conf"], float)
            assert detection["bbox"] == [0, 0, 1, 1]
    first = images[made.WITH_BOUTS.name]["detections"]
    # The frames in the middle of 1-5 s, 2.25-6.5 s and 10-12 s, 25 a second.
    assert [(each["frame_number"], each["classifications"][0][0]) for each in first] == [
        (75, "0"), (109, "1"), (275, "0"),
    ]  # fmt: skip
    assert images["c.mp4"]["detections"][0]["classifications"] == [
        ["1", 0.7], ["2", 0.2], ["0", 0.1],
    ]  # fmt: skip
    assert images["e/blank.mov"]["detections"] == []


def test_label_studio(results, out, options):
    path, interface_path = label_studio.write(results, out, options)
    tasks = json.loads(path.read_text())
    assert [unquote(task["data"]["video"]).partition("?d=")[2] for task in tasks] == [
        video.name for video in made.VIDEOS if video is not made.FAILED
    ]
    (prediction,) = tasks[0]["predictions"]
    # 1-5 s, 2.25-6.5 s and 10-12 s at 25 frames a second; the first frame is 1.
    assert [region["value"]["ranges"] for region in prediction["result"]] == [
        [{"start": 26, "end": 125}], [{"start": 57, "end": 163}], [{"start": 251, "end": 300}],
    ]  # fmt: skip
    # A whole video of 50 frames.
    (region,) = tasks[2]["predictions"][0]["result"]
    assert region["value"] == {
        "ranges": [{"start": 1, "end": 50}], "timelinelabels": [made.ACTIONS[1]],
    }  # fmt: skip
    # The interface has the names that the regions speak of, and the fields of the tasks.
    interface = ElementTree.fromstring(interface_path.read_text())
    labels, video = interface.find("TimelineLabels"), interface.find("Video")
    assert region["from_name"] == labels.get("name")
    assert region["to_name"] == labels.get("toName") == video.get("name")
    assert [label.get("value") for label in labels] == list(made.ACTIONS)
    assert {"$" + field for field in ("video", "fps")} == {
        video.get("value"), video.get("frameRate"),
    }  # fmt: skip


def test_webvtt(results, out, options):
    paths = webvtt.write(results, out, options)
    assert len(paths) == 5
    captions = webvtt_py.read(str(paths[0])).captions
    assert [(cue.start, cue.end) for cue in captions] == [
        ("00:00:01.000", "00:00:05.000"),
        ("00:00:02.250", "00:00:06.500"),
        ("00:00:10.000", "00:00:12.000"),
    ]
    (cue,) = webvtt_py.read(str(paths[1])).captions
    assert unescape(cue.raw_text) == "Grooming & <licking> | ~ (60%)"
    assert "<" not in cue.raw_text
    (blank,) = webvtt_py.read(str(paths[3])).captions
    assert "blank" in blank.text


def test_webvtt_of_a_long_video_and_of_labels_that_look_like_its_own_signs(tmp_path, out, options):
    header = made.Header(
        ("a --> b\n\n<c>",), (), True, "none", "m", "s", "2026-11-24T10:00:00Z", {}
    )
    video = made.VideoResult(
        "long.mp4",
        "/long.mp4",
        problem="broken --> off\nhere",
        media=made.Media(400_000.0, 25.0, 10_000_000, 2, 2),
        actions=made.probabilities(0.5),
        # 1.001 * 1000 is less than 1001 in floats.
        bouts=tuple(
            Bout(start, stop, header.actions[0], "", 0.5)
            for start, stop in ((1.001, 2.0), (3599.9996, 360_000.5))
        ),
    )
    results = write_results(tmp_path / "r.jsonl", header, [video])
    (path,) = webvtt.write(results, out, options)
    first, cue = webvtt_py.read(str(path)).captions
    assert (first.start, first.end) == ("00:00:01.001", "00:00:02.000")
    assert (cue.start, cue.end) == ("01:00:00.000", "100:00:00.500")
    assert unescape(cue.raw_text) == "a --> b <c> (50%)"
