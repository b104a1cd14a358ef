"""Annotations that somebody has damaged, or made to do damage: refused, with the place."""

import os
import time

import pytest
from test_animal_kingdom import write_text_form

from animal_clip_jax.errors import LONGEST_QUOTE
from data_pipeline.annotations.animal_kingdom import read_animal_kingdom
from data_pipeline.annotations.animal_pairs import parse_pairs
from data_pipeline.annotations.clips_csv import read_clips_csv
from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.annotations.label_files import numbered_lines, read_labels
from data_pipeline.annotations.record import AnnotationError
from data_pipeline.annotations.relation_file import read_relation
from data_pipeline.names import similar_names

HEADER = "video,animals,actions,split\n"
# Of every kind: ends of lines, of texts, of terminals' attention, of directions, and no characters.
CONTROL = [
    *("\r", "\0", "\x0b", "\x1b", "\x85", "\u2028", "\u202e", "\ufeff", "\uffff"),
    *("\xad", "\u061c", "\u200b", "\u200e", "\u2060", "\U000e0041", "\U0001ffff", "\ufdd0"),
]


@pytest.fixture
def source(tmp_path):
    for name in ("videos", "annotations"):
        (tmp_path / name).mkdir()
    return tmp_path


def refused(read, *arguments) -> str:
    with pytest.raises(AnnotationError) as caught:
        read(*arguments)
    # A message is for a person, however long the line.
    assert len(str(caught.value)) < 1000
    return str(caught.value)


def csv_of(folder, rows):
    path = folder / "clips.csv"
    path.write_text(HEADER + rows, newline="")
    return path


