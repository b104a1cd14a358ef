"""Classes of animals, from Animal Kingdom's workbook to the file that the relation graph reads."""

import openpyxl
import pytest

from animal_clip_jax.classes.relation_graph import read_taxonomy
from data_pipeline.annotations import animal_kingdom_taxonomy as taxonomy
from data_pipeline.annotations.record import AnnotationError
from data_pipeline.dataset import load_info

ROWS = [("Zebra ", "Mammal"), ("Russell's Viper", "Reptile"), (None, None), ("Crane", "Bird")]


def write_workbook(path, rows):
    book = openpyxl.Workbook()
    sheet = book.create_sheet("Animal")
    for row in [("Animal", "Parent Class"), *rows]:
        sheet.append(row)
    book.save(path)
    return path


def test_the_relation_graph_reads_what_is_written(tmp_path):
    workbook = write_workbook(tmp_path / "book.xlsx", ROWS)
    labels = ["crane", "Russell's Viper", "Zebra"]
    taxonomy.write_taxonomy(workbook, "parent class", labels, tmp_path / "taxonomy.csv")
    assert read_taxonomy(tmp_path / "taxonomy.csv", labels) == ["Bird", "Reptile", "Mammal"]


def test_animals_that_the_workbook_lacks_are_listed_and_have_no_class(tmp_path):
    rows = [*ROWS, ("Fox", None), ("Common quail bird", "Bird"), ("Cuckoo Bird", "Bird")]
    workbook = write_workbook(tmp_path / "book.xlsx", rows)
    labels = ["Dodo", "Crane", "Fox", "Common Quail", "Cuckoo Bird"]
    missing = taxonomy.write_taxonomy(workbook, "Parent Class", labels, tmp_path / "t.csv")
    assert missing == ("Dodo", "Fox")
    assert read_taxonomy(tmp_path / "t.csv", labels) == ["", "Bird", "", "Bird", "Bird"]


def test_the_published_columns(tmp_path):
    """959 names and 1000 empty rows; three columns that may be the classes."""
    book = openpyxl.Workbook()
    sheet = book.create_sheet("Animal")
    sheet.append(["Animal", "Parent Class", "Class", "Sub-Class", "Young", "Generic name"])
    names = [f"Animal {number}" for number in range(959)]
    for name in names:
        sheet.append([name, "Bird", "Bird / Penguin", "Penguin", None, None])
    for _ in range(1000):
        sheet.append([""] * 6)
    book.save(tmp_path / "book.xlsx")
    for column, expected in (("Class", "Bird / Penguin"), ("sub-class", "Penguin")):
        output = tmp_path / "t.csv"
        missing = taxonomy.write_taxonomy(tmp_path / "book.xlsx", column, [*names, "X"], output)
        assert missing == ("X",)
        assert read_taxonomy(output, [*names, "X"]) == [*[expected] * 959, ""]


@pytest.mark.parametrize(
    ("rows", "column", "labels", "message"),
    [
        (ROWS, "Order", ["Crane"], "sheet Animal: no column 'order'; there are .*parent class"),
        (ROWS, "Parent Class", ["Fox", "Cat"], "none of the 2 animals .*, 'Fox' for instance"),
        (ROWS, "Parent Class", [], "none of the 0 animals"),
        ([*ROWS, ("Crane", "Fish")], "Parent Class", ["Crane"], "row 6: .*'Fish' here, 'Bird' bef"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, rows, column, labels, message):
    workbook = write_workbook(tmp_path / "book.xlsx", rows)
    with pytest.raises(AnnotationError, match=message):
        taxonomy.write_taxonomy(workbook, column, labels, tmp_path / "taxonomy.csv")
    assert not (tmp_path / "taxonomy.csv").exists()


@pytest.mark.parametrize("name", ["book.xlsx", "book.txt"])
def test_a_file_that_is_no_workbook(tmp_path, name):
    (tmp_path / name).write_text("Animal,Parent Class")
    with pytest.raises(AnnotationError, match=f"{name} is not a workbook"):
        taxonomy.write_taxonomy(tmp_path / name, "Order", ["Fox"], tmp_path / "taxonomy.csv")


def test_a_workbook_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="the file .*book.xlsx does not exist"):
        taxonomy.write_taxonomy(tmp_path / "book.xlsx", "Order", ["Fox"], tmp_path / "t.csv")


def test_the_command(tmp_path, data, capsys):
    names = load_info(data).animal_names
    rows = [(name, "Mammal") for name in names if name != "Zebra"]
    workbook = write_workbook(tmp_path / "book.xlsx", rows)
    output = tmp_path / "taxonomy.csv"
    flags = [f"--workbook={workbook}", f"--dataset={data}", f"--output={output}"]
    assert taxonomy.main([*flags, "--column=Parent Class"]) == 0
    classes = read_taxonomy(output, names)
    assert classes == ["" if name == "Zebra" else "Mammal" for name in names]
    printed = capsys.readouterr().out
    assert f"{len(names) - 1} of {len(names)} animals" in printed and "nothing: Zebra" in printed
    assert taxonomy.main([*flags, "--column=Order"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
