"""Workbooks that are damaged, that lie about themselves, or that are made to do damage."""

import io
import re
import zipfile

import openpyxl
import pytest
from test_animal_kingdom import write_workbook

from data_pipeline.annotations.animal_kingdom import read_animal_kingdom
from data_pipeline.annotations.record import AnnotationError
from data_pipeline.limits import MOST_WORKBOOK_BYTES

CLIPS = [
    (name, split, "3", "[('Fish', 'Moving')]", None)
    for name, split in (("A", "train"), ("B", "train"), ("C", "test"))
]
SHEET = "xl/worksheets/sheet2.xml"  # AR; the first is the empty one that openpyxl begins with


@pytest.fixture
def source(tmp_path):
    (tmp_path / "videos").mkdir()
    write_workbook(tmp_path, CLIPS)
    return tmp_path


def change(source, part, edit):
    """Writes the workbook anew with one of its parts changed."""
    path = source / "AR_metadata.xlsx"
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    if isinstance(edit, bytes):
        parts[part] = edit
    else:
        before = parts[part]
        parts[part] = edit(before)
        assert parts[part] != before
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def ids(source):
    return [clip.clip_id for clip in read_animal_kingdom(source).clips]


def refused(source) -> str:
    with pytest.raises(AnnotationError) as caught:
        read_animal_kingdom(source)
    message = str(caught.value)
    assert "AR_metadata.xlsx" in message
    assert len(message) < 1000
    return message


@pytest.mark.parametrize("stated", [b"A1:D3", b"A1:B4", b"A1", b"A1:XFD1048576"])
def test_a_stated_dimension_is_not_believed(source, stated):
    pattern = rb'(<dimension ref=")[^"]*'
    change(source, SHEET, lambda xml: re.sub(pattern, rb"\g<1>" + stated, xml))
    assert ids(source) == ["A", "B", "C"]


def test_a_part_that_is_there_twice(source):
    path = source / "AR_metadata.xlsx"
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(SHEET, archive.read(SHEET))
    assert f"has the part '{SHEET}' more than once" in refused(source)


def test_no_zip(source):
    path = source / "AR_metadata.xlsx"
    for content in (b"", b"PK", b"<html>no such file</html>", b"\xd0\xcf\x11\xe0" * 99):
        path.write_bytes(content)
        assert "is not a workbook of Excel's, or damaged" in refused(source)


