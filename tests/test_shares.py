"""Shares: every name is in exactly one; one writer each, and a folder is gathered by one alone."""

import contextlib
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animal_clip_jax.errors import UserError
from animal_clip_jax.locks import BeingWrittenError, only_writer
from animal_clip_jax.shares import Share, no_share_is_written, only_writer_of_share, writer_in_turn


@settings(max_examples=40)
@given(st.sets(st.text(max_size=30), max_size=60), st.integers(1, 9))
def test_shares_are_a_partition_that_more_names_do_not_change(names, count):
    shares = [Share(index, count) for index in range(count)]
    assert all(sum(share.has(name) for share in shares) == 1 for name in names)


def test_shares_are_about_equally_large():
    names = [f"camera {k % 7}/IMG_{k:05}.mp4" for k in range(20_000)]
    sizes = [sum(Share(index, 10).has(name) for name in names) for index in range(10)]
    # Of a binomial distribution: 2000 ± 5 × 42.
    assert sum(sizes) == len(names) and max(abs(size - 2000) for size in sizes) < 212


@pytest.mark.parametrize("text", ["0/1", "3/4", " 99/100 "])
def test_shares_are_read(text):
    assert str(Share.parse(text)) == text.strip()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4/4", r"count from 0, so the last of 4 is 3/4; .*--array=1-4, take I - 1"),
        ("1", "is no share; expected I/N"),
        ("-1/4", "is no share"),
        ("1/4/2", "is no share"),
        ("", "is no share"),
        ("a/b", "is no share"),
        ("0/0", "0 shares; expected at least 1"),
        ("0/999999999", "at most 100000"),
        ("1/\N{ARABIC-INDIC DIGIT TWO}", "is no share"),
    ],
)
def test_what_is_no_share(text, message):
    with pytest.raises(UserError, match=message):
        Share.parse(text)


def test_each_share_has_one_writer_and_the_whole_none_meanwhile(tmp_path):
    (tmp_path / "results.jsonl").touch()
    with only_writer_of_share(tmp_path, Share(0, 2)), only_writer_of_share(tmp_path, Share(1, 2)):
        with pytest.raises(BeingWrittenError), only_writer_of_share(tmp_path, Share(1, 2)):
            pass
        with pytest.raises(BeingWrittenError), no_share_is_written(tmp_path):
            pass
    with no_share_is_written(tmp_path), only_writer_of_share(tmp_path, Share(1, 2)):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["results.jsonl"]


def test_a_lock_is_waited_for(tmp_path):
    held = contextlib.ExitStack()
    held.enter_context(only_writer(tmp_path))
    with pytest.raises(BeingWrittenError), writer_in_turn(tmp_path, patience=0.0):
        pass
    release = threading.Timer(0.3, held.close)
    release.start()
    with writer_in_turn(tmp_path, patience=60.0):
        release.join()
