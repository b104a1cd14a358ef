"""What a model says of a video, and how it looks at one."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from animal_clip_jax.classes.vocabulary import Labels
from animal_clip_jax.errors import UserError


class Prediction(NamedTuple):
    """A label and its probability."""

    label: str
    probability: float


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a model says of a video.

    Attributes:
        actions: all actions with their probabilities, best first: shares of 1, or each by itself
            for a model that was trained with a loss that judges each action by itself.
        animals: the animals that the model was given, the likeliest first.
        animal_source: where they come from: "given", "predicted", "learned" or "none".
        embedding: (embed_dim,) float32, the video's features, the mean over its views.
        note: what a person should know of the video, such as that it is very short; or "".
    """

    actions: list[Prediction]
    animals: list[Prediction]
    animal_source: str
    embedding: np.ndarray
    note: str = ""


def relation_table(relation: Mapping[str, Iterable[str]], labels: Labels) -> np.ndarray:
    """Which action (row) which animal (column) performs, (actions, animals) of 0 and 1.

    Raises:
        UserError: a name is not one of the labels.
    """
    table = np.zeros((len(labels.actions), len(labels.animals)), np.float32)
    for animal, actions in relation.items():
        for kind, name, names in (
            ("animal", animal, labels.animals),
            *(("action", action, labels.actions) for action in actions),
        ):
            if name not in names:
                raise UserError(f"relation: the {kind} {name!r} is not one of the labels")
            if kind == "action":
                table[names.index(name), labels.animals.index(animal)] = 1
    return table


def ranked(names: Sequence[str], scores: np.ndarray) -> list[Prediction]:
    """All labels with their probabilities, best first."""
    best = np.argsort(-scores, kind="stable")
    return [Prediction(names[index], float(scores[index])) for index in best]
