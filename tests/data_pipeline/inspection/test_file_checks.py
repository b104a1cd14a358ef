"""Which files are there, which are not, and which hold the same."""

import os

import pytest
from made_annotations import annotations

from data_pipeline.inspection.file_checks import check_files, find_copies, find_files
from data_pipeline.inspection.subject import of_annotations

CONTENTS = {
    "a.mp4": b"first",
    "b.mp4": b"other",  # as long as the first
    "e.mp4": b"first",  # a test clip: as the first, which is of training
    "d.mp4": b"second",
    "long.mp4": b"second",  # both of training, and of test too
    "f.mp4": b"alone of its size",
    "nobody.mp4": b"no clip has it",
}


@pytest.fixture
def videos(tmp_path):
    for name, content in CONTENTS.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_clips_without_files_and_files_without_clips(videos):
    made = annotations(videos)
    files = find_files(made)
    assert [clip.clip_id for clip, _ in files.missing] == ["c", "g"]
    assert files.unannotated == ("nobody.mp4",)
    found = {
        finding.kind: finding
        for finding in check_files(of_annotations("csv", "list.csv", made), files, None)
    }
    missing = found["clips_without_files"]
    assert missing.is_problem and missing.summary == "2 of 9 clips have no file"
    assert missing.rows[0] == {
        "clip": "c",
        "split": "train",
        "looked for": str(videos / "c.mp4"),
        "annotated in": "list.csv, c.mp4",
    }
    assert not found["files_without_clips"].is_problem


def test_only_files_of_equal_size_are_read_for_copies(videos):
    copies = find_copies([videos / name for name in CONTENTS])
    # Three of five bytes and two of six; one of the seven stands alone for each other size.
    assert (copies.num_files, copies.num_compared) == (7, 5)
    assert [[path.name for path in group] for group in copies.groups] == [
        ["a.mp4", "e.mp4"],
        ["d.mp4", "long.mp4"],
    ]


def test_two_names_of_one_file_are_copies(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"content")
    (tmp_path / "b.mp4").symlink_to(tmp_path / "a.mp4")
    os.link(tmp_path / "a.mp4", tmp_path / "c.mp4")
    copies = find_copies([tmp_path / name for name in ("a.mp4", "b.mp4", "c.mp4")])
    assert [[path.name for path in group] for group in copies.groups] == [
        ["a.mp4", "b.mp4", "c.mp4"]
    ]


def test_empty_files_are_not_copies(tmp_path):
    for name in "ab":
        (tmp_path / name).touch()
    assert find_copies([tmp_path / "a", tmp_path / "b"]).groups == ()


def test_copies_in_two_splits_are_a_problem_and_in_one_are_not(videos):
    (videos / "c.mp4").write_bytes(CONTENTS["b.mp4"])
    made = annotations(videos)
    files = find_files(made)
    found = {
        finding.kind: finding
        for finding in check_files(
            of_annotations("csv", "list.csv", made), files, find_copies(list(files.found.values()))
        )
    }
    across = found["copies_in_two_splits"]
    assert across.is_problem
    assert [(row["videos"], row["splits"]) for row in across.rows] == [
        ("a.mp4, e.mp4", "train, test"),
        ("long.mp4, d.mp4", "train, test"),
    ]
    assert across.rows[0]["actions"] == "Eating, Walking / Resting"
    # a, b, c and e have five bytes, d and long six; f stands alone.
    assert "6 of 7 files have the size of another" in across.summary
    assert [row["videos"] for row in found["copies_in_one_split"].rows] == ["b.mp4, c.mp4"]
    assert not found["copies_in_one_split"].is_problem


def test_folders_of_frames_are_found(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").touch()
    (tmp_path / "nobody").mkdir()
    files = find_files(annotations(tmp_path, are_frames=True))
    assert files.found == {"a": tmp_path / "a"}
    assert files.unannotated == ("nobody",)


def test_what_cannot_be_read_is_a_problem_and_not_the_end(videos):
    # Root may read every file, but nobody a folder; two empty ones are of one size.
    for name in ("c.mp4", "g.mp4"):
        (videos / name).mkdir()
    copies = find_copies([videos / name for name in ("a.mp4", "e.mp4", "c.mp4", "g.mp4")])
    assert len(copies.groups) == 1
    assert [path.name for path, _ in copies.unreadable] == ["c.mp4", "g.mp4"]
    made = annotations(videos)
    found = {
        finding.kind: finding
        for finding in check_files(
            of_annotations("csv", "list.csv", made), find_files(made), copies
        )
    }
    assert found["unreadable_files"].is_problem
    assert found["unreadable_files"].rows[0] == {
        "file": str(videos / "c.mp4"),
        "why": "Is a directory",
    }
