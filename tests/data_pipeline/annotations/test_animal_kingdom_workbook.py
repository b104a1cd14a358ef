"""The official workbook as it is: what is irregular in it, and what each of that becomes."""

from collections import Counter
from pathlib import Path

import openpyxl
import pytest

from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.annotations.read_options import ReadOptions
from data_pipeline.annotations.record import AnnotationError

EXCERPT = Path(__file__).parents[4] / "shared" / "annotations" / "AR_metadata_excerpt.xlsx"
ACTIONS = [(0, "Attending"), (1, "Eating"), (2, "Keeping still"), ("#N/A", "Yawning")]
TWO_LISTS = r"""['[("Bay\'S Duiker", \'Attending\')]', '[("Bay\'S Duiker", \'Keeping still\')]']"""
TWO_QUOTES = r"""['[(\'Fish\', \'Eating\'), ("Portugese Man O\'War", \'Keeping still\')]']"""
# Cells of the published workbook, with numbers of the actions above.
ROWS = [
    (1, "AAACXZTV", "train", "0,1", "[('Common Crane', 'Attending'), ('Common Crane', 'Eating')]"),
    (2, "AAUUFAMC", "train", "3,1", "[('Lion Young', 'ATTENDING'), ('Lion', 'Yawning')]"),
    (3, "ABKBWVMW", "train", 2, r"""['[("Russell\'S Viper", \'Keeping still\')]']"""),
    (4, "BCKMIHAQ", "train", "0,2", TWO_LISTS),
    (5, "BEGOPIKV", "test", "2,1", TWO_QUOTES),
    (6, "KDIANBXG", "train", "2,0,3", "[]"),
    (7, "AADBUVKA", "test", "0", "[('Common Quail', 'Attending')]"),
    (8, "AAFWRPDI", "train", "1", "[(Portugese Man O'War', 'Eating')]"),
]
ANIMALS = ["Common crane", "Lion", "Lion Young", "Russell's Viper", "Fish", "Common Quail Bird"]


def write_workbook(folder, rows=ROWS, actions=ACTIONS, animals=ANIMALS, drop=()):
    book = openpyxl.Workbook()
    book.remove(book.active)
    sheets = {
        "AR": (["S/N", "video_id", "type", "labels", "list_animal_action"], rows),
        "Action": (["Label", "Action", "Category"], [(*action, "x") for action in actions]),
        "Animal": (["Animal", "Class"], [*((name, "y") for name in animals), (None, None)]),
    }
    for name, (header, cells) in sheets.items():
        if name not in drop:
            sheet = book.create_sheet(name)
            for row in (header, *cells):
                sheet.append(row)
    book.save(folder / "AR_metadata.xlsx")
    return folder


def read(source, **options):
    options = ReadOptions(may_lack_videos=True, **options)
    return read_annotations("animal_kingdom", source, options=options)


def repairs(annotations):
    return [(one.part, one.row, one.kind) for one in annotations.repairs]


def test_every_row_is_read_and_each_repair_listed(tmp_path):
    annotations = read(write_workbook(tmp_path))
    clips = {clip.clip_id: clip for clip in annotations.clips}
    assert annotations.action_names == ("Attending", "Eating", "Keeping still", "Yawning")
    assert list(clips) == [row[1] for row in ROWS]
    # The actions are those that are numbered; who does what is in the pairs.
    assert clips["AAUUFAMC"].actions == ("Yawning", "Eating")
    assert clips["AAUUFAMC"].performed == (("Lion Young", "Attending"), ("Lion", "Yawning"))
    assert clips["ABKBWVMW"].performed == (("Russell's Viper", "Keeping still"),)
    assert clips["BCKMIHAQ"].performed == (
        ("Bay'S Duiker", "Attending"),
        ("Bay'S Duiker", "Keeping still"),
    )
    assert clips["BEGOPIKV"].animals == ("Fish", "Portugese Man O'War")
    assert clips["KDIANBXG"].actions == ("Keeping still", "Attending", "Yawning")
    assert (clips["KDIANBXG"].animals, clips["KDIANBXG"].performed) == ((), ())
    assert clips["AADBUVKA"].animals == ("Common Quail Bird",)
    assert repairs(annotations) == [
        ("Action", 5, "an error in place of a number"),
        ("AR", 3, "labels are not the actions of the pairs"),
        ("AR", 4, "a list within a list"),
        ("AR", 5, "a list within a list"),
        ("AR", 6, "a list within a list"),
        ("AR", 7, "no animals"),
        ("AR", 8, "a name that is known under another"),
        ("AR", 9, "a quote is missing"),
    ]
    by_row = {(one.part, one.row): one for one in annotations.repairs}
    assert all(one.file == "AR_metadata.xlsx" for one in annotations.repairs)
    assert by_row["Action", 5].found == "#N/A"
    assert by_row["Action", 5].taken_as == "3 Yawning"
    assert by_row["AR", 3].taken_as == "Yawning, Eating"
    assert by_row["AR", 4].found == ROWS[2][4]
    assert by_row["AR", 8].found == "Common Quail"
    assert by_row["AR", 8].taken_as == "Common Quail Bird"
    assert by_row["AR", 9].found == "(Portugese Man O'War', 'Eating')"
    assert by_row["AR", 9].taken_as == "Portugese Man O'War"
    # Not in the sheet Animal, and kept as they are.
    assert "2 animals are not in the sheet Animal: Bay'S Duiker, Portugese Man O'War" in (
        annotations.notes
    )


