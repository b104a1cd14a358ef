"""Descriptions of animals and actions as the files that a configuration names.

    python -m data_pipeline.synthetic.description_files --output=configs/demo_descriptions

makes those of the repository again. A file has the labels of a data set and no others, as the
configuration demands.
"""

import argparse
import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from animal_clip_jax.files import write_whole
from data_pipeline.synthetic.animals import ANIMALS, named
from data_pipeline.synthetic.motions import ACTIONS, PAIR_OF
from data_pipeline.synthetic.plan import UNSEEN_ACTION
from data_pipeline.synthetic.texts import ACTION_DESCRIPTIONS, animal_descriptions

# Actions that training knows, at least by name.
TRAINED_ACTIONS = tuple(name for name in ACTIONS if PAIR_OF[name].name != UNSEEN_ACTION)


def description_files(animals: Iterable[str], actions: Iterable[str]) -> dict[str, str]:
    """The content of each file by its name: descriptions, and which body each animal has.

    Args:
        animals, actions: labels, by which rows are sorted.
    """
    animals, actions = sorted(animals), sorted(actions)
    return {
        "actions.csv": _table(
            ("action", "description"),
            ((name, text) for name in actions for text in ACTION_DESCRIPTIONS[name]),
        ),
        "animals.csv": _table(
            ("animal", "description"),
            ((name, text) for name in animals for text in animal_descriptions(named(name))),
        ),
        "animal_classes.csv": _table(
            ("animal", "class"), ((name, named(name).body) for name in animals)
        ),
    }


def of_the_world() -> dict[str, str]:
    """The files for the labels that training and its tests have."""
    return description_files((animal.name for animal in ANIMALS), TRAINED_ACTIONS)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def main() -> None:
    """Writes the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", required=True, type=Path, help="a folder")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in of_the_world().items():
        write_whole(folder / name, content)


if __name__ == "__main__":
    main()
