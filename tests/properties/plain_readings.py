"""The simple readings of texts that those of the program have to agree with."""

import csv
import io
from pathlib import Path

ACTIONS, ANIMALS = ["Keeping still", "Moving"], ["Fish", "Russell's Viper"]


def rows_of(path: Path, delimiter: str = ",") -> list[list[str]]:
    text = path.read_bytes().decode("utf-8-sig")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    return [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]


def lines_of(path: Path) -> list[str]:
    text = path.read_bytes().decode("utf-8-sig")
    return [line.strip() for line in text.split("\n") if line.strip()]


def labels_of(path: Path) -> list[str]:
    names = {int(row[0]): row[1] for row in rows_of(path)[1:]}
    return [names[number] for number in range(len(names))]
