"""Paths of a cloud stay what they are, and files are written whole or not at all."""

import os
import pathlib
import resource
import subprocess
import sys

import pytest
from etils import epath
from hypothesis import given
from hypothesis import strategies as st

from animal_clip_jax.errors import UserError
from animal_clip_jax.files import (
    as_local_path,
    as_path,
    check_is_file,
    is_file,
    is_remote,
    read_json_object,
    write_whole,
)
from animal_clip_jax.whole_outputs import replacing


class TestPaths:
    @pytest.mark.parametrize("url", ["gs://bucket/a/b", "s3://bucket/a", "gs://bucket"])
    def test_urls_stay_as_they_are(self, url):
        assert os.fspath(as_path(url)) == url
        assert os.fspath(as_path(as_path(url)) / "c") == f"{url}/c"
        assert is_remote(url) and is_remote(as_path(url))

    @pytest.mark.parametrize("path", ["/a/b", "a", "../a", "a:/b"])
    @pytest.mark.parametrize("kind", [str, pathlib.Path, epath.Path])
    def test_local_paths_stay_as_they_are(self, path, kind):
        assert os.fspath(as_path(kind(path))) == path
        assert not is_remote(kind(path))
        assert as_local_path(kind(path), "it") == pathlib.Path(path)

    @pytest.mark.parametrize("url", ["memory://x", "foo://x/y", "http://host/data"])
    def test_other_urls_are_refused_by_name(self, url):
        with pytest.raises(UserError, match=f"^{url}: URLs of {url.split(':')[0]}:// are not"):
            as_path(url)

    def test_a_url_that_was_a_pathlib_path_is_refused(self):
        with pytest.raises(UserError, match="lost a slash.* as a string, gs://bucket/a$"):
            as_path(pathlib.Path("gs://bucket/a"))

    def test_what_has_to_be_local(self):
        with pytest.raises(UserError, match="^the source has to be on this machine, not gs://a$"):
            as_local_path("gs://a", "the source")


class TestWriteWhole:
    @given(st.text() | st.binary())
    def test_content_is_written_as_it_is(self, tmp_path_factory, content):
        path = tmp_path_factory.mktemp("written") / "file"
        path.write_text("what was there before, and is longer than what comes")
        write_whole(path, content)
        expected = content.encode() if isinstance(content, str) else content
        assert path.read_bytes() == expected
        assert os.listdir(path.parent) == ["file"]

    def test_a_failure_leaves_what_was_there(self, tmp_path):
        path = tmp_path / "file"
        path.write_text("before")
        with pytest.raises(TypeError):
            write_whole(path, 5)  # type: ignore[arg-type]
        (tmp_path / "folder").mkdir()
        with pytest.raises(UserError, match="folder cannot be written: "):
            write_whole(tmp_path / "folder", "text")
        assert path.read_text() == "before"
        assert sorted(os.listdir(tmp_path)) == ["file", "folder"]

    def test_what_a_check_refuses_leaves_what_was_there(self, tmp_path):
        path, seen = tmp_path / "file", []
        path.write_text("before")

        def check(written):
            seen.append(written.read_text())
            if len(seen) == 1:
                raise RuntimeError("refused")

        with pytest.raises(RuntimeError, match="refused"):
            write_whole(path, "after", check=check)
        assert path.read_text() == "before" and os.listdir(tmp_path) == ["file"]
        write_whole(path, "after", check=check)
        assert path.read_text() == "after" and seen == ["after", "after"]

    def test_another_process_that_writes_there_meanwhile_removes_nothing(self, tmp_path):
        path, seen = tmp_path / "file", []
        code = f"from animal_clip_jax.files import write_whole; write_whole({str(path)!r}, 'other')"

        def write_elsewhere(written):
            subprocess.run([sys.executable, "-c", code], check=True)
            seen.append((path.read_text(), written.read_text()))

        write_whole(path, "ours", check=write_elsewhere)
        assert seen == [("other", "ours")]
        assert path.read_text() == "ours" and os.listdir(tmp_path) == ["file"]

    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(UserError, match="none/file cannot be written: No such file"):
            write_whole(tmp_path / "none" / "file", "text")

    def test_a_full_disk(self, tmp_path):
        path = tmp_path / "file"
        path.write_text("before")
        code = (
            "import sys; from animal_clip_jax.files import write_whole;"
            f"write_whole({str(path)!r}, 'x' * 5000)"
        )

        def limit_file_size():
            # Writing more fails as it does on a full disk, for this process alone.
            resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))

        result = subprocess.run(
            [sys.executable, "-B", "-c", code],
            preexec_fn=limit_file_size,
            capture_output=True,
            text=True,
            check=False,
        )
        assert f"UserError: {path} cannot be written: File too large" in result.stderr
        assert path.read_text() == "before"
        assert os.listdir(tmp_path) == ["file"]

    def test_importing_it_takes_no_tensorflow(self):
        code = "import animal_clip_jax.files, sys; assert 'tensorflow' not in sys.modules"
        subprocess.run([sys.executable, "-c", code], check=True)


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert not is_file(tmp_path / "pipe") and not is_file(as_path(tmp_path / "pipe"))
    assert not is_file(tmp_path) and not is_file(tmp_path / "nothing") and is_file(__file__)
    for read in (read_json_object, lambda path: check_is_file(path, "text")):
        with pytest.raises(UserError, match="pipe is "):
            read(tmp_path / "pipe")


def test_a_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe is a pipe"):
        write_whole(tmp_path / "pipe", "text")
    with pytest.raises(UserError, match="pipe is a pipe"), replacing(tmp_path / "pipe"):
        pass
    assert (tmp_path / "pipe").is_fifo() and os.listdir(tmp_path) == ["pipe"]


@pytest.mark.parametrize("place", [".", "/", ""])
def test_a_folder_is_no_file_to_write(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="cannot be written: it is a folder"):
        write_whole(place, "text")
    assert not os.listdir(tmp_path)


def test_the_root_is_not_replaced():
    with pytest.raises(UserError, match="^/ is no folder to write"), replacing("/"):
        pass
