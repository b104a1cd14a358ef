"""Class features: the text tower over every class's texts, once a run."""

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from animal_clip_jax.models import parameters
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.models.text import TextTower
from animal_clip_jax.prompts import descriptions
from animal_clip_jax.prompts.tokenizer import tokenize

Kind = Literal["action", "animal"]
POOLINGS = ("max", "mean")


def class_texts(source: str, class_names: Sequence[str], kind: Kind) -> list[list[str]]:
    """The texts of every class.

    Args:
        source: "names", "templates", or the path of a description file.
        class_names: the labels, in order.
        kind: "action" or "animal", which decides on the templates.

    Returns:
        as many texts for every class, in the order of `class_names`.

    Raises:
        FileNotFoundError, ValueError: see `descriptions.read_descriptions`.
    """
    if source == "names":
        return descriptions.name_texts(class_names)
    if source == "templates":
        return descriptions.template_texts(class_names, kind)
    return descriptions.read_descriptions(source, class_names)


def pool(text_features: jax.Array, pooling: str) -> jax.Array:
    """Joins the features of a class's texts: elementwise maximum (published) or mean.

    (classes, texts, embed_dim) → (classes, embed_dim), not normalised.
    """
    if pooling not in POOLINGS:
        raise ValueError(f"config.prompts.pooling is {pooling!r}; expected 'max' or 'mean'")
    return jnp.max(text_features, axis=1) if pooling == "max" else jnp.mean(text_features, axis=1)


def encode_classes(
    tower: TextTower,
    texts: Sequence[Sequence[str]],
    *,
    pooling: str = "max",
    batch_size: int = 256,
) -> np.ndarray:
    """Features of classes from their texts.

    Args:
        tower: the text tower.
        texts: as many texts for every class.
        pooling: "max" or "mean" over a class's texts.
        batch_size: texts encoded at once.

    Returns:
        (classes, embed_dim) float32.
    """
    context_length = tower.position_embedding.shape[0]
    tokens = tokenize([text for row in texts for text in row], context_length)
    # One batch shape, so that the tower is compiled once.
    batch_size = min(batch_size, len(tokens))
    padded = np.pad(tokens, ((0, -len(tokens) % batch_size), (0, 0)), mode="edge")
    graphdef, values = parameters.split(tower)

    @jax.jit
    def encode(values: Parameters, batch: np.ndarray) -> jax.Array:
        return parameters.merge(graphdef, values)(batch).astype(jnp.float32)

    batches = [
        np.asarray(encode(values, padded[start : start + batch_size]))
        for start in range(0, len(padded), batch_size)
    ]
    features = np.concatenate(batches)[: len(tokens)].reshape(len(texts), len(texts[0]), -1)
    return np.asarray(pool(jnp.asarray(features), pooling))
