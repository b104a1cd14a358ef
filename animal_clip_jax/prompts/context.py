"""The class context: what a model is told of any list of actions and animals."""

from collections.abc import Callable, Sequence

import numpy as np
from flax import nnx
from jax.sharding import Mesh
from ml_collections import ConfigDict

from animal_clip_jax.models import parameters
from animal_clip_jax.models.animal_clip import AnimalCLIP
from animal_clip_jax.models.classes import ClassContext
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.models.xclip import XCLIP
from animal_clip_jax.parallel.distributed import on_all
from animal_clip_jax.prompts import features


def class_context(
    graphdef: nnx.GraphDef,
    values: Parameters,
    action_names: Sequence[str],
    animal_names: Sequence[str],
    relation: np.ndarray,
    *,
    prompts: ConfigDict,
    mesh: Mesh,
    say: Callable[[str], None] = lambda note: None,
) -> ClassContext:
    """Encodes the texts of all classes.

    The names may be any, not only those that a model was trained with. With several processes, all
    of them call it, and all get the same.

    Args:
        graphdef: structure of an Animal-CLIP or X-CLIP.
        values: all its parameters by path; NumPy arrays, or `jax.Array`s of which every process
            holds the whole.
        action_names, animal_names: labels.
        relation: (actions, animals) float32, 1 where the animal performs the action, else 0.
        prompts: the configuration's `prompts`.
        mesh: the devices to encode on.
        say: is given what a person should know: texts that were cut, a cache that cannot be used.

    Returns:
        NumPy arrays.

    Raises:
        FileNotFoundError, ValueError: a description file is missing or does not fit the names; the
            relation has another shape.
    """
    expected = (len(action_names), len(animal_names))
    if relation.shape != expected:
        raise ValueError(
            f"the relation has shape {relation.shape}; expected (actions, animals) = {expected}"
        )
    model = parameters.merge(graphdef, values)
    assert isinstance(model, AnimalCLIP | XCLIP)
    tower = model.text

    def texts() -> tuple[list[list[str]], list[list[str]]]:
        return (
            features.class_texts(prompts.actions, action_names, "action"),
            features.class_texts(prompts.animals, animal_names, "animal"),
        )

    action_texts, animal_texts = on_all(texts)
    return ClassContext(
        action_features=features.encode_classes(tower, action_texts, pooling=prompts.pooling),
        animal_features=features.encode_classes(tower, animal_texts, pooling=prompts.pooling),
        relation=np.asarray(relation, np.float32),
    )