class TestClips:
    @pytest.mark.parametrize("character", CONTROL)
    @pytest.mark.parametrize("form", ["a.mp4,Fox,Ea{}t,train\n", 'a.mp4,"Fo{}x",Eat,train\n'])
    def test_control_characters(self, tmp_path, form, character):
        message = refused(read_clips_csv, csv_of(tmp_path, form.format(character)))
        assert f"clips.csv, line 2: the control character U+{ord(character):04X}" in message

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ('a.mp4,Fox,"Run\nning",train', "line 3: the action 'Run.nning' has a line break"),
            ('"a\n.mp4",Fox,Eat,train', "line 3: the video 'a.n.mp4' has a line break"),
            ("a.mp4,Fox,Eat\ting,train", "line 2: the action 'Eat.ting' has a control character"),
            ("a.mp4,\u200d,Eat,train", "line 2: the name of the animal is empty"),
            ("a.mp4,Fox;;Boar,Eat,train", "line 2: an empty name among the animals"),
            ("a.mp4,Fox,Eat;,train", "line 2: an empty name among the actions"),
            ('a.mp4,Fox",Eat,train', "line 2: a quote within 'Fox\"'"),
            ('a.mp4,F"o"x,Eat,train', "line 2: a quote within 'F\"o\"x'"),
            ('a.mp4,"Fox"x,Eat,train', "line 2: not a row of a CSV"),
            ('a.mp4,"Fox,Eat,train\nb.mp4,Fox,Eat,train', "line 2: not a row of a CSV"),
            ("a.mp4,Fox,Eat, fast,train", "line 2: found 5 cells, expected 4"),
            (".,Fox,Eat,train", "line 2: the video '.' is not a path inside"),
            ("./,Fox,Eat,train", "line 2: the video './' is not a path inside"),
            (f"a.mp4,Fox,{'R' * 200_000},train", "line 2: 200016 characters; 100000 are the most"),
            (f"a.mp4,Fox,{'R' * 40_000},train", "line 2: a cell has 40000 characters"),
            (f"a.mp4,Fox,{'R' * 1_001},train", r"line 2: the action 'R+\.\.\.R+' is 1001 char"),
        ],
    )
    def test_a_row_that_would_be_misread(self, tmp_path, row, message):
        path = csv_of(tmp_path, row.replace("\\n", "\n") + "\n")
        with pytest.raises(AnnotationError, match=message):
            read_clips_csv(path)

    @pytest.mark.parametrize("name", ["splits", "Spilt", "spl\u0456t", "set", "fold"])
    def test_a_split_by_another_name(self, tmp_path, name):
        path = tmp_path / "clips.csv"
        path.write_text(f"video,animals,actions,{name}\na.mp4,Fox,Eat,Test\nb.mp4,Fox,Eat,train\n")
        assert f"the column {name!r} is written 'split'" in refused(read_clips_csv, path)
        path.write_text("video,animals,actions,site,set\na.mp4,Fox,Eat,Dover,3\n")
        assert [clip.split for clip in read_clips_csv(path).clips] == ["train"]

    def test_names_may_have_joiners(self, tmp_path):
        name = "\u0645\u06cc\u200c\u062e\u0648\u0631\u062f"  # "eats" in Persian
        (clip,) = read_clips_csv(csv_of(tmp_path, f"a.mp4,Fox,{name},train\n")).clips
        assert clip.actions == (name,)

    def test_two_columns_of_one_name(self, tmp_path):
        (tmp_path / "clips.csv").write_text("video,animals,actions,actions\na.mp4,Fox,Eat,Run\n")
        assert "two columns 'actions'" in refused(read_clips_csv, tmp_path)

    def test_what_is_allowed_is_read_as_it_is(self, tmp_path):
        rows = 'a.mp4,"Fox, ""red""", Eat ,train\r\n"b, 1.mp4",Renard d\u2019\u00e9t\u00e9,Eat,\r\n'
        clips = read_clips_csv(csv_of(tmp_path, rows)).clips
        assert [(clip.path, clip.animals, clip.actions) for clip in clips] == [
            ("a.mp4", ('Fox, "red"',), ("Eat",)),
            ("b, 1.mp4", ("Renard d\u2019\u00e9t\u00e9",), ("Eat",)),
        ]

    def test_pipes(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        assert "pipe is not a file" in refused(read_clips_csv, tmp_path / "pipe")
        assert "pipe is not a file" in refused(read_labels, tmp_path / "pipe")
        assert "pipe is not a file" in refused(read_relation, tmp_path / "pipe", [], [])


class TestLabels:
    @pytest.mark.parametrize("character", CONTROL)
    def test_control_characters(self, tmp_path, character):
        for text in (f"id,name\n0,Ea{character}t\n", f"id,name\n0,Eat{character} \n"):
            (tmp_path / "label.csv").write_text(text, newline="")
            message = refused(read_labels, tmp_path / "label.csv")
            assert f"line 2: the control character U+{ord(character):04X}" in message
            with pytest.raises(AnnotationError, match="line 2: the control character"):
                list(numbered_lines(tmp_path / "label.csv"))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('id,name\n0,"Run\nning"\n1,Eat\n', "line 3: the label 'Run.+ning' has a line break"),
            ("id,name\n0,Eat, fast\n", "line 2: 3 cells, the header has 2"),
            ("id,name\n0,Eat\n1,R,\n", "line 3: 3 cells, the header has 2"),
            ('id,name\n0,E"a"t\n', "line 2: a quote within"),
            ("id,name\n0,\u200d\n", "line 2: the name of the label is empty"),
            ("id,name\n0,\u3164\n", "line 2: the name of the label is empty"),
            ("id,name\n0,\u0301\ufe0f\n", "line 2: the name of the label is empty"),
            ("id,group,name\n0,Food,Eat\n", "the columns are 'id,group,name'; expected id,name"),
            ("id,id,name\n0,1,Eat\n1,0,Run\n", "the columns are 'id,id,name'"),
            (
                f"id,name\n{'9' * 5000},Eat\n",
                "line 2: the id '9+...9+' is not a number of at most 9",
            ),
            ("id,name\n\u0660,Eat\n", "line 2: the id '.' is not a number"),
            ("0,Eat\n1,Run\n", "the first line is '0,Eat', no header"),
            ("", "holds no labels"),
        ],
    )
    def test_a_row_that_would_be_misread(self, tmp_path, text, message):
        (tmp_path / "label.csv").write_text(text)
        with pytest.raises(AnnotationError, match=message):
            read_labels(tmp_path / "label.csv")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Fox", "fox", "Boar"], [("Fox", "fox")]),
        (["Red fox", "Redfox", "red  fox", "Red wolf"], [("Red fox", "Redfox", "red  fox")]),
        (["Caf\u00e9", "Cafe\u0301"], [("Caf\u00e9", "Cafe\u0301")]),
        (["Fox\u200b", "Fox"], [("Fox\u200b", "Fox")]),
        (["Stra\u00dfe", "STRASSE"], [("Stra\u00dfe", "STRASSE")]),
        (["Fox", "F\u00f6x", "Wolf", "Boar"], []),
        (["Macaques", "Fox", "Foxes", "macaque"], [("Macaques", "macaque"), ("Fox", "Foxes")]),
        (["Wolves", "Pony", "Wolf", "Ponies"], [("Wolves", "Wolf"), ("Pony", "Ponies")]),
        (["stand-up", "Stand_up", "stand up", "-", "_"], [("stand-up", "Stand_up", "stand up")]),
        (["s", "es", "Gras", "Grass", "Gra"], [("Gras", "Grass", "Gra")]),
    ],
)
def test_names_that_a_reader_takes_for_one(names, expected):
    assert similar_names(names) == expected


