"""The description of a dataset, and its contact sheet."""

import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
from collections import defaultdict

import numpy as np
import pytest
from made_dataset import ACTIONS, ANIMALS, NUM_TEST, NUM_TRAIN, OPTIONS
from made_videos import write_video
from PIL import Image

from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.annotations.record import make_annotations, make_clip
from data_pipeline.clip_index import load_index
from data_pipeline.conversion.dataset_writer import convert
from data_pipeline.inspect import main
from data_pipeline.inspection.contact_sheet import contact_sheet, without_accents
from data_pipeline.inspection.description import class_counts, describe
from data_pipeline.inspection.examination import spread_over_actions


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
    rows = spread_over_actions(index.actions, 6)
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
        (["--sheet=none/sheet.png"], "none/sheet.png cannot be written: there is no folder for it"),
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


@pytest.fixture(scope="module")
def looked_at(source, tmp_path_factory):
    """What the command says and writes of videos that are not converted."""
    folder = tmp_path_factory.mktemp("looked_at")
    before = sorted(source.rglob("*"))
    files = [f"--{kind}={folder / kind}" for kind in ("json", "html", "sheet")]
    with contextlib.redirect_stdout(io.StringIO()) as output:
        code = main([str(source), "--dataset=lote_animal", "--clips=4", "--strict", *files])
    assert sorted(source.rglob("*")) == before
    return code, output.getvalue(), folder


def test_a_source_is_looked_through_before_its_conversion(looked_at, source):
    code, text, _ = looked_at
    lines = text.splitlines()
    assert lines[0] == "lote_animal: 29 clips (train 22, test 7), 3 actions, 2 animals"
    # Sizes repeat after three videos and frames after five, and so do most contents after fifteen.
    splits = {clip.path: clip.split for clip in read_annotations("lote_animal", source).clips}
    of_content = defaultdict(list)
    for path, split in splits.items():
        of_content[(source / "videos" / path).read_bytes()].append(split)
    repeated = [set(found) for found in of_content.values() if len(found) > 1]
    mixed = sum(len(found) > 1 for found in repeated)
    assert lines[1].startswith("1 problem found") and code == 1
    assert f"{mixed} videos in several splits under different names (" in text
    assert f"{len(repeated) - mixed} videos in one split under different names" in text
    assert "videos: 29, all of them opened" in lines
    # 3 and 1 of five clips in turn have fewer than eight frames.
    assert "to know: 11 of 29 clips looked at have fewer than 8 frames" in lines
    assert "  frames a clip: 1 to 20" in lines


def test_the_files_of_a_look_at_a_source(looked_at):
    _, text, folder = looked_at
    for kind in ("json", "html", "sheet"):
        assert str(folder / kind) in text
    said = json.loads((folder / "json").read_text())
    assert len(said["videos"]["clips"]) == 29
    assert said["videos"]["sizes"] == {"64x48": 10, "48x64": 10, "48x48": 9}
    page = (folder / "html").read_text()
    assert page.count("data:image/jpeg") == 12
    assert Image.open(folder / "sheet").format == "PNG"


def test_clips_without_files_are_a_problem(tmp_path, capsys):
    (tmp_path / "clips.csv").write_text(
        "video,animals,actions,split\na.mp4,Fox,Running,train\nb.mp4,Fox,Running,test\n"
    )
    arguments = [str(tmp_path), "--dataset=csv"]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "problem: 2 of 2 clips have no file" in text
    assert str(tmp_path / "a.mp4") in text
    assert main([*arguments, "--strict"]) == 1


def test_a_converted_folder_is_looked_through_too(dataset, tmp_path, capsys):
    copy = shutil.copytree(dataset, tmp_path / "copy")
    (copy / "failures.csv").write_text("split,clip_id,video,reason\ntrain,x,x.mp4,it is empty\n")
    files = [f"--json={tmp_path / 'json'}", f"--html={tmp_path / 'html'}"]
    assert main([str(copy), "--clips=2", "--strict", *files]) == 1
    text = capsys.readouterr().out
    assert text.startswith("lote_animal: 29 clips (train 22, test 7), 3 actions, 2 animals\n")
    assert "problem: 1 clip left out of the conversion" in text and "it is empty" in text
    assert describe(copy) in text
    said = json.loads((tmp_path / "json").read_text())
    assert said["converted"] and len(said["videos"]["clips"]) == 29
    assert said["pairs_in_training"] == {"occur": 5, "possible": 6}
    assert (tmp_path / "html").read_text().count("data:image/jpeg") == 6


@pytest.mark.parametrize(
    ("data", "arguments", "message"),
    [
        ("source", [], "say of which form it is: --dataset=animal_kingdom|"),
        ("source", ["--dataset=csv"], "clips.csv does not exist"),
        ("source", ["--dataset=lote_animal", "--split=val"], "no split 'val'; there is train, "),
        ("source", ["--dataset=lote_animal", "--train_group=bird"], "means nothing to --dataset"),
        ("dataset", ["--dataset=lote_animal"], "is converted: --dataset is for data that are not"),
        ("dataset", ["--all"], "is converted: --all is for data that are not"),
    ],
)
def test_flags_that_do_not_fit_the_data_are_one_line(request, data, arguments, message, capsys):
    assert main([str(request.getfixturevalue(data)), *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_misspelt_path_is_said_with_the_right_one(source, capsys):
    assert main([f"{source}x", "--dataset=lote_animal"]) == 2
    assert f"did you mean {source}?" in capsys.readouterr().err


def test_a_source_is_looked_through_without_tensorflow():
    code = (
        "import sys, data_pipeline.inspect, data_pipeline.inspection.page;"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_bouts_of_a_conversion_are_as_long_as_their_annotation_says(tmp_path, capsys):
    write_video(tmp_path / "long.mp4", 60, rate=12)
    made = make_annotations(
        [
            make_clip(
                "long.mp4",
                actions=["Running"],
                animals=["Fox"],
                split=split,
                source="list.csv",
                start=start,
                stop=start + 1.5,
            )
            for split, start in (("train", 0.5), ("test", 3.0))
        ],
        roots=[tmp_path],
        multi_label=False,
    )
    convert("csv", made, tmp_path / "out", options=OPTIONS, workers=1)
    assert main([str(tmp_path / "out"), "--clips=0", f"--json={tmp_path / 'json'}"]) == 0
    text = capsys.readouterr().out
    assert "1 action, 1 animal, 2 bouts" in text
    assert "problem: 1 recording with bouts in several splits" in text
    assert [
        (clip["seconds"], clip["frames"])
        for clip in json.loads((tmp_path / "json").read_text())["videos"]["clips"]
    ] == [(1.5, 18), (1.5, 18)]
