"""Anyone's own footage: `video,animals,actions`, and labels in a pinned order."""

import pytest

from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.annotations.record import AnnotationError

ROWS = (
    "video,animals,actions,split\n"
    'camera 3/0412.mp4,Red Fox;Badger,"Sniffing; Running",train\n'
    "0413.mov,,Resting,test\n"
)


def test_rows_become_clips(tmp_path):
    (tmp_path / "clips.csv").write_text("\ufeff" + ROWS, encoding="utf-8")
    annotations = read_annotations("csv", tmp_path)
    first, second = annotations.clips
    assert (first.clip_id, first.animals) == ("camera 3/0412", ("Red Fox", "Badger"))
    assert first.actions == ("Sniffing", "Running")
    assert set(first.performed) == {(a, b) for a in first.animals for b in first.actions}
    assert (second.animals, second.actions, second.split) == ((), ("Resting",), "test")
    assert annotations.action_names == ("Resting", "Running", "Sniffing")
    assert annotations.multi_label
    assert annotations.videos == tmp_path


def test_a_file_may_be_given_and_videos_may_have_their_folder(tmp_path):
    (tmp_path / "videos").mkdir()
    path = tmp_path / "june.csv"
    path.write_text("video,animals,actions\na.mp4,Fox,Running\n")
    annotations = read_annotations("csv", path)
    assert annotations.videos == tmp_path / "videos"
    assert annotations.clips[0].split == "train"
    assert not annotations.multi_label


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip,animals,actions\n", "line 1: no column 'video'"),
        ("video,animals,actions,Split\n", "line 1: the column 'Split' is written 'split'"),
        ("video,animals,actions\na.mp4,Fox\n", "line 2: found . cells, expected 3"),
        ("video,animals,actions\na.mp4,Fox,Running,Resting\n", "line 2: found . cells, expected 3"),
        ("video,animals,actions\na.mp4,Fox,\n", "line 2: the clip 'a' has no action"),
        ("video,animals,actions\n,Fox,Running\n", "line 2: the video '' is not a path"),
        ("video,animals,actions,split\na.mp4,Fox,Running,dev\n", "line 2: the split is 'dev'"),
        ("video,animals,actions\na.mp4,F,R\na.avi,F,R\n", "line 3: the clip 'a' is twice"),
        ("video,animals,actions\n", "clips.csv lists no clip"),
        (
            'video,animals,actions\na.mp4,F,"Two\nlines"\n',
            r"line 3: .*'Two.+lines' has a line break",
        ),
        (
            f"video,animals,actions\na.mp4,F,{'R' * 200_000}\n",
            "clips.csv, line 2: 200008 characters",
        ),
    ],
)
def test_a_wrong_row_is_named(tmp_path, text, message):
    (tmp_path / "clips.csv").write_text(text)
    with pytest.raises(AnnotationError, match=message):
        read_annotations("csv", tmp_path)


def test_a_label_file_pins_the_order(tmp_path):
    (tmp_path / "clips.csv").write_text(ROWS)
    labels = tmp_path / "actions.csv"
    labels.write_text("id,name\n2,Resting\n0,Sniffing\n1,Running\n3,Digging\n")
    annotations = read_annotations("csv", tmp_path, action_labels=labels)
    assert annotations.action_names == ("Sniffing", "Running", "Resting", "Digging")
    assert annotations.animal_names == ("Badger", "Red Fox")


def test_a_label_file_that_differs_in_case_pins_the_case(tmp_path):
    (tmp_path / "clips.csv").write_text("video,animals,actions\na.mp4,red fox,Sniffing;sniffing\n")
    actions, animals = tmp_path / "actions.csv", tmp_path / "animals.csv"
    actions.write_text("id,name\n0,Running\n1,sniffing\n")
    animals.write_text("id,name\n0,Red Fox\n")
    annotations = read_annotations("csv", tmp_path, action_labels=actions, animal_labels=animals)
    (clip,) = annotations.clips
    assert (clip.actions, clip.animals) == (("sniffing",), ("Red Fox",))
    assert clip.performed == (("Red Fox", "sniffing"),)


def test_a_label_that_the_pinned_order_lacks_is_named(tmp_path):
    (tmp_path / "clips.csv").write_text(ROWS)
    labels = tmp_path / "animals.csv"
    labels.write_text("id,name\n0,Red Fox\n")
    with pytest.raises(AnnotationError, match="line 2: the animal 'Badger' is not among the 1"):
        read_annotations("csv", tmp_path, animal_labels=labels)


def test_an_unknown_dataset_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'kinetics' is not one of animal_kingdom"):
        read_annotations("kinetics", tmp_path)