class TestSplitsWithoutClips:
    @pytest.mark.parametrize("split", ["train", "test"])
    @pytest.mark.parametrize("text", ["", "\n", "  \n\r\n"])
    def test_lines(self, source, split, text):
        for name in ("label", "animal_label"):
            (source / "annotations" / f"{name}.csv").write_text("id,name\n0,A\n")
        for name in ("train", "test"):
            line = text if name == split else f"{name}.mp4 0 0\n"
            (source / "annotations" / f"{name}.txt").write_text(line)
        for dataset in ("lote_animal", "mammalnet"):
            message = refused(read_annotations, dataset, source)
            assert f"{split}.txt lists no clip of the split '{split}'" in message

    def test_animal_kingdom(self, source):
        write_text_form(source, "\n")
        assert "train.txt lists no clip of the split" in refused(read_animal_kingdom, source)

    def test_test_data_alone_may_be_asked_for(self, tmp_path):
        csv_of(tmp_path, "a.mp4,Fox,Eat,test\n")
        assert [clip.split for clip in read_clips_csv(tmp_path).clips] == ["test"]


class TestTime:
    """Twice the text takes twice the time, not four times."""

    @pytest.mark.parametrize(
        "form",
        [
            lambda n: "(" * n,
            lambda n: "('Boar', " * (n // 9),
            lambda n: "('Boar', '" + " " * n,
            lambda n: ", " * (n // 2),
            lambda n: "('B', 'E'" + " " * n + ",",
            lambda n: "('B" + " " * n + "x'",
            lambda n: "'" * n,
            lambda n: "\\" * n,
            lambda n: "('a', 'b'" * (n // 9),
        ],
    )
    def test_pairs(self, form):
        start = time.process_time()
        message = refused(parse_pairs, form(300_000), "train.txt, line 1")
        # The square of it would be hours.
        assert time.process_time() - start < 5
        assert len(message) < 4 * LONGEST_QUOTE + 200

    def test_a_line_of_a_relation(self, tmp_path):
        (tmp_path / "relation.txt").write_text("Fox" + " " * 90_000 + "x\t[0]\t1 x\n")
        start = time.process_time()
        refused(read_relation, tmp_path / "relation.txt", ["Eat"], ["Fox"])
        assert time.process_time() - start < 5

    def test_a_line_of_ten_megabytes(self, source):
        write_text_form(source, "A.mp4\t[" + "(" * 10_000_000 + "\n")
        assert "line 1: 10000007 characters" in refused(read_animal_kingdom, source)


class TestCharades:
    def test_cells_too_many(self, source):
        header = "original_vido_id video_id frame_id path labels\n"
        for name, row in (("train", "A 1 0 A/0 1.jpg 0\n"), ("val", "B 1 0 B/0.jpg 0\n")):
            (source / "annotations" / f"{name}.csv").write_text(header + row)
        (source / "annotations" / "label.csv").write_text("id,name\n0,Eat\n")
        message = refused(read_animal_kingdom, source)
        assert "train.csv, line 2: expected `original_vido_id" in message
