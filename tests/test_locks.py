"""Of two that would write into one folder, one does."""

import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from animal_clip_jax import file_lock, locks
from animal_clip_jax.errors import UserError
from animal_clip_jax.locks import LOCK_FILE, Owner, beside, only_writer

# Holds the lock; so would its forked child, which stays when it is killed, and its program.
_HOLDER = """
import os, subprocess, sys
from animal_clip_jax.locks import only_writer
with only_writer(sys.argv[1]):
    subprocess.Popen(["cat"], close_fds=False, stdout=subprocess.DEVNULL)
    if os.fork():
        print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that writes into a folder, and its children live on until the end of the test."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path / "folder")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.stdin.close()


class TestLock:
    def test_a_name_that_is_not_utf8_is_refused_before_anything_is_written(self, tmp_path):
        with (
            pytest.raises(UserError, match=r"out\\udcff is not UTF-8; choose another"),
            only_writer(tmp_path / "out\udcff"),
        ):
            pass
        assert not os.listdir(tmp_path)

    def test_another_process_holds_it_until_it_is_killed(self, tmp_path, holder):
        folder = tmp_path / "folder"
        message = (
            f"^{re.escape(str(folder))} is being written by process {holder.pid} on host "
            f"{re.escape(socket.gethostname())} since \\d\\d:\\d\\d; wait for it, stop it, or "
            "choose another folder$"
        )
        for _ in range(2):
            with pytest.raises(UserError, match=message), only_writer(folder):
                pass
        assert json.loads((folder / LOCK_FILE).read_text())["process"] == holder.pid
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with only_writer(folder):
            assert json.loads((folder / LOCK_FILE).read_text())["process"] == os.getpid()
        assert not folder.exists() or not os.listdir(folder)

    def test_nobody_holds_it_twice(self, tmp_path):
        with only_writer(tmp_path):
            with (
                pytest.raises(UserError, match="written by this very process, since"),
                only_writer(tmp_path),
            ):
                pass
            assert (tmp_path / LOCK_FILE).exists()
        with only_writer(tmp_path), only_writer(tmp_path, beside(tmp_path / "one")):
            assert sorted(os.listdir(tmp_path)) == [f".one{LOCK_FILE}", LOCK_FILE]
        assert not os.listdir(tmp_path)

    def test_it_ends_with_an_error(self, tmp_path):
        with pytest.raises(RuntimeError), only_writer(tmp_path):
            raise RuntimeError
        with only_writer(tmp_path):
            pass

    @pytest.mark.parametrize("left", ["", "{", "[]", '{"host": "a"}', '{"host": 1, "since": "x"}'])
    def test_what_a_killed_process_left_is_no_lock(self, tmp_path, left):
        (tmp_path / LOCK_FILE).write_text(left)
        with only_writer(tmp_path):
            assert Owner.from_json((tmp_path / LOCK_FILE).read_text()).process == os.getpid()

    def test_folders_are_made_and_go_again_if_nothing_was_written(self, tmp_path):
        with only_writer(tmp_path / "a" / "b"):
            assert (tmp_path / "a" / "b" / LOCK_FILE).exists()
        assert not os.listdir(tmp_path)
        with only_writer(tmp_path / "a" / "b"):
            (tmp_path / "a" / "written").write_text("")
        assert os.listdir(tmp_path) == ["a"] and os.listdir(tmp_path / "a") == ["written"]

    def test_where_it_cannot_be_written(self, tmp_path):
        (tmp_path / "file").write_text("")
        with (
            pytest.raises(UserError, match="file.* cannot be written: "),
            only_writer(tmp_path / "file"),
        ):
            pass
        (tmp_path / "other").write_text("kept")
        (tmp_path / LOCK_FILE).symlink_to("other")
        with pytest.raises(UserError, match="cannot be written: "), only_writer(tmp_path):
            pass
        assert (tmp_path / "other").read_text() == "kept"
        (tmp_path / LOCK_FILE).unlink()
        os.mkfifo(tmp_path / LOCK_FILE)
        with pytest.raises(UserError, match="is no file"), only_writer(tmp_path):
            pass


class TestLease:
    @pytest.fixture(autouse=True)
    def cannot_lock(self, monkeypatch):
        # As on a system that has no such locks.
        monkeypatch.setattr(file_lock, "fcntl", None)

    def leave(self, folder, **changes):
        owner = dataclasses.replace(Owner.this(), renewed=time.time(), **changes)
        (folder / LOCK_FILE).write_text(owner.to_json())

    def test_nobody_holds_it_twice(self, tmp_path):
        with (
            only_writer(tmp_path),
            pytest.raises(UserError, match="written by this very process"),
            only_writer(tmp_path),
        ):
            pass
        assert not os.listdir(tmp_path)
        with only_writer(tmp_path):
            pass

    def test_another_machine_holds_it_while_it_renews_it(self, tmp_path):
        self.leave(tmp_path, host="far", process=12, machine="another")
        with (
            pytest.raises(UserError, match="written by process 12 on host far since"),
            only_writer(tmp_path),
        ):
            pass
        self.leave(tmp_path, machine="another")
        text = (tmp_path / LOCK_FILE).read_text()
        old = {**json.loads(text), "renewed": time.time() - 3600}
        (tmp_path / LOCK_FILE).write_text(json.dumps(old))
        with only_writer(tmp_path):
            pass

    def test_a_dead_process_of_this_machine_holds_none(self, tmp_path):
        with subprocess.Popen(["true"]) as dead:
            pass
        self.leave(tmp_path, process=dead.pid)
        with only_writer(tmp_path):
            pass
        self.leave(tmp_path, process=dead.pid, machine="another")
        with pytest.raises(UserError, match="is being written"), only_writer(tmp_path):
            pass

    def test_one_half_written_may_become_whole(self, tmp_path):
        file = tmp_path / LOCK_FILE
        file.write_text("{")
        with pytest.raises(UserError, match="by another process; wait"), only_writer(tmp_path):
            pass
        os.utime(file, (0, 0))
        with only_writer(tmp_path):
            pass

    def test_it_is_renewed(self, tmp_path, monkeypatch):
        monkeypatch.setattr(locks, "_RENEWED_EVERY", 0.001)
        with only_writer(tmp_path):
            first, until = (tmp_path / LOCK_FILE).read_text(), time.monotonic() + 10
            while (tmp_path / LOCK_FILE).read_text() in (first, ""):
                assert time.monotonic() < until
        assert not os.listdir(tmp_path)

    def test_who_lost_it_says_so_and_leaves_it(self, tmp_path):
        with (
            pytest.raises(UserError, match="meanwhile also written by process 12 on host far"),
            only_writer(tmp_path),
        ):
            self.leave(tmp_path, host="far", process=12)
        assert os.listdir(tmp_path) == [LOCK_FILE]
