"""Relation files: which actions each animal performs, as distributed with the annotations."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_pipeline.annotations.label_files import Spelling, numbered_lines
from data_pipeline.annotations.record import AnnotationError

LINE = re.compile(r"(?P<animal>.+?)\s*\t\s*\[(?P<actions>[\d\s,]*)\]\s*\t\s*(?P<count>\d+)")


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
            or a count that is not the number of ids.
    """
    animals = Spelling(animal_names)
    rows = {name: number for number, name in enumerate(animal_names)}
    relation = np.zeros((len(animal_names), len(action_names)), np.int64)
    seen = set()
    for place, line in numbered_lines(path):
        match = LINE.fullmatch(line)
        if not match:
            raise AnnotationError(
                f"{place}: expected `animal<TAB>[action ids]<TAB>count`, found {line[:200]!r}"
            )
        animal = animals.require(match["animal"], place, "animal")
        if animal in seen:
            raise AnnotationError(f"{place}: the animal {animal!r} has a line before")
        seen.add(animal)
        actions = [int(number) for number in match["actions"].replace(",", " ").split()]
        if len(actions) != int(match["count"]):
            raise AnnotationError(
                f"{place}: {len(actions)} actions are listed, {match['count']} are announced"
            )
        if any(action >= len(action_names) for action in actions):
            raise AnnotationError(
                f"{place}: the action id {max(actions)} is unknown; there are {len(action_names)}"
            )
        relation[rows[animal], actions] = 1
    return relation
