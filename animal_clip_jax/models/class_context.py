"""What a model knows of the classes: computed once a run, not once a step."""

from typing import NamedTuple

import jax
import numpy as np

Array = jax.Array | np.ndarray


class ClassContext(NamedTuple):
    """The text side of a run, the same for every clip.

    Attributes:
        action_features: (actions, embed_dim) float32, not unit length; (actions, 0) where no texts
            are read. A model that puts vectors which it learns around the names of the actions
            (VideoPrompt) takes the tokens of these names in their place, (actions, length) int32.
        animal_features: (animals, embed_dim) float32, not unit length.
        relation: (actions, animals) float32, 1 where the animal performs the action, else 0; or
            between them where only animals with similar texts do, see `classes.similarity`.
    """

    action_features: Array
    animal_features: Array
    relation: Array


def without_texts(num_actions: int, *, action_features: Array | None = None) -> ClassContext:
    """The context of a model that knows nothing of animals.

    Args:
        action_features: of one that reads something of the actions; else there are none.
    """
    if action_features is None:
        action_features = np.zeros((num_actions, 0), np.float32)
    return ClassContext(
        action_features=action_features,
        animal_features=np.zeros((0, action_features.shape[1]), np.float32),
        relation=np.zeros((num_actions, 0), np.float32),
    )
