"""Projects of BORIS: state events of two halves, and predictions that come back corrected."""

import json

import pytest

from animal_clip_jax.errors import UserError
from data_pipeline.annotations.boris_project import boris_name
from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.annotations.record import AnnotationError


def behavior(code, kind="State event", description=""):
    return {"type": kind, "key": "a", "code": code, "description": description}


def project(events, *, media=("D:\\field\\fox.mp4",), description="", **changes):
    return {
        "project_description": description,
        "project_format_version": "7.0",
        "subjects_conf": {"0": {"key": "", "name": "Kira", "description": "collared"}},
        "behaviors_conf": {
            "0": behavior("Sniffing"),
            "1": behavior("Resting [den]", description="Resting (den)"),
            "2": behavior("Barking", "Point event"),
        },
        "observations": {
            "morning": {
                "file": {"1": list(media), "2": []},
                "type": "MEDIA",
                "time offset": 0.0,
                "events": events,
                "media_info": {"length": dict.fromkeys(media, 60.0)},
            }
        },
        **changes,
    }


@pytest.fixture
def folder(tmp_path):
    for name in ("fox.mp4", "owl.mp4"):
        (tmp_path / name).write_text(name)
    return tmp_path


def read(folder, content):
    path = folder / "project.boris"
    path.write_text(json.dumps(content) if isinstance(content, dict) else content)
    return read_annotations("boris", path)


def found(annotations):
    return [
        (clip.path, clip.start, clip.stop, clip.actions, clip.animals, clip.individual)
        for clip in annotations.clips
    ]


EVENTS = [
    [1.5, "Kira", "Sniffing", "", "p=0.83"],
    [2.0, "", "Resting [den]", "", ""],
    [4.25, "Kira", "Sniffing", "", "", 106],
    [5.0, "Kira", "Barking", "", ""],
    [9.0, "", "Resting [den]", "", ""],
    [10.0, "Kira", "Sniffing", "", ""],
    [11.0, "Kira", "Sniffing", "", ""],
]


def test_two_events_are_a_bout(folder):
    annotations = read(folder, project(EVENTS))
    assert found(annotations) == [
        ("fox.mp4", 1.5, 4.25, ("Sniffing",), (), "Kira"),
        ("fox.mp4", 2.0, 9.0, ("Resting (den)",), (), ""),
        ("fox.mp4", 10.0, 11.0, ("Sniffing",), (), "Kira"),
    ]
    assert any("1 point events left out" in note for note in annotations.notes)


def test_subjects_of_predictions_are_animals(folder):
    description = "Predicted by animal_clip_jax 0.1.0 with runs/fox"
    annotations = read(folder, project(EVENTS[:3:2], description=description))
    assert found(annotations) == [("fox.mp4", 1.5, 4.25, ("Sniffing",), ("Kira",), "")]


def test_videos_one_after_the_other(folder):
    events = [[50.0, "Kira", "Sniffing", "", ""], [70.0, "Kira", "Sniffing", "", ""]]
    annotations = read(folder, project(events, media=("fox.mp4", "owl.mp4")))
    assert [one[:3] for one in found(annotations)] == [("fox.mp4", 50, 60), ("owl.mp4", 0, 10)]


def test_names_that_boris_takes():
    assert boris_name("  a (b), c|d~`e`\\f ") == "a [b]; c/d-'e'/f"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is damaged"),
        ("[]", "expected an object"),
        ({"observations": []}, "is no project of BORIS: it has no 'observations'"),
        (project(EVENTS[:1]), "'Sniffing' of 'Kira' begins at 1.5 s and does not end"),
        (project([[1, "Kira", "Digging", "", ""]]), "'Digging' is not in the ethogram"),
        (project([[1]]), "observation 'morning' does not have the form that BORIS gives it"),
        (project([["now", "", "Sniffing", ""]]), "does not have the form that BORIS gives it"),
        (project({}, observations={"a": 3}), "observation 'a' does not have the form"),
        (project([], behaviors_conf={"0": 1}), "behaviors_conf is not as BORIS writes it"),
        (project(EVENTS[:3:2], media=()), "no video is named"),
    ],
)
def test_what_is_no_project(folder, content, message):
    with pytest.raises((AnnotationError, UserError), match=message):
        read(folder, content)
