"""An output is the former one or the new one, whatever happens in between."""

import os
import pathlib

import pytest

from animal_clip_jax.errors import UserError
from animal_clip_jax.files import write_whole
from animal_clip_jax.locks import beside, only_writer
from animal_clip_jax.whole_outputs import current, replacing


def make(path: os.PathLike, text: str) -> None:
    """A folder with a file in it."""
    folder = pathlib.Path(path)
    folder.mkdir()
    (folder / "file").write_text(text)


def text_in(path: os.PathLike) -> str:
    return (pathlib.Path(path) / "file").read_text()


@pytest.mark.parametrize("is_there", [False, True])
def test_the_new_one_takes_its_place_when_it_is_whole(tmp_path, is_there):
    path = tmp_path / "made" / "output"
    if is_there:
        path.parent.mkdir()
        make(path, "former")
    with replacing(path) as new:
        assert new.name == "output"
        make(new, "new")
        assert not path.exists() or text_in(path) == "former"
    assert text_in(path) == "new" and os.listdir(path.parent) == ["output"]


@pytest.mark.parametrize("kind", [RuntimeError, FileNotFoundError, KeyboardInterrupt])
def test_an_error_leaves_the_former_one(tmp_path, kind):
    path = tmp_path / "output"
    make(path, "former")
    with pytest.raises(kind), replacing(path) as new:
        make(new, "half")
        raise kind
    assert text_in(path) == "former" and os.listdir(tmp_path) == ["output"]
    with pytest.raises(kind), replacing(tmp_path / "other" / "output"):
        raise kind
    assert os.listdir(tmp_path) == ["output"]


def test_files_and_links(tmp_path):
    (tmp_path / "file").write_text("former")
    with replacing(tmp_path / "file") as new:
        pathlib.Path(new).write_text("new")
    make(tmp_path / "far", "former")
    (tmp_path / "link").symlink_to("far")
    with replacing(tmp_path / "link") as new:
        make(new, "new")
    assert (tmp_path / "file").read_text() == "new"
    assert (tmp_path / "link").is_symlink() and text_in(tmp_path / "far") == "new"
    assert sorted(os.listdir(tmp_path)) == ["far", "file", "link"]


@pytest.mark.parametrize("killed", ["while writing", "between", "before tidying"])
def test_what_a_killed_process_left(tmp_path, killed):
    path, scratch = tmp_path / "output", tmp_path / ".output.incomplete"
    (scratch / "new").mkdir(parents=True)
    beside(path).write_text("")
    make(scratch / "former" if killed == "between" else path, "whole")
    make(scratch / ("former" if killed == "before tidying" else "new/output"), "other")
    assert text_in(current(path)) == "whole"
    # The next one that writes puts it right, even if it does not get far.
    with pytest.raises(RuntimeError), replacing(path) as new:
        assert not new.exists()
        raise RuntimeError
    assert text_in(path) == "whole" and os.listdir(tmp_path) == ["output"]


def test_readers_find_what_is_at_its_place(tmp_path):
    assert current(tmp_path / "none") == tmp_path / "none"
    (tmp_path / "one").mkdir()
    assert current(tmp_path / "one") == tmp_path / "one"


def test_one_writer(tmp_path):
    path = tmp_path / "output"
    with (
        only_writer(path, beside(path)),
        pytest.raises(UserError, match="output is being written"),
        replacing(path),
    ):
        pass


def test_a_full_disk_is_said_of_the_output(small_disk):
    path = small_disk / "output"
    make(path, "former")
    message = f"^{path}/large cannot be written: No space left on device$"
    with pytest.raises(UserError, match=message), replacing(path) as new:
        new.mkdir()
        write_whole(new / "large", bytes(2**20))
    assert text_in(path) == "former" and os.listdir(small_disk) == ["output"]
