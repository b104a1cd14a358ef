"""What a model knows of the classes: computed once a run, not once a step."""

from typing import NamedTuple

import jax
import numpy as np

Array = jax.Array | np.ndarray


class ClassContext(NamedTuple):
    """The text side of a run, the same for every clip.

    Attributes:
        action_features: (actions, embed_dim) float32, not unit length.
        animal_features: (animals, embed_dim) float32, not unit length.
        relation: (actions, animals) float32, 1 where the animal performs the action, else 0; or
            between them where only animals with similar texts do, see `classes.similarity`.
    """

    action_features: Array
    animal_features: Array
    relation: Array
