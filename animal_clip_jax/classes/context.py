"""The class context: what a model knows of any list of actions and animals."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from animal_clip_jax.classes import features
from animal_clip_jax.errors import UserError
from animal_clip_jax.models import parameters
from animal_clip_jax.models.architectures import ClipArchitecture
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.models.text import TextTower
from animal_clip_jax.parallel.distributed import gather_texts
from animal_clip_jax.text.encoding import one_device
from animal_clip_jax.text.feature_cache import FeatureCache, cache_folder


class ClassTexts(NamedTuple):
    """The texts of every class.

    Attributes:
        actions, animals: as many texts for each class of a kind.
    """

    actions: Sequence[Sequence[str]]
    animals: Sequence[Sequence[str]]


def text_tower(architecture: ClipArchitecture, values: Parameters) -> TextTower:
    """The text tower of a model, computing in float32 whatever the model computes in.

    Class features are computed once and used in every step, so they are worth the precision.

    Args:
        values: all parameters of the model by path.
    """
    graphdef, _ = parameters.abstract(
        lambda: TextTower(architecture, dtype=jnp.float32, rngs=parameters.rngs_for_shapes())
    )
    tower = parameters.merge(
        graphdef,
        {
            path.removeprefix("text."): value
            for path, value in values.items()
            if path.startswith("text.")
        },
    )
    assert isinstance(tower, TextTower)
    return tower


def class_context(
    tower: TextTower,
    texts: ClassTexts,
    relation: np.ndarray,
    *,
    pooling: str = "max",
    cache: str = "none",
    mesh: Mesh | None = None,
    say: features.Say = lambda note: None,
    track: features.Track = lambda title, done, total, unit: None,
) -> ClassContext:
    """Encodes the texts of all classes.

    The classes may be any, not only those that a model was trained with. With several processes,
    all of them call it, and all get the same.

    Args:
        tower: its parameters are NumPy arrays, or `jax.Array`s of which every process holds the
            whole.
        texts: of the classes; a kind may have none.
        relation: (actions, animals) float32, 1 where the animal performs the action, else 0.
        pooling: "max" or "mean" over a class's texts.
        cache: a folder that keeps the features of texts; see `feature_cache.cache_folder`.
        mesh: the devices to encode on; one device of this process unless given.
        say: is given what a person should know, on process 0: what is encoded, texts that were cut,
            a cache that cannot be used.
        track: see `features.encode_classes`.

    Returns:
        NumPy arrays.

    Raises:
        UserError: a text cannot be tokenised, or the processes have other texts.
        ValueError: the relation has another shape.
    """
    expected = (len(texts.actions), len(texts.animals))
    if relation.shape != expected:
        raise ValueError(
            f"the relation has shape {relation.shape}; expected (actions, animals) = {expected}"
        )
    check_same("texts of the classes", json.dumps(texts))
    mesh = mesh or one_device()
    folder = cache_folder(cache)
    opened = None if folder is None else FeatureCache.open(folder, tower, mesh)

    def encode(texts: Sequence[Sequence[str]], what: str) -> np.ndarray:
        return features.encode_classes(
            tower, texts, pooling=pooling, mesh=mesh, cache=opened, what=what, say=say, track=track
        )

    return ClassContext(
        action_features=encode(texts.actions, "actions"),
        animal_features=encode(texts.animals, "animals"),
        relation=np.asarray(relation, np.float32),
    )


def check_same(what: str, content: Any) -> None:
    """Makes sure that all processes have the same content. All must call it.

    Raises:
        UserError: on all, naming the processes that differ from process 0.
    """
    digests = gather_texts(hashlib.sha256(content.encode()).hexdigest())
    others = [str(index) for index, digest in enumerate(digests) if digest != digests[0]]
    if others:
        raise UserError(
            f"the {what} of process {', '.join(others)} are not those of process 0; give all the "
            "same files"
        )
