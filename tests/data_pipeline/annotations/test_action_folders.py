"""A folder for every action, perhaps below folders for the splits."""

import pytest

from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.annotations.read_options import ReadOptions
from data_pipeline.annotations.record import AnnotationError
from data_pipeline.conversion.find_videos import find_videos


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def read(folder, **options):
    return read_annotations("folders", folder, options=ReadOptions(**options))


def test_the_first_folder_is_the_action(tmp_path):
    make(tmp_path, "Running/a.mp4", "Running/site 3/b.MOV", "Keeping still/a.mp4")
    annotations = read(tmp_path)
    found = {clip.path: (clip.actions, clip.animals, clip.split) for clip in annotations.clips}
    assert found == {
        "Keeping still/a.mp4": (("Keeping still",), (), "train"),
        "Running/a.mp4": (("Running",), (), "train"),
        "Running/site 3/b.MOV": (("Running",), (), "train"),
    }
    assert not annotations.multi_label and annotations.animal_names == ()
    files, unannotated = find_videos(annotations)
    assert all(path.is_file() for path in files.values()) and not unannotated


def test_splits_may_be_above(tmp_path):
    make(tmp_path, "Train/Running/a.mp4", "validation/Running/b.mp4", "test/Resting/c.mp4")
    annotations = read(tmp_path, animal="Fox")
    assert {clip.path: clip.split for clip in annotations.clips} == {
        "Train/Running/a.mp4": "train",
        "validation/Running/b.mp4": "val",
        "test/Resting/c.mp4": "test",
    }
    assert {clip.performed for clip in annotations.clips} == {
        (("Fox", "Running"),),
        (("Fox", "Resting"),),
    }


def test_what_is_hidden_is_passed_over_and_what_is_not_used_is_counted(tmp_path):
    make(tmp_path, "Running/a.mp4", ".trash/Running/b.mp4", "Running/._a.mp4", "Running/.DS_Store")
    make(tmp_path, "loose.mp4", "Running/notes.txt", "Running/a.xmp")
    annotations = read(tmp_path)
    assert [clip.path for clip in annotations.clips] == ["Running/a.mp4"]
    notes = "\n".join(annotations.notes)
    assert "1 file in no folder of an action: not used, such as 'loose.mp4'" in notes
    assert "2 files that by the suffix are no videos" in notes and "DS_Store" not in notes


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.mp4"], "no video lies in the folder of an action; .* holds a.mp4"),
        (["Running/a.txt"], "no video lies in .* holds Running"),
        (["train/a.mp4"], "no video lies in the folder of an action; expected ACTION/clip.mp4, or"),
        (["train/R/a.mp4", "Running/b.mp4"], "the folders train are splits, and Running is not"),
        (["Running/a.mp4", "Running/a.avi"], "the clip 'Running/a' is twice"),
        (["Run\u200bning/a.mp4"], "has a control character"),
    ],
)
def test_what_is_no_such_folder_is_said(tmp_path, names, message):
    make(tmp_path, *names)
    with pytest.raises(AnnotationError, match=message):
        read(tmp_path)


def test_a_folder_that_is_not_there(tmp_path):
    make(tmp_path, "clips/a.mp4")
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/clps does not exist; .* holds clips"):
        read(tmp_path / "clps")


def test_links_that_lead_elsewhere_are_said(tmp_path):
    elsewhere = make(tmp_path / "elsewhere", "c.mp4", "d.mp4")
    source = make(tmp_path / "own", "Running/a.mp4")
    (source / "Resting").symlink_to(elsewhere)
    (source / "Running" / "link.mp4").symlink_to(elsewhere / "c.mp4")
    annotations = read(source)
    assert annotations.action_names == ("Running",) and len(annotations.clips) == 1
    assert any("2 files or folders that are links to elsewhere" in n for n in annotations.notes)
    annotations = read(source, roots=(elsewhere,))
    assert annotations.action_names == ("Resting", "Running") and len(annotations.clips) == 4


def test_two_clips_that_differ_in_their_suffix_are_one(tmp_path):
    make(tmp_path, "Running/a.mp4", "Running/a.mov")
    with pytest.raises(AnnotationError, match="by its path without the suffix, so .* are one"):
        read(tmp_path)
