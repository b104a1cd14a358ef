"""A tiny model, class context and batch for tests."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from animal_clip_jax.models import parameters
from animal_clip_jax.models.architectures import ClipArchitecture
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.description import ModelDescription, build
from animal_clip_jax.models.normalisation import IMAGENET
from animal_clip_jax.training.step import StepSettings

FRAMES, ACTIONS, ANIMALS, SIZE, EMBED = 3, 5, 4, 16, 64

ARCHITECTURE = ClipArchitecture(
    embed_dim=EMBED,
    image_size=SIZE,
    patch_size=8,
    vision_width=64,
    vision_layers=2,
    vision_heads=2,
    text_width=64,
    text_layers=1,
    text_heads=2,
    context_length=8,
    vocab_size=60,
)


def description(family: str = "animal_clip") -> ModelDescription:
    """Of a tiny "animal_clip" or "xclip"."""
    return ModelDescription(
        family,
        ARCHITECTURE,
        num_frames=FRAMES,
        integration_layers=1,
        integration_heads=1,
        prompt_layers=1,
        prompt_heads=1,
        graph_width=32 if family == "animal_clip" else None,
    )


def build_model(family: str = "animal_clip", **arguments) -> nnx.Module:
    """A tiny model with its initial values."""
    return build(description(family), rngs=nnx.Rngs(0), **arguments)


def model(family: str = "animal_clip", **arguments) -> tuple[nnx.GraphDef, dict[str, np.ndarray]]:
    """The structure, and random parameters: none is 0 or 1 everywhere, as initial values are."""
    rngs = parameters.rngs_for_shapes()
    graphdef, abstract = parameters.abstract(
        lambda: build(description(family), rngs=rngs, **arguments)
    )
    return graphdef, random_parameters(abstract)


def randomised(build_module: Callable[[nnx.Rngs], Any]) -> Any:
    """A module with random parameters."""
    graphdef, abstract = parameters.abstract(lambda: build_module(parameters.rngs_for_shapes()))
    values = {path: jnp.asarray(value) for path, value in random_parameters(abstract).items()}
    return parameters.merge(graphdef, values)


def random_parameters(abstract: dict[str, Any], seed: int = 0) -> dict[str, np.ndarray]:
    """float32 values for shapes by path."""
    random = np.random.default_rng(seed)
    values = {}
    for path, target in abstract.items():
        noise = random.standard_normal(target.shape)
        if path == "logit_scale":
            value = np.asarray(2.0)
        elif path.endswith((".scale", ".alpha", ".running_variance")):
            value = 1 + 0.1 * noise
        else:
            value = 0.1 * noise
        values[path] = value.astype(np.float32)
    return values


def classes(seed: int = 0) -> ClassContext:
    """Random features and relations; the last animal performs no action."""
    random = np.random.default_rng(seed)
    relation = (random.random((ACTIONS, ANIMALS)) < 0.5).astype(np.float32)
    relation[:, -1] = 0
    return ClassContext(
        action_features=random.standard_normal((ACTIONS, EMBED)).astype(np.float32),
        animal_features=random.standard_normal((ANIMALS, EMBED)).astype(np.float32),
        relation=relation,
    )


def batch(clips: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Random frames; every clip has an action and an animal, some have two actions."""
    random = np.random.default_rng(seed)
    actions = np.eye(ACTIONS, dtype=np.float32)[random.integers(0, ACTIONS, (clips, 2))].max(1)
    animals = np.eye(ANIMALS, dtype=np.float32)[random.integers(0, ANIMALS, clips)]
    frames = random.integers(0, 256, (clips, FRAMES, SIZE, SIZE, 3), dtype=np.uint8)
    return {"frames": frames, "actions": actions, "animals": animals}


def pairs(number: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Random pictures and rows of tokens; the end token is the largest."""
    random = np.random.default_rng(seed)
    length, end = ARCHITECTURE.context_length, ARCHITECTURE.vocab_size - 1
    tokens = random.integers(1, end, (number, length), dtype=np.int32)
    tokens[np.arange(number), random.integers(2, length, number)] = end
    images = random.integers(0, 256, (number, SIZE, SIZE, 3), dtype=np.uint8)
    return {"images": images, "tokens": tokens}


def settings(**changes) -> StepSettings:
    """Step settings without augmentation, but for `changes`."""
    values: dict[str, Any] = {
        "accumulation": 1,
        "mean": IMAGENET.mean,
        "std": IMAGENET.std,
        "jitter_probability": 0.0,
        "brightness": 0.4,
        "contrast": 0.4,
        "saturation": 0.2,
        "hue": 0.1,
        "grey_probability": 0.0,
        "mix": False,
        "mixup_alpha": 0.8,
        "cutmix_alpha": 1.0,
        "animal_source": "labels",
        "label_dropout": 0.0,
    }
    return StepSettings(**{**values, **changes})