def test_actions_of_the_pairs(tmp_path):
    annotations = read(write_workbook(tmp_path), actions_from="pairs")
    clips = {clip.clip_id: clip for clip in annotations.clips}
    assert clips["AAUUFAMC"].actions == ("Attending", "Yawning")
    # As in the release's text form, which has no line for a clip without pairs.
    assert list(clips) == [row[1] for row in ROWS if row[4] != "[]"]
    left_out = [one.taken_as for one in annotations.repairs if one.kind == "no animals"]
    assert left_out == ["left out, as it has no pairs"]
    by_labels = read(tmp_path)
    assert [clip.performed for clip in by_labels.clips if clip.performed] == [
        clip.performed for clip in annotations.clips
    ]


@pytest.mark.parametrize("error", ["#N/A", "#REF!"])
@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([(0, "A"), ("{}", "B"), ("{}", "C")], "row 3: the label of 'B' is Excel's error {}"),
        ([(0, "A"), ("{}", "B"), (4, "C")], "row 3: the label of 'B' is .* any of 1, 2"),
        ([(0, "A"), (1, "{}")], "row 3: the action is Excel's error {}"),
        ([(0, "A"), (1, "B"), (3, "C")], "labels of 3 actions are not 0 to 2; 2 is missing"),
    ],
)
def test_numbers_that_cannot_be_told(tmp_path, actions, message, error):
    filled = [tuple(error if cell == "{}" else cell for cell in row) for row in actions]
    write_workbook(tmp_path, actions=filled)
    with pytest.raises(AnnotationError, match=f"sheet Action.*{message.format(error)}"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((1, "A", "train", "0", "none"), "row 2: expected pairs of an animal and an action"),
        ((1, "A", "train", "0", None), "row 2: expected pairs"),
        ((1, "A", "train", None, "[]"), "row 2: neither the labels nor list_animal_action name"),
        ((1, "A", "train", "0;1", "[('Fish', 'Eating')]"), "row 2: the action id '0;1' "),
        ((1, "A", "train", 2.4, "[('Fish', 'Eating')]"), "row 2: the action id '2.4' is"),
        ((1, "A", "train", "#REF!", "[('Fish', 'Eating')]"), "row 2: the labels is Excel's er"),
        ((1, "A", "val", "0", "[('Fish', 'Eating')]"), "row 2: the type is 'val'"),
        ((1, "../A", "train", "0", "[('Fish', 'Eating')]"), "row 2: the video '../A.mp4' is not"),
        ((1, "aafwrpdi", "train", "0", "[('Fish', 'Eating')]"), "differs in case alone from"),
    ],
)
def test_a_cell_that_no_rule_covers(tmp_path, row, message):
    write_workbook(tmp_path, rows=[row, *ROWS])
    with pytest.raises(AnnotationError, match=rf"AR_metadata.xlsx, sheet AR, .*{message}"):
        read(tmp_path)


@pytest.mark.parametrize("sheet", ["AR", "Action", "Animal"])
def test_a_workbook_of_another_version(tmp_path, sheet):
    write_workbook(tmp_path, drop=[sheet])
    with pytest.raises(AnnotationError, match=f"has no sheet '{sheet}'; it has A"):
        read(tmp_path)


def test_rows_without_labels_have_those_of_their_pairs(tmp_path):
    row = (1, "A", "train", None, "[('Fish', 'Eating')]")
    annotations = read(write_workbook(tmp_path, rows=[row, *ROWS]))
    assert annotations.clips[0].actions == ("Eating",)
    assert ("AR", 2, "no labels") in repairs(annotations)


@pytest.mark.skipif(not EXCERPT.is_file(), reason="the excerpt of the workbook is not here")
def test_the_published_rows(tmp_path):
    (tmp_path / "AR_metadata.xlsx").symlink_to(EXCERPT)
    annotations = read(tmp_path)
    book = openpyxl.load_workbook(EXCERPT, read_only=True)
    rows = [row for row in book["AR"].iter_rows(min_row=2, values_only=True) if row[1]]
    clips = {clip.clip_id: clip for clip in annotations.clips}
    assert list(clips) == [row[1] for row in rows]
    assert len(annotations.action_names) == 140
    numbered = {row[0]: row[2] for row in book["Action"].iter_rows(min_row=2, values_only=True)}
    assert annotations.action_names[139] == numbered.pop("#N/A") == "Yawning"
    for _, name, split, labels, cell in rows:
        names = [numbered.get(int(number), "Yawning") for number in str(labels).split(",")]
        assert (clips[name].split, list(clips[name].actions)) == (split, names)
        # Each pair begins with a parenthesis, and no name in these rows holds one.
        pairs = {pair.replace('"', "'") for pair in cell.replace("\\'", "'").split("(")[1:]}
        assert len(clips[name].performed) == len({pair[: pair.index(")")] for pair in pairs})
    nested = [row[1] for row in rows if row[4].startswith("['[")]
    kinds = Counter(one.kind for one in annotations.repairs)
    assert kinds["a list within a list"] == len(nested) == 14
    assert kinds["an error in place of a number"] == 1
    assert [clip.clip_id for clip in annotations.clips if not clip.animals] == ["KDIANBXG"]
    assert clips["KDIANBXG"].actions == ("Keeping still", "Flying", "Walking")
    assert clips["AAUUFAMC"].actions == ("Yawning", "Lying on its side")
    assert ("Lion Young", "Lying down") in clips["AAUUFAMC"].performed
    assert "Common Quail" in annotations.animal_names
