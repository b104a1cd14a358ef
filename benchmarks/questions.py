"""What a model of the synthetic world is asked, and which clips it was right about."""

import csv
import os
import pathlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from animal_clip_jax.run import results
from animal_clip_jax.run.evaluate import evaluate
from data_pipeline.clip_index import load_index
from data_pipeline.synthetic.motions import PAIR_OF
from data_pipeline.synthetic.plan import UNSEEN_ACTION

# By split; what each is made of is said in data_pipeline/synthetic/plan.py.
OF_SPLITS: Mapping[str, str] = MappingProxyType(
    {
        "test": "seen pairs",
        "test_unseen_pairs": "unseen pairs",
        "test_unseen_animals": "unseen animals",
        "test_shifted": "shifted background",
    }
)
NEW_ACTION = "unseen action"
QUESTIONS = (*OF_SPLITS.values(), NEW_ACTION)
SHUFFLED = " shuffled"  # after the source of the animals, of clips whose frames are in no order

# Right or not, 1 or 0, by question, source of the animals and clip.
Right = dict[str, dict[str, dict[str, int]]]


def all_splits() -> str:
    """All splits of the world that have the labels of the training, as `data.test_split`."""
    return "+".join(OF_SPLITS)


def for_new_action(
    config: ConfigDict, directory: str, descriptions: str, *, kind: str = "descriptions"
) -> ConfigDict:
    """A run's configuration, to test it on an action that its training does not have.

    Args:
        directory: the converted videos, which have other actions too.
        descriptions: the folder of the descriptions of all their actions and animals.
        kind: of the texts that the model gets: "descriptions", "names" or "templates". Animals are
            recognised by their descriptions, whatever it is.
    """
    config = config.copy_and_resolve_references()
    config.data.directory, config.data.test_split = directory, "test"
    actions, animals = (
        os.path.join(descriptions, f"{name}.csv") for name in ("actions", "animals")
    )
    config.prompts.actions, config.prompts.animals = (
        (actions, animals) if kind == "descriptions" else (kind, kind)
    )
    config.animals.prompts = animals
    config.evaluation.open_vocabulary = True
    # The head of "learned" knows the training's animals only.
    sources = [each for each in config.evaluation.animal_sources if each != "learned"]
    config.evaluation.animal_sources = tuple(sources)
    config.evaluation.shuffle_frames = False
    return config


def right_of(
    workdir: str | os.PathLike[str], config: ConfigDict, new_action: ConfigDict | None
) -> Right:
    """Which clips a trained run is right about. Tests it on the new action; the rest was tested at
    the end of the training.

    Args:
        config: the run's.
        new_action: of `for_new_action`; None does not ask of it.

    Raises:
        UserError: as `run.evaluate.evaluate`.
    """
    if new_action is not None:
        evaluate(workdir, new_action)
    found: Right = {question: {} for question in QUESTIONS}
    question_of = {
        clip: question
        for split, question in OF_SPLITS.items()
        for clip in load_index(config.data.directory, split).clip_ids
    }
    for row in _clips(workdir, config):
        _add(found[question_of[row["clip"]]], row)
    for row in [] if new_action is None else _clips(workdir, new_action):
        if PAIR_OF[row["actions"]].name == UNSEEN_ACTION:
            _add(found[NEW_ACTION], row)
    return found


def _add(by_source: dict[str, dict[str, int]], row: dict[str, str]) -> None:
    source = row["animals_from"] + (SHUFFLED if row["frames"] == "shuffled" else "")
    by_source.setdefault(source, {})[row["clip"]] = int(row["is_right"])


def _clips(workdir: str | os.PathLike[str], config: ConfigDict) -> list[dict[str, str]]:
    """The rows of `per_clip.csv` of the run's evaluation on a configuration's data."""

    def is_of(result: dict[str, Any]) -> bool:
        return result["split"] == config.data.test_split and os.path.abspath(
            result["data_directory"]
        ) == os.path.abspath(config.data.directory)

    folders = (pathlib.Path(workdir) / results.FOLDER).iterdir()
    (folder,) = (each for each in folders if is_of(results.read(epath.Path(each))))
    with (folder / results.PER_CLIP_FILE).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
