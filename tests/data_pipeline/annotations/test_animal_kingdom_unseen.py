"""Animal Kingdom's protocol for unseen animals, a data set of its own."""

import shutil
from collections import Counter
from pathlib import Path

import openpyxl
import pytest

from data_pipeline.annotations.animal_kingdom_unseen import group_names
from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.annotations.read_options import ReadOptions
from data_pipeline.annotations.record import AnnotationError

EXCERPT = Path(__file__).parents[4] / "shared" / "annotations" / "AR_metadata_excerpt.xlsx"
HEADER = [
    "S/N",
    "train_test",
    " animal_class",
    "animal_sub_class",
    "animal",
    "video_id",
    "action",
]
EIDER = "\u0421ommon Eider"  # its first letter is Cyrillic
SNAKES, LIZARDS = "Snake_Cobra_Viper_Python", "Lizard_Gecko_Draco_Iguana_Chamelon"
ROWS = [
    ("train_snake_cobra_viper_python", SNAKES, 'S Viper"]', "AAAA", 2),
    ("test", "Horse", "Horse", "BBBB", 7),
    ("test", LIZARDS, "Iguana", "CCCC", 3),
    ("test", "Water Bird_Duck_Swan_Goose", EIDER, "DDDD", 5),
    ("val", "Bird", "Hoopoe", "EEEE", 0),
    ("baseline", "Bird", "Great Tit", "FFFF", 1),
    ("baseline", SNAKES, 'S Viper"]', "AAAA", 2),
    ("train_bird", "Bird", "Great Tit", "FFFF", 1),
    ("train_fish", "Fish", "Trout", "GGGG", 5),
    ("baseline", "Fish", "Trout", "GGGG", 5),
    ("train_frog_toad", "Frog_Toad", "Frog", "HHHH", 6),
    ("baseline", "Frog_Toad", "Frog", "HHHH", 6),
]
FIRST = ("AAAA", "BBBB", "CCCC", "DDDD", "EEEE")


@pytest.fixture
def source(tmp_path):
    (tmp_path / "videos").mkdir()
    return tmp_path


def write(source, rows, header=HEADER, name="AR_metadata.xlsx"):
    """A workbook with that sheet alone, its classes with a space before them as published."""
    book = openpyxl.Workbook()
    book.active.title = "CARe"
    book.active.append(header)
    for number, (part, sub_class, *rest) in enumerate(rows, start=1):
        book.active.append([number, part, " Some class", sub_class, *rest])
    book.active.append([None] * len(header))
    book.save(source / name)
    return source / name


def read(source, *, action_labels=None, **options):
    return read_annotations(
        "animal_kingdom_unseen",
        source,
        options=ReadOptions(**options),
        action_labels=action_labels,
    )


def test_training_is_the_baseline_and_the_groups_are_kept(source):
    write(source, ROWS)
    annotations = read(source)
    found = {
        clip.clip_id: (clip.path, clip.split, clip.actions, clip.animals, clip.group)
        for clip in annotations.clips
    }
    assert found == {
        "BBBB": ("BBBB.mp4", "test", ("Sensing",), ("Horse",), "horse"),
        "CCCC": ("CCCC.mp4", "test", ("Jumping",), ("Iguana",), "lizard"),
        "DDDD": ("DDDD.mp4", "test", ("Swimming",), (EIDER,), "water bird"),
        "EEEE": ("EEEE.mp4", "val", ("Attending",), ("Hoopoe",), "bird"),
        "FFFF": ("FFFF.mp4", "train", ("Eating",), ("Great Tit",), "bird"),
        "AAAA": ("AAAA.mp4", "train", ("Keeping still",), ('S Viper"]',), "snake"),
        "GGGG": ("GGGG.mp4", "train", ("Swimming",), ("Trout",), "fish"),
        "HHHH": ("HHHH.mp4", "train", ("Moving",), ("Frog",), "frog"),
    }
    assert len(annotations.action_names) == 8 and not annotations.multi_label
    assert annotations.action_names[4] == "Walking"


def test_broken_names_are_listed_and_so_is_what_the_numbers_are_taken_for(source):
    write(source, ROWS)
    notes = "\n".join(read(source).notes)
    assert "S Viper" in notes and "] U+005D; 1 clip" in notes and "U+0421" in notes
    assert "Horse" not in notes
    assert "0 to 7 are taken for Attending, Eating" in notes


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("bird", {"FFFF"}),
        ("snake", {"AAAA"}),
        ("fish", {"GGGG"}),
        ("FI", {"GGGG"}),
        ("Frog toad", {"HHHH"}),
    ],
)
def test_training_on_one_group(source, group, expected):
    write(source, ROWS)
    clips = read(source, train_group=group).clips
    assert {clip.clip_id for clip in clips if clip.split == "train"} == expected
    assert Counter(clip.split for clip in clips) == {"train": 1, "val": 1, "test": 3}


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ("horse", "no group 'horse'; .* snake_cobra_viper_python, bird, fish, frog_toad$"),
        ("f", "'f' is the beginning of fish, frog_toad; give more"),
        (" ", "no group ' '"),
    ],
)
def test_a_group_that_is_none(source, group, message):
    write(source, ROWS)
    with pytest.raises(AnnotationError, match=f"^--train_group: .*{message}"):
        read(source, train_group=group)