def test_cut_anywhere(source):
    path = source / "AR_metadata.xlsx"
    content = path.read_bytes()
    for share in range(1, 20):
        path.write_bytes(content[: len(content) * share // 20])
        assert "is not a workbook of Excel's, or damaged" in refused(source)


def test_any_bit_flipped_is_noticed_or_harmless(source):
    path = source / "AR_metadata.xlsx"
    content = path.read_bytes()
    expected = read_animal_kingdom(source)
    outcomes = {"refused": 0, "same": 0}
    for k in range(97, len(content), len(content) // 60):
        changed = bytearray(content)
        changed[k] ^= 1 << k % 8
        path.write_bytes(changed)
        try:
            found = read_animal_kingdom(source)
        except AnnotationError:
            outcomes["refused"] += 1
        else:
            assert found == expected
            outcomes["same"] += 1
    assert outcomes["refused"] > 20


@pytest.mark.parametrize(
    ("part", "edit", "message"),
    [
        (SHEET, b"", "sheet2.xml' is damaged .no element found"),
        (SHEET, b"<worksheet><sheetData>", "sheet2.xml' is damaged"),
        ("xl/workbook.xml", b"<workbook/>", "AR_metadata.xlsx has no sheet 'Action'"),
        (
            SHEET,
            lambda xml: re.sub(rb't="inlineStr"><is>.*?</is>', b't="s"><v>99</v>', xml, count=1),
            "sheet AR, row 1 is not a workbook",
        ),
        ("[Content_Types].xml", b"<Types/>", "AR_metadata.xlsx is not a workbook"),
        (SHEET, b"<worksheet/>", "sheet AR: no column 'video_id'"),
    ],
)
def test_damaged_parts(source, part, edit, message):
    change(source, part, edit)
    assert re.search(message, refused(source))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_before_they_are_expanded(source, encoding):
    declared = '<!ENTITY a "ha">' + "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">'
        for before, name in zip("abcdefghi", "bcdefghij", strict=True)
    )
    bomb = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE s [{declared}]><s>&j;</s>'
    change(source, "xl/sharedStrings.xml", bomb.encode(encoding))
    assert "declares a document type" in refused(source)


def test_more_than_fits_is_not_unpacked(source):
    path = source / "AR_metadata.xlsx"
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/more.xml", "w") as part,
    ):
        for _ in range(MOST_WORKBOOK_BYTES >> 20):
            part.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    assert "unpacks to" in refused(source)


def row(number, *cells):
    return f'<row r="{number}">{"".join(cells)}</row>'.encode()


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (row(3), "the row '3' comes after row 4"),
        (row(4), "the row '4' comes after row 4"),
        (row(0), "the row '0' comes after row 4"),
        (row("x"), "the row 'x' comes after row 4"),
        (row(999_999_999_999), "the row '999999999999' comes after"),
        (row(1_048_577), "the row '1048577' comes after"),
        (row(5, '<c r="A4"/>'), "the cell 'A4' is out of order in row 5"),
        (row(5, '<c r="B5"/>', '<c r="A5"/>'), "the cell 'A5' is out of order in row 5"),
        (row(5, '<c r="A5"/>', '<c r="A5"/>'), "the cell 'A5' is out of order in row 5"),
    ],
)
def test_rows_and_cells_that_would_be_lost(source, added, message):
    change(source, SHEET, lambda xml: xml.replace(b"</sheetData>", added + b"</sheetData>"))
    assert message in refused(source)


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (
            ("A", "train", "3", "[('Fi\nsh', 'Moving')]", None),
            "row 2: the animal 'Fi.nsh' has a li",
        ),
        (("A\x7f", "train", "3", "[('Fish', 'Moving')]", None), "row 2: the video 'A.x7f.mp4' has"),
        ((None, "train", "3", "[('Fish', 'Moving')]", None), "row 2: the video_id is empty"),
        (
            ("A", "train", "9" * 5000, "[('Fish', 'Moving')]", None),
            "row 2: the action id '9+\\.\\.\\.9+'",
        ),
        (
            ("A", "test", "3", "[('Fish', 'Moving')]", None),
            "AR, lists no clip of the split 'train'",
        ),
        (("A", "train", "3", "(" * 32_000, None), "row 2: expected pairs"),
    ],
)
def test_cells_that_would_be_misread(tmp_path, clip, message):
    (tmp_path / "videos").mkdir()
    write_workbook(tmp_path, [clip])
    assert re.search(message, refused(tmp_path))


@pytest.mark.parametrize(
    ("sheet", "header", "rows", "message"),
    [
        ("Action", ("Label", "Action"), [(0, "Run\nning")], "row 2: the action 'Run.nning' has"),
        ("Action", ("Label", "Action"), [(0, " ")], "row 2: the name of the action is empty"),
        ("Action", ("Label", "Action"), [(0, "A"), (1, "A")], "row 3: 1, 'A' is no new number"),
        ("Action", ("Label", "Action"), [(None, "A")], "row 2: the label '' is not a number"),
        ("Action", ("Label", "Label"), [(0, 1)], "more than one column 'label'"),
        ("Animal", ("Animal",), [("Fi\nsh",)], "row 2: the animal 'Fi.nsh' has a line break"),
        ("Animal", ("Animal",), [("Fi_x000D_sh",)], "row 2: the animal 'Fi.rsh' has a line break"),
        ("Action", ("Label", "Action"), [(0, "#N/A")], "row 2: the action is Excel's error #N/A"),
    ],
)
def test_labels_that_would_be_misread(source, sheet, header, rows, message):
    path = source / "AR_metadata.xlsx"
    book = openpyxl.load_workbook(io.BytesIO(path.read_bytes()))
    book.remove(book[sheet])
    book.create_sheet(sheet)
    for cells in (header, *rows):
        book[sheet].append(cells)
    book.save(path)
    assert re.search(message, refused(source))
