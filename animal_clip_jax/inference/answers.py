"""What a model says of a video, and how it looks at one."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from animal_clip_jax.classes.vocabulary import Labels
from animal_clip_jax.command_line import did_you_mean
from animal_clip_jax.errors import UserError
from animal_clip_jax.inference.cells import answer_cell

# Where the animals come from if a person says them.
GIVEN = "given"


class Prediction(NamedTuple):
    """A label and its probability."""

    label: str
    probability: float


class AttentionMaps(NamedTuple):
    """Where in a video a model looks.

    Attributes:
        frames: (frames, size, size, 3) uint8, RGB, as it saw them.
        maps: (frames, rows of patches, columns of patches) float32, not negative, the sum over all
            frames is 1.
    """

    frames: np.ndarray
    maps: np.ndarray


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
    embedding: np.ndarray = dataclasses.field(repr=False)
    note: str = ""

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        is_given = self.animal_source == GIVEN
        return answer_cell(self.actions, self.animals, is_given=is_given, note=self.note)


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


def weights_of(animals: Sequence[str], known: Sequence[str]) -> np.ndarray:
    """The animals that a person says are in a video, (A,) float32 of 0 and 1.

    Args:
        animals: their names.
        known: those of the model, (A).

    Raises:
        UserError: one is not known.
    """
    if isinstance(animals, str):
        raise UserError(f"animals is one name, {animals!r}; expected a list of names")
    unknown = [name for name in animals if name not in known]
    if unknown:
        raise UserError(
            f"{', '.join(map(repr, unknown))} not among the animals "
            f"({', '.join(known) or 'there are none'}){did_you_mean(unknown[0], known)}; "
            "with_actions, or config.predict.animal_labels, takes other ones"
        )
    return np.array([name in animals for name in known], np.float32)


def note_on(num_frames: int, wanted: int, most: int) -> str:
    """What a person should know of a video of so many frames; "" if nothing.

    Args:
        num_frames: of the video.
        wanted: frames of a view.
        most: that are kept of a video; 0 for all.
    """
    if num_frames >= min(wanted, most or wanted):
        return ""
    return (
        f"the video has {num_frames} frames, fewer than the {wanted} that the model takes: some "
        "are taken more than once"
    )
