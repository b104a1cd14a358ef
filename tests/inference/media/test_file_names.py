"""Names of files made of names of videos and labels."""

from pathlib import PurePosixPath

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from animal_clip_jax.inference.media.file_names import folder_names, safe_name, video_names
from data_pipeline.annotations.clips_csv import SPLIT_WORDS


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Running, fast (trot)", "Running, fast (trot)"),
        ("head/body: rubbing?", "head_body_ rubbing_"),
        ("..", "_"),
        (".hidden", "_.hidden"),
        (" a. ", "a"),
        ("line\nbreak", "line_break"),
        ("", "_"),
        ("行走", "行走"),
    ],
)
def test_a_label_as_a_folder(text, name):
    assert safe_name(text) == name


@settings(max_examples=30)
@given(st.lists(st.text(), unique=True))
def test_any_labels_have_folders_of_their_own(labels):
    found = folder_names(labels)
    assert len({name.casefold() for name in found.values()}) == len(labels)
    for name in found.values():
        assert PurePosixPath(name).parts == (name,) and not name.startswith(".")
        assert len(name.encode()) < 200 and name.casefold() not in SPLIT_WORDS


def test_labels_that_differ_in_what_a_name_cannot_have():
    long = "x" * 300
    found = folder_names(["a/b", "a:b", "A_B", "train", long, long + "y"])
    assert list(found.values())[:4] == ["a_b", "a_b (2)", "A_B (3)", "train (2)"]
    assert found[long] != found[long + "y"]


@settings(max_examples=30)
@given(st.lists(st.text(min_size=1), unique=True))
def test_any_videos_have_files_of_their_own_inside_the_folder(names):
    found = video_names(names, ".mp4")
    assert len({path.casefold() for path in found.values()}) == len(names)
    for path in found.values():
        parts = PurePosixPath(path).parts
        assert parts and path.endswith(".mp4") and not PurePosixPath(path).is_absolute()
        assert not any(part.startswith(".") or len(part.encode()) > 200 for part in parts)


def test_a_video_keeps_its_name_where_it_can():
    assert video_names(["a/b.MOV", "c.mp4", "d.avi", "d.mkv"], ".mp4") == {
        "a/b.MOV": "a/b.mp4",
        "c.mp4": "c.mp4",
        "d.avi": "d.avi.mp4",
        "d.mkv": "d.mkv.mp4",
    }
