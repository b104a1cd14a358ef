"""--overwrite: the same as a conversion into a new folder, with little decoded again."""

import csv
import os
import shutil

import pytest
from made_dataset import as_older_version, assert_same_folders
from made_videos import write_video

from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.conversion import plan
from data_pipeline.conversion.dataset_writer import ConversionError, Options, convert
from data_pipeline.conversion.encode import encode_in_order
from data_pipeline.conversion.shards import file_state
from data_pipeline.dataset import load_info

OPTIONS = Options(short_side=24, max_frames=4, clips_per_shard=4)


@pytest.fixture
def footage(tmp_path):
    """Twenty clips, five a day, that are listed in `clips.csv`."""
    for k in range(20):
        write_video(tmp_path / "footage" / f"{k:02}.mp4", 3 + k % 5)
    write_rows(tmp_path / "footage", rows_of(range(20)))
    return tmp_path / "footage"


def rows_of(numbers, **others):
    """Rows of clips, and other labels of some: `_3="Resting"`."""
    return [
        [f"{k:02}.mp4", "Fox", others.get(f"_{k}", "Running"), ("train", "test")[k % 4 == 3]]
        for k in numbers
    ]


def write_rows(folder, rows):
    with (folder / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["video", "animals", "actions", "split"], *rows])


@pytest.fixture
def decoded(monkeypatch):
    """The names of the videos that are decoded, in this list."""
    names = []

    def noting(videos, **settings):
        names.extend(video.path.name for video in videos)
        return encode_in_order(videos, **settings)

    monkeypatch.setattr(plan, "encode_in_order", noting)
    return names


def converted(folder, output, *, options=OPTIONS, **settings):
    annotations = read_annotations("csv", folder)
    convert("csv", annotations, output, options=options, workers=1, **settings)
    return output


def check_replaced(folder, tmp_path, **settings):
    """Replaces the conversion, and compares with one into a new folder."""
    converted(folder, tmp_path / "out", overwrite=True, **settings)
    assert_same_folders(converted(folder, tmp_path / "new", **settings), tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"footage", "out", "new"}


def test_a_corrected_label(footage, tmp_path, decoded, capsys):
    converted(footage, tmp_path / "out")
    write_rows(footage, rows_of(range(20), _5="Resting"))
    with pytest.raises(ConversionError, match="its clips: 1 with other labels or in another split"):
        converted(footage, tmp_path / "out")
    assert load_info(tmp_path / "out").action_names == ("Running",)
    del decoded[:]
    converted(footage, tmp_path / "out", overwrite=True)
    assert decoded == []
    assert "frames of 20 of 20 clips are taken" in capsys.readouterr().out
    check_replaced(footage, tmp_path)


def test_shards_with_the_same_labels_are_not_even_copied(footage, tmp_path):
    write_rows(footage, rows_of(range(20), _0="Resting"))
    converted(footage, tmp_path / "out")
    before = {path.name: path.stat().st_ino for path in (tmp_path / "out").glob("*.tfrecord*")}
    write_rows(footage, rows_of(range(20), _0="Resting", _5="Resting"))
    converted(footage, tmp_path / "out", overwrite=True)
    after = {path.name: path.stat().st_ino for path in (tmp_path / "out").glob("*.tfrecord*")}
    assert sorted(before) == sorted(after)
    assert sum(before[name] != after[name] for name in before) == 1


def test_one_clip_more_and_one_less(footage, tmp_path, decoded):
    converted(footage, tmp_path / "out")
    write_video(footage / "20.mp4", 5)
    write_rows(footage, rows_of([*range(1, 21)]))
    with pytest.raises(ConversionError, match="its clips: 1 new, 1 not there any more"):
        converted(footage, tmp_path / "out")
    del decoded[:]
    converted(footage, tmp_path / "out", overwrite=True)
    assert decoded == ["20.mp4"]
    check_replaced(footage, tmp_path)


def test_a_video_that_was_changed_is_decoded_again(footage, tmp_path, decoded):
    converted(footage, tmp_path / "out")
    write_video(footage / "03.mp4", 7)
    write_rows(footage, rows_of(range(20), _5="Resting"))
    del decoded[:]
    converted(footage, tmp_path / "out", overwrite=True)
    assert decoded == ["03.mp4"]
    check_replaced(footage, tmp_path)


def test_other_options_take_no_frames_over(footage, tmp_path, decoded):
    converted(footage, tmp_path / "out")
    del decoded[:]
    larger = Options(short_side=32, max_frames=4, clips_per_shard=4)
    converted(footage, tmp_path / "out", overwrite=True, options=larger)
    assert len(decoded) == 20
    check_replaced(footage, tmp_path, options=larger)


