"""Relation files: which actions each animal performs, as distributed with the annotations."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from animal_clip_jax.errors import quoted
from data_pipeline.annotations.label_files import Spelling, numbered_lines, read_number
from data_pipeline.annotations.record import AnnotationError


def read_relation(
    path: Path, action_names: Sequence[str], animal_names: Sequence[str]
) -> np.ndarray:
    """Reads lines of `animal<TAB>[action ids]<TAB>number of them`.

    Args:
        path: the file.
        action_names: in label order, which the ids count.
        animal_names: in label order.

    Returns:
        int64 (A, C), 1 where the animal performs the action; zeros for animals without a line.

    Raises:
        AnnotationError: a line that does not parse, an unknown animal or action, an animal twice,
            a count that is not the number of ids, or no line at all.
    """
    animals = Spelling(animal_names)
    rows = {name: number for number, name in enumerate(animal_names)}
    relation = np.zeros((len(animal_names), len(action_names)), np.int64)
    seen = set()
    for place, line in numbered_lines(path):
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != 3 or (cells[1][:1], cells[1][-1:]) != ("[", "]"):
            raise AnnotationError(
                f"{place}: expected `animal<TAB>[action ids]<TAB>count`, found {quoted(line)}"
            )
        animal = animals.require(cells[0], place, "animal")
        if animal in seen:
            raise AnnotationError(f"{place}: the animal {animal!r} has a line before")
        seen.add(animal)
        actions = [
            read_number(number, place=place, what="action id")
            for number in cells[1][1:-1].replace(",", " ").split()
        ]
        count = read_number(cells[2], place=place, what="count")
        if len(actions) != count:
            raise AnnotationError(
                f"{place}: {len(actions)} actions are listed, {count} are announced"
            )
        if any(action >= len(action_names) for action in actions):
            raise AnnotationError(
                f"{place}: the action id {max(actions)} is unknown; there are {len(action_names)}"
            )
        relation[rows[animal], actions] = 1
    if not seen:
        raise AnnotationError(f"{path} lists no animal")
    return relation
