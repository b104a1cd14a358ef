"""Animal Kingdom's official long-tail split, from a workbook like its own."""

import openpyxl
import pytest

from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.annotations.long_tail_sheet import read_action_segments
from data_pipeline.annotations.record import AnnotationError

ACTIONS = ("Attending", "Keeping still", "Swimming In Circles", "Yawning")
HEADER = ["S/N", "action_category", "action", "index", "segment", "count"]
ROWS = [
    ("Resting", "Yawning", 139, "tail", 12),
    ("Sensing", "Attending", 2, "head", 9000),
    ("Movement", "Swimming in circles", 124, "middle ", 100),
    ("Resting", "Keeping still", 68, "Head", 8000),
]


def write(folder, rows, header=HEADER, sheet="AR_count"):
    book = openpyxl.Workbook()
    book.active.title = sheet
    book.active.append(header)
    for number, row in enumerate(rows, start=1):
        book.active.append([number, *row])
    book.active.append([None] * len(header))
    book.save(folder / "df_action.xlsx")
    return folder / "df_action.xlsx"


def test_segments_are_in_label_order_whatever_the_case_of_the_names(tmp_path):
    found = read_action_segments(write(tmp_path, ROWS), ACTIONS)
    assert found == ("head", "head", "middle", "tail")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*ROWS, ("x", "Flying", 3, "tail", 1)], "row 6: the action 'Flying' is not among the 4"),
        ([*ROWS, ("x", None, 3, "tail", 1)], "row 6: the action '' is not among the 4"),
        (
            [("x", "Yawning", 1, "rare", 1)],
            "row 2: the segment of 'Yawning' is 'rare'; expected one of head, middle, tail",
        ),
        ([*ROWS, ("x", "yawning", 3, "head", 1)], "row 6: .*'yawning' is head here, tail in .*2"),
        (ROWS[1:], "1 of the 4 actions are not there: 'Yawning'; without this file"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, rows, message):
    with pytest.raises(AnnotationError, match=f"df_action.xlsx, sheet AR_count.*{message}"):
        read_action_segments(write(tmp_path, rows), ACTIONS)


def test_a_workbook_of_another_version(tmp_path):
    workbook = write(tmp_path, ROWS, sheet="Count")
    with pytest.raises(AnnotationError, match="has no sheet 'AR_count'; it has Count"):
        read_action_segments(workbook, ACTIONS)
    workbook = write(tmp_path, ROWS, header=[*HEADER[:4], "part", "count"])
    with pytest.raises(AnnotationError, match="sheet AR_count: no column 'segment'; there are"):
        read_action_segments(workbook, ACTIONS)


def test_animal_kingdom_has_them_where_the_file_is(tmp_path):
    (tmp_path / "videos").mkdir()
    labels = "".join(f"{number},{name}\n" for number, name in enumerate(ACTIONS))
    (tmp_path / "label.csv").write_text("id,name\n" + labels)
    for split in ("train", "test"):
        (tmp_path / f"{split}.txt").write_text(f"{split}.mp4\t[('Fish', 'Yawning')]\n")
    without = read_annotations("animal_kingdom", tmp_path)
    assert (without.action_segments, without.segments_source) == ((), "")
    write(tmp_path, ROWS)
    annotations = read_annotations("animal_kingdom", tmp_path)
    assert annotations.action_segments == ("head", "head", "middle", "tail")
    assert annotations.segments_source == "df_action.xlsx"
