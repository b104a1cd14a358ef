"""The class context: what a model is told of any list of actions and animals."""

import hashlib
import json
from collections.abc import Sequence

import numpy as np
from flax import nnx
from jax.sharding import Mesh
from ml_collections import ConfigDict

from animal_clip_jax.classes import features
from animal_clip_jax.models import parameters
from animal_clip_jax.models.animal_clip import AnimalCLIP
from animal_clip_jax.models.classes import ClassContext
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.models.xclip import XCLIP
from animal_clip_jax.parallel.distributed import gather_texts, on_all
from animal_clip_jax.text.feature_cache import FeatureCache, cache_folder


def class_context(
    graphdef: nnx.GraphDef,
    values: Parameters,
    action_names: Sequence[str],
    animal_names: Sequence[str],
    relation: np.ndarray,
    *,
    prompts: ConfigDict,
    mesh: Mesh,
    say: features.Say = lambda note: None,
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
        say: is given what a person should know, on process 0: what is encoded, texts that were cut,
            a cache that cannot be used.

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
    check_same("texts of the classes", json.dumps([action_texts, animal_texts]))
    folder = cache_folder(prompts.cache)
    cache = None if folder is None else FeatureCache.open(folder, tower, mesh)

    def encode(texts: list[list[str]], what: str) -> np.ndarray:
        return features.encode_classes(
            tower, texts, pooling=prompts.pooling, mesh=mesh, cache=cache, what=what, say=say
        )

    return ClassContext(
        action_features=encode(action_texts, "actions"),
        animal_features=encode(animal_texts, "animals"),
        relation=np.asarray(relation, np.float32),
    )


def check_same(what: str, content: str) -> None:
    """Makes sure that all processes have the same content. All must call it.

    Raises:
        ValueError: on all, naming the processes that differ from process 0.
    """
    digests = gather_texts(hashlib.sha256(content.encode()).hexdigest())
    others = [str(index) for index, digest in enumerate(digests) if digest != digests[0]]
    if others:
        raise ValueError(
            f"the {what} of process {', '.join(others)} are not those of process 0; give all the "
            "same files"
        )
