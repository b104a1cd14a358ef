"""Names of the classes, and what is known of them: descriptions, relations, a taxonomy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from damage import Format, is_same
from plain_readings import ACTIONS, ANIMALS, labels_of, lines_of, rows_of

from animal_clip_jax.classes.descriptions import read_descriptions
from animal_clip_jax.classes.labels import read_names
from animal_clip_jax.classes.relation_graph import read_relations, read_taxonomy


def _text(name: str, content: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(content) and None


def _as_descriptions_say(folder: Path, content: Any) -> bool:
    _, *rows = rows_of(folder / "a.csv")
    return content == [[row[1] for row in rows if row[0] == name] for name in ACTIONS]


def _as_relations_say(folder: Path, content: Any) -> bool:
    pairs = {tuple(row[:2]) for row in rows_of(folder / "a.csv")[1:]}
    own = [[float((animal, action) in pairs) for animal in ANIMALS] for action in ACTIONS]
    return is_same(content, np.array(own, np.float32))


def _as_ids_say(folder: Path, content: Any) -> bool:
    own = np.zeros((len(ACTIONS), len(ANIMALS)), np.float32)
    folded = [name.casefold() for name in ANIMALS]
    for line in lines_of(folder / "a.txt"):
        animal, ids, _ = (cell.strip() for cell in line.split("\t"))
        actions = [int(number) for number in ids.strip("[]").replace(",", " ").split()]
        own[actions, folded.index(animal.casefold())] = 1
    return is_same(content, own)


def _as_taxonomy_says(folder: Path, content: Any) -> bool:
    classes = {name.casefold(): of_animal for name, of_animal in rows_of(folder / "a.csv")[1:]}
    return content == [classes[name.casefold()] for name in ANIMALS]


FORMATS = (
    Format(
        "names, one a line",
        _text("a.txt", "\n".join(ACTIONS)),
        lambda folder: read_names(folder / "a.txt"),
        as_written=lambda folder, found: found == lines_of(folder / "a.txt"),
    ),
    Format(
        "names by id",
        _text("a.csv", "id,name\n1,Moving\n0,Keeping still\n"),
        lambda folder: read_names(folder / "a.csv"),
        as_written=lambda folder, found: found == labels_of(folder / "a.csv"),
    ),
    Format(
        "descriptions",
        _text("a.csv", 'action,text\nMoving,It moves.\nKeeping still,"Still, and quiet."\n'),
        lambda folder: read_descriptions(folder / "a.csv", ACTIONS),
        as_written=_as_descriptions_say,
    ),
    Format(
        "relations by name",
        _text("a.csv", "animal,action\nFish,Moving\nRussell's Viper,Keeping still\n"),
        lambda folder: read_relations(folder / "a.csv", ACTIONS, ANIMALS),
        as_written=_as_relations_say,
    ),
    Format(
        "relations by id",
        _text("a.txt", "Fish\t[0, 1]\t2\nRussell's Viper\t[0]\t1\n"),
        lambda folder: read_relations(folder / "a.txt", ACTIONS, ANIMALS),
        as_written=_as_ids_say,
    ),
    Format(
        "taxonomy",
        _text("a.csv", "animal,class\nFish,Fish\nRussell's Viper,Reptile\n"),
        lambda folder: read_taxonomy(folder / "a.csv", ANIMALS),
        as_written=_as_taxonomy_says,
    ),
)
