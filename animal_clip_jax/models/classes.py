"""What a model knows of the classes: computed once a run, not once a step."""

from typing import NamedTuple

import jax


class ClassContext(NamedTuple):
    """The text side of a run, the same for every clip.

    Attributes:
        action_features: (actions, embed_dim) float32, not unit length.
        animal_features: (animals, embed_dim) float32, not unit length.
        relation: (actions, animals) float32, 1 where the animal performs the action, else 0.
    """

    action_features: jax.Array
    animal_features: jax.Array
    relation: jax.Array
