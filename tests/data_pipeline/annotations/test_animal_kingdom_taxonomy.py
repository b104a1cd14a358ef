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


@pytest.mark.parametrize(
    ("rows", "column", "labels", "message"),
    [
        (ROWS, "Order", ["Crane"], "sheet Animal: no column 'order'; there are .*parent class"),
        (ROWS, "Parent Class", ["Crane", "Fox"], "1 of the 2 animals .* not there: 'Fox'"),
        ([*ROWS, ("Fox", "")], "Parent Class", ["Fox"], "row 6: the animal 'Fox' has no parent"),
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
    workbook = write_workbook(tmp_path / "book.xlsx", [(name, "Mammal") for name in names])
    output = tmp_path / "taxonomy.csv"
    flags = [f"--workbook={workbook}", f"--dataset={data}", f"--output={output}"]
    assert taxonomy.main([*flags, "--column=Parent Class"]) == 0
    assert read_taxonomy(output, names) == ["Mammal"] * len(names)
    assert taxonomy.main([*flags, "--column=Order"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
