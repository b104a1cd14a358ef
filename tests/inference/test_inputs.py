"""Which videos are meant by what a person writes."""

import os

import pytest

from animal_clip_jax.errors import UserError
from animal_clip_jax.inference.inputs import find_inputs


@pytest.fixture
def footage(tmp_path, monkeypatch):
    for name in ("a.mp4", "b.MOV", "notes.txt", ".hidden.mp4", "deep/c.avi", "deep/a.mp4"):
        (tmp_path / "footage" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "footage" / name).touch()
    (tmp_path / "footage" / "notes.txt").unlink()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "footage"


def names(*arguments, **options):
    return [video.name for video in find_inputs(arguments, **options) if not video.problem]


def problems(*arguments, **options):
    return {v.name: v.problem for v in find_inputs(arguments, **options) if v.problem}


def test_folders(footage):
    assert names("footage") == ["a.mp4", "b.MOV"]
    assert names("footage", recursive=True) == ["a.mp4", "b.MOV", "deep/a.mp4", "deep/c.avi"]


def test_files_patterns_and_lists(footage):
    assert names("footage/a.mp4", "footage/deep/c.avi") == ["a.mp4", "c.avi"]
    assert names("footage/*.mp4") == ["a.mp4"]
    assert names("footage/**/*.*") == ["a.mp4", "b.MOV", "deep/a.mp4", "deep/c.avi"]
    (footage / "list.csv").write_text("\ufeffsite,Video\nx,deep/c.avi\ny,a.mp4\n", "utf-8")
    assert names("footage/list.csv") == ["deep/c.avi", "a.mp4"]
    (footage / "list.txt").write_text("a.mp4\n\ndeep/c.avi\n")
    assert names("footage/list.txt") == ["a.mp4", "deep/c.avi"]
    assert [v.path for v in find_inputs(["footage/list.txt"])][1].samefile(footage / "deep/c.avi")


def test_each_video_is_looked_at_once(footage):
    assert names("footage", "footage/a.mp4", "footage/*.MOV") == ["a.mp4", "b.MOV"]


def test_what_is_not_there_is_one_problem_each(footage):
    (footage / "empty").mkdir()
    assert problems("footage/a.mp4", "footage/none.mp4", "nix*.mp4", "footage/empty") == {
        "none.mp4": "there is no such file",
        "nix*.mp4": "no file matches this pattern",
        "empty": "no video in this folder; --recursive looks into the folders in it, too",
    }


def test_a_file_whose_name_looks_like_a_pattern(footage):
    (footage / "a[1].mp4").touch()
    assert names("footage/a[1].mp4") == ["a[1].mp4"]


def test_links_that_lead_out_are_said(footage, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "z.mp4").touch()
    (footage / "z.mp4").symlink_to(tmp_path / "elsewhere" / "z.mp4")
    (footage / "same.mp4").symlink_to("a.mp4")
    assert "z.mp4" not in names("footage") and "same.mp4" in names("footage")
    assert problems("footage") == {
        "z.mp4": "a link that leads out of this folder; name what it leads to"
    }


def test_of_two_videos_of_one_name_the_second_is_said(footage):
    first, second = find_inputs(["footage/a.mp4", "footage/deep/a.mp4"])
    assert (first.name, first.problem) == ("a.mp4", "")
    assert second.name == str(footage / "deep" / "a.mp4")
    assert second.problem.startswith("it would be 'a.mp4' in the results, as footage/a.mp4 is")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"name\na.mp4\n", "line 1: no column video or filepath or path or file"),
        ("a.csv", b"", "line 1: no column"),
        ("a.csv", b"video\n", "lists no video"),
        ("a.txt", b"\n", "lists no video"),
        ("a.txt", b"\xff\xfe", "not UTF-8 text"),
    ],
)
def test_lists_that_cannot_be_read(footage, name, content, message):
    (footage / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        find_inputs([os.fspath(footage / name)])