def test_another_group_may_be_the_whole_beginning_of_one(source):
    write(source, [*ROWS, ("train_frog", "Frog", "Frog", "IIII", 1)])
    clips = read(source, train_group="frog").clips
    assert [clip.clip_id for clip in clips if clip.split == "train"] == ["IIII"]


def test_a_label_file_names_the_numbers(source):
    workbook = write(source, ROWS, name="another.xlsx")
    names = ["Looks", "Eats", "Rests", "Leaps", "Walks", "Swims", "Crawls", "Sniffs"]
    labels = source / "names.csv"
    labels.write_text("id,name\n" + "".join(f"{k},{name}\n" for k, name in enumerate(names)))
    annotations = read(source, annotations=workbook, action_labels=labels)
    assert annotations.action_names == tuple(names)
    assert {clip.clip_id: clip.actions for clip in annotations.clips}["CCCC"] == ("Leaps",)
    assert "taken for" not in "\n".join(annotations.notes)
    labels.write_text(labels.read_text() + "8,Flies\n")
    with pytest.raises(AnnotationError, match="names.csv has 9 names; the sheet CARe numbers 8"):
        read(source, annotations=workbook, action_labels=labels)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("test", "Fish", "Trout", "GGGG", 5), "split of the clip 'GGGG' is 'test' .*'train'.*10"),
        (("val", "Horse", "Horse", "BBBB", 7), "split of the clip 'BBBB' is 'val' .*'test'.* 3$"),
        (("train_x", "Fish", "Trout", "GGGG", 6), "action of the clip 'GGGG' is '6' .*'5' in row"),
        (("train_x", "Fish", "Tench", "GGGG", 5), "animal of the clip 'GGGG' is 'Tench' .*'Trout'"),
        (("baseline", "Fish", "Trout", "GGGG", 5), "clip 'GGGG' is in 'baseline' already, in row"),
        (("holdout", "Fish", "Trout", "ZZZZ", 5), "train_test 'holdout' is not baseline, train_"),
        (("test", "Fish", "Trout", "ZZZZ", 8), "the action id 8 is unknown; there are 8"),
        (("test", "Fish", "Trout", "ZZZZ", "x"), "the action id 'x' is not a number"),
        (("test", "Fish", "Trout", "ZZZZ", None), "the action is empty"),
        (("test", "Fish", "Trout", "../ZZ", 5), "'../ZZ.mp4' is not a path inside"),
        (("test", "Fish", "Trout", "bbbb", 5), "'bbbb' differs in case alone from 'BBBB'"),
    ],
)
def test_a_wrong_row_is_named_with_the_row_that_it_contradicts(source, row, message):
    write(source, [*ROWS, row])
    with pytest.raises(AnnotationError, match=f"sheet CARe, row 14: .*{message}"):
        read(source)


def test_a_part_that_is_missing_is_named(source):
    write(source, [row for row in ROWS if row[0] != "val"])
    with pytest.raises(AnnotationError, match="sheet CARe, lists no clip of the split 'val'"):
        read(source)
    write(source, [row for row in ROWS if row[0] != "baseline"])
    with pytest.raises(AnnotationError, match="sheet CARe: no row has the train_test 'baseline'"):
        read(source)
    write(source, ROWS, [*HEADER[:-1], "label"])
    with pytest.raises(AnnotationError, match="sheet CARe: no column 'action'; there are s/n"):
        read(source)


def test_names_of_groups_that_would_be_one_are_whole():
    whole = ["Bird_Owl", "Bird_Duck", "Horse", "Spider / Tarantula"]
    assert group_names(whole) == {
        "Bird_Owl": "bird_owl",
        "Bird_Duck": "bird_duck",
        "Horse": "horse",
        "Spider / Tarantula": "spider",
    }


@pytest.mark.skipif(not EXCERPT.is_file(), reason="the excerpt of the workbook is not here")
def test_published_rows(source):
    shutil.copy(EXCERPT, source / "AR_metadata.xlsx")
    sheet = openpyxl.load_workbook(EXCERPT, read_only=True)["CARe"]
    published = list(sheet.iter_rows(min_row=2, values_only=True))
    of_part = Counter(row[1] for row in published)
    clips = read(source).clips
    expected = {"train": of_part["baseline"], "val": of_part["val"], "test": of_part["test"]}
    assert Counter(clip.split for clip in clips) == expected
    assert {clip.group for clip in clips if clip.split == "test"} == {
        "lizard",
        "spider",
        "horse",
        "water bird",
    }
    for group in ("bird", "snake", "frog", "fish"):
        trained = [clip for clip in read(source, train_group=group).clips if clip.split == "train"]
        (part,) = (part for part in of_part if part.startswith(f"train_{group}"))
        rows = {(row[5], row[4].strip()) for row in published if row[1] == part}
        assert {(clip.clip_id, *clip.animals) for clip in trained} == rows
        assert {clip.group for clip in trained} == {group}
