"""MammalNet and LoTE-Animal: a video, an action id and an animal id in a line."""

from pathlib import Path

import pytest

from data_pipeline.annotations.lote_animal import read_lote_animal
from data_pipeline.annotations.mammalnet import read_mammalnet
from data_pipeline.annotations.record import AnnotationError

HEAD = Path(__file__).parents[4] / "shared" / "annotations"


def make_source(folder, train, *, test="Feeding/Bear 2.avi 1 0\r\n\r\n", names=None):
    (folder / "videos").mkdir()
    annotations = folder / "annotations"
    annotations.mkdir()
    files = {
        "train.txt": train,
        "test.txt": test,
        "label.csv": "id,label\r\n0,Parental\r\n1,Feeding\r\n",
        "animal_label.csv": "\ufeffid,label\r\n1,Sus Scrofa\r\n0,Ursus\r\n\r\n",
    } | (names or {})
    for name, text in files.items():
        (annotations / name).write_text(text, newline="", encoding="utf-8")
    return folder


def test_lote_lines_become_clips(tmp_path):
    train = "Parental/Boar1.avi 0 1\r\nCircumanal Gland/Boar 3.avi 1 1 \r\n\r\n"
    annotations = read_lote_animal(make_source(tmp_path, train))
    assert [(c.clip_id, c.actions, c.animals, c.split) for c in annotations.clips] == [
        ("Parental/Boar1", ("Parental",), ("Sus Scrofa",), "train"),
        ("Circumanal Gland/Boar 3", ("Feeding",), ("Sus Scrofa",), "train"),
        ("Feeding/Bear 2", ("Feeding",), ("Ursus",), "test"),
    ]
    assert annotations.animal_names == ("Ursus", "Sus Scrofa")
    assert annotations.clips[0].performed == (("Sus Scrofa", "Parental"),)
    assert not annotations.multi_label


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Parental/Boar1.avi 0", "train.txt, line 2: expected `video <action id> <animal id>`"),
        ("Parental/Boar1.avi 2 0", "train.txt, line 2: the action id 2 is unknown; there are 2"),
        ("Parental/Boar1.avi 0 5", "train.txt, line 2: the animal id 5 is unknown"),
        ("Parental/Boar1.avi -1 0", "train.txt, line 2: the action id '-1' is not a number"),
        (
            "/etc/Boar1.avi 0 0",
            "train.txt, line 2: the video '/etc/Boar1.avi' is not a path inside",
        ),
        ("Feeding/Bear 2.avi 0 0", "'Feeding/Bear 2' is in the splits 'train' and 'test'"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, message):
    source = make_source(tmp_path, f"Parental/Bear1.avi 0 0\r\n{line}\r\n")
    with pytest.raises(AnnotationError, match=message):
        read_lote_animal(source)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,label\n0,Bear\n0,Boar\n", "line 3: the id 0 was given to 'Bear'"),
        ("id,label\n0,Bear\n1,Bear\n", "line 3: the name 'Bear' was given before"),
        ("id,label\n0,Bear\n2,Boar\n", "the ids of 2 labels are not 0 to 1"),
        ("id,label\nBear\n", "line 2: expected `id,name`, found 'Bear'"),
        ("id,label\n", "holds no labels"),
    ],
)
def test_a_wrong_label_file_is_named(tmp_path, text, message):
    source = make_source(tmp_path, "a.avi 0 0\n", names={"animal_label.csv": text})
    with pytest.raises(AnnotationError, match=f"animal_label.csv.*{message}"):
        read_lote_animal(source)


def test_a_missing_file_is_named(tmp_path):
    source = make_source(tmp_path, "a.avi 0 0\n")
    (source / "annotations" / "test.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"no test split .*: none of .*test.txt"):
        read_lote_animal(source)


def test_an_annotation_that_is_no_text_is_refused(tmp_path):
    source = make_source(tmp_path, "a.avi 0 0\n")
    (source / "annotations" / "train.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AnnotationError, match="train.txt: not UTF-8 text"):
        read_lote_animal(source)


def test_mammalnet_reads_its_compositional_split(tmp_path):
    (tmp_path / "trimmed_video").mkdir()
    folder = tmp_path / "annotations" / "compositional"
    folder.mkdir(parents=True)
    (folder / "train.txt").write_text("Di4eEBZjkA4.mp4 1 1\nxlGeMfpGsfo_1.mp4 0 0\n")
    (folder / "test.txt").write_text("lyngREOwOms.mp4 1 0\n")
    labels = tmp_path / "annotations"
    (labels / "behavior_to_id.csv").write_text("\ufeffid,name\r\n0,sleeps\r\n1,eats food\r\n")
    (labels / "genus_to_id.csv").write_text("\ufefflabel,name\r\n0,panthera\r\n1,leptailurus\r\n")
    annotations = read_mammalnet(tmp_path)
    assert [(c.clip_id, c.split, c.actions, c.animals) for c in annotations.clips] == [
        ("Di4eEBZjkA4", "train", ("eats food",), ("leptailurus",)),
        ("xlGeMfpGsfo_1", "train", ("sleeps",), ("panthera",)),
        ("lyngREOwOms", "test", ("eats food",), ("panthera",)),
    ]
    assert annotations.action_names == ("sleeps", "eats food")


@pytest.mark.skipif(not HEAD.is_dir(), reason="the heads of the published files are not here")
@pytest.mark.parametrize(
    ("reader", "train", "labels", "sizes"),
    [
        (
            read_lote_animal,
            "lote_train_head.txt",
            {"label.csv": "lote_label.csv", "animal_label.csv": "lote_animal_label.csv"},
            (21, 11),
        ),
        (
            read_mammalnet,
            "mammalnet_train_head.txt",
            {"behavior_to_id.csv": "behavior_to_id.csv", "genus_to_id.csv": "genus_to_id.csv"},
            (12, 173),
        ),
    ],
)
def test_published_lines(tmp_path, reader, train, labels, sizes):
    head = (HEAD / train).read_text()
    names = {name: (HEAD / file).read_text() for name, file in labels.items()}
    source = make_source(tmp_path, head, test="other.mp4 0 0\n", names=names)
    annotations = reader(source)
    assert len(annotations.clips) == 1 + sum(1 for line in head.splitlines() if line.strip())
    assert (len(annotations.action_names), len(annotations.animal_names)) == sizes


@pytest.mark.parametrize(
    "train",
    [
        "Parental/Boar 1.avi 0p1\nParental/Boar2.avi 0 1\n",
        "Parental/Boar1,O,l\nParental/Boar2,0,1\n",
    ],
)
def test_a_broken_first_line_is_no_header(tmp_path, train):
    """Or its clip would be lost without a word."""
    with pytest.raises(AnnotationError, match=r"train\.txt, line 1: "):
        read_lote_animal(make_source(tmp_path, train))