def test_a_damaged_record_is_decoded_again(footage, tmp_path, decoded):
    converted(footage, tmp_path / "out")
    shard = sorted((tmp_path / "out").glob("*train.tfrecord*"))[0]
    content = bytearray(shard.read_bytes())
    content[40] ^= 1
    shard.write_bytes(content)
    # All labels have another number now.
    write_rows(footage, rows_of(range(20), _1="Browsing"))
    del decoded[:]
    converted(footage, tmp_path / "out", overwrite=True)
    assert len(decoded) == 1
    check_replaced(footage, tmp_path)


def test_the_former_one_stays_until_the_new_one_is_whole(footage, tmp_path, decoded):
    """And what was done of the new one is not done again."""
    converted(footage, tmp_path / "out")
    former = shutil.copytree(tmp_path / "out", tmp_path / "former")
    (footage / "20.mp4").write_text("no video")
    (footage / "21.mp4").write_text("no video")
    write_video(footage / "22.mp4", 5)
    write_rows(footage, rows_of(range(23)))
    with pytest.raises(ConversionError, match="2 of 23 clips failed"):
        converted(footage, tmp_path / "out", overwrite=True)
    assert_same_folders(former, tmp_path / "out")
    write_video(footage / "20.mp4", 5)
    write_video(footage / "21.mp4", 5)
    del decoded[:]
    converted(footage, tmp_path / "out", overwrite=True)
    assert set(decoded) <= {"20.mp4", "21.mp4", "22.mp4"}
    shutil.rmtree(former)
    check_replaced(footage, tmp_path)


def test_a_video_that_changes_while_a_replacement_waits(footage, tmp_path):
    converted(footage, tmp_path / "out")
    (footage / "20.mp4").write_text("no video")
    write_rows(footage, rows_of(range(21)))
    with pytest.raises(ConversionError, match="1 of 21 clips failed"):
        converted(footage, tmp_path / "out", overwrite=True)
    write_video(footage / "03.mp4", 7)
    write_video(footage / "20.mp4", 5)
    check_replaced(footage, tmp_path)


def test_a_replacement_that_is_given_up_leaves_nothing(footage, tmp_path):
    converted(footage, tmp_path / "out")
    (footage / "20.mp4").write_text("no video")
    write_rows(footage, rows_of(range(21)))
    with pytest.raises(ConversionError, match="1 of 21 clips failed"):
        converted(footage, tmp_path / "out", overwrite=True)
    write_rows(footage, rows_of(range(20)))
    converted(footage, tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["footage", "out"]


def test_a_folder_of_something_else_is_never_replaced(footage, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    with pytest.raises(ConversionError, match="not empty and holds no conversion"):
        converted(footage, tmp_path / "out", overwrite=True)
    assert os.listdir(tmp_path / "out") == ["thesis.tex"]


def test_one_of_an_older_version_is_decoded_anew(footage, tmp_path, decoded):
    as_older_version(converted(footage, tmp_path / "out"))
    for path in (tmp_path / "out" / "shard_listings").iterdir():
        path.unlink()
    write_rows(footage, rows_of(range(20), _5="Resting"))
    del decoded[:]
    converted(footage, tmp_path / "out", overwrite=True)
    assert len(decoded) == 20
    check_replaced(footage, tmp_path)


def test_a_video_that_was_changed_alone_is_noticed(footage, tmp_path, decoded):
    converted(footage, tmp_path / "out")
    write_video(footage / "03.mp4", 7)
    del decoded[:]
    converted(footage, tmp_path / "out")  # not asked to look at the videos
    assert decoded == []
    converted(footage, tmp_path / "out", overwrite=True)
    assert decoded == ["03.mp4"]
    check_replaced(footage, tmp_path)
    shutil.rmtree(tmp_path / "new")
    del decoded[:]
    converted(footage, tmp_path / "out", overwrite=True)
    assert decoded == []


def test_a_picture_that_was_changed_is_noticed(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(b"picture")
    before = file_state(folder)
    assert before == file_state(folder) != ""
    (folder / "1.jpg").write_bytes(b"another picture")
    assert file_state(folder) != before


def test_what_others_put_there_stays(footage, tmp_path):
    converted(footage, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("good light")
    (tmp_path / "out" / "figures").mkdir()
    (tmp_path / "out" / "figures" / "a.png").write_text("figure")
    write_rows(footage, rows_of(range(20), _5="Resting"))
    converted(footage, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "notes.txt").read_text() == "good light"
    assert (tmp_path / "out" / "figures" / "a.png").read_text() == "figure"
    assert "Resting" in load_info(tmp_path / "out").action_names
