"""A small model whose text tower has CLIP's vocabulary and context length, and texts for it."""

import dataclasses

import numpy as np
import tiny
from flax import nnx

from animal_clip_jax.models import parameters
from animal_clip_jax.models.architectures import ClipArchitecture
from animal_clip_jax.models.description import build
from animal_clip_jax.models.text import TextTower

ARCHITECTURE = dataclasses.replace(
    tiny.ARCHITECTURE, context_length=77, vocab_size=49408, text_layers=2
)
WORDS = [
    "the",
    "animal",
    "walks",
    "on",
    "its",
    "legs",
    "over",
    "dry",
    "grass",
    "and",
    "stops",
    "again",
]


def model(seed: int = 0) -> tuple[nnx.GraphDef, dict[str, np.ndarray]]:
    """An Animal-CLIP with random parameters."""
    description = dataclasses.replace(tiny.description(), architecture=ARCHITECTURE)
    graphdef, abstract = parameters.abstract(
        lambda: build(description, rngs=parameters.rngs_for_shapes())
    )
    return graphdef, tiny.random_parameters(abstract, seed)


def tower(seed: int = 0, architecture: ClipArchitecture = ARCHITECTURE, **arguments) -> TextTower:
    """A text tower alone, with random parameters."""
    graphdef, abstract = parameters.abstract(
        lambda: TextTower(
            architecture, **{"dtype": "float32", **arguments}, rngs=parameters.rngs_for_shapes()
        )
    )
    return parameters.merge(graphdef, tiny.random_parameters(abstract, seed))


def texts(count: int, longest: int = 40, seed: int = 0) -> list[str]:
    """Random words, one to `longest` of them a text."""
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(1, longest + 1))) for _ in range(count)]
