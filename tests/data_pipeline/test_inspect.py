"""The description of a dataset, and its contact sheet."""

import re
import shutil

import numpy as np
import pytest
from made_dataset import ACTIONS, ANIMALS, NUM_TEST, NUM_TRAIN
from PIL import Image

from data_pipeline.dataset import load_index
from data_pipeline.inspect import (
    class_counts,
    contact_sheet,
    describe,
    main,
    spread_over_actions,
    without_accents,
)


def test_counts_and_histograms(dataset):
    text = describe(dataset, "train", head=8, tail=8)
    assert f"{NUM_TRAIN + NUM_TEST} clips (train {NUM_TRAIN}, test {NUM_TEST})" in text
    for label in (*ACTIONS, *ANIMALS):
        clips = sum(label in clip_id for clip_id in load_index(dataset, "train").clip_ids)
        assert re.search(rf"^ +{label} +{clips} #+$", text, re.MULTILINE)
    # 22 clips, each action in turn: 8, 7 and 7.
    assert "head 1 (8 labels), middle 0 (0 labels), tail 2 (14 labels)" in text
    assert "5 of 6 pairs of animal and action occur" in text
    assert "clips of" not in describe(dataset, "test")


def test_a_long_list_is_cut_and_says_so(dataset):
    text = describe(dataset, "train", top=1)
    assert re.search(r"^  and 2 more with 7 clips or fewer$", text, re.MULTILINE)


def test_class_counts_count_clips():
    assert class_counts([(0, 2), (), (2,)], 4).tolist() == [1, 0, 2, 0]


def test_the_sheet_spreads_over_the_actions(dataset):
    index = load_index(dataset, "train")
    rows = spread_over_actions(index, 6)
    shown = [index.actions[row][0] for row in rows]
    assert shown == [0, 1, 2, 0, 1, 2]
    assert len(set(rows)) == 6


def test_the_sheet_shows_frames(dataset):
    sheet = np.asarray(contact_sheet(dataset, "train", num_clips=5, columns=2))
    smaller = np.asarray(contact_sheet(dataset, "train", num_clips=2, columns=2))
    assert sheet.shape[1] == smaller.shape[1]
    assert sheet.shape[0] == 3 * smaller.shape[0]
    np.testing.assert_array_equal(sheet[: len(smaller)], smaller)
    # The bars of the made videos are dark and light; the place of a sixth clip stays white.
    assert sheet[: sheet.shape[0] // 3].min() < 40
    assert (sheet[-sheet.shape[0] // 3 :, sheet.shape[1] // 2 :] == 255).all()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Red Fox", "Red Fox"),
        ("Père David’s Deer", "Pere David's Deer"),
        ("Pe\u0301lican à bec jaune", "Pelican a bec jaune"),
        ("大熊猫 (panda)", "??? (panda)"),
    ],
)
def test_names_are_drawn_in_letters_of_the_font(name, shown):
    assert without_accents(name) == shown


def test_the_command_writes_the_sheet(dataset, tmp_path, capsys):
    path = tmp_path / "sheet.png"
    assert main([str(dataset), "--split=test", f"--sheet={path}", "--clips=3"]) == 0
    assert str(path) in capsys.readouterr().out
    assert Image.open(path).format == "PNG"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split=val"], "no split 'val'"),
        (["--clips=-1"], "--clips: -1 is not at least 0"),
        (["--head=5", "--tail=10"], "head is 5 and tail 10"),
        (["--sheet=none/sheet.png"], "none/sheet.png cannot be written: No such file"),
    ],
)
def test_errors_are_one_line(dataset, capsys, arguments, message):
    assert main([str(dataset), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error


def test_a_corrupt_record_is_one_line(dataset, tmp_path, capsys):
    copy = shutil.copytree(dataset, tmp_path / "copy")
    index = load_index(copy, "test")
    shard = copy / index.shards[2]
    content = bytearray(shard.read_bytes())
    content[index.offsets[2] + 14] ^= 255
    shard.write_bytes(content)
    assert main([str(copy), "--split=test"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert repr(index.clip_ids[2]) in error
    assert shard.name in error


def test_a_folder_of_something_else_is_an_error(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "error: " in capsys.readouterr().err
