"""From one family to another: what the source lacks receives initial values, and is named."""

import functools
from collections.abc import Mapping

import jax
import numpy as np

from animal_clip_jax.conversion.dimensions import default_dimensions
from animal_clip_jax.errors import UserError
from animal_clip_jax.models import parameters as model_parameters
from animal_clip_jax.models.architectures import ClipArchitecture, heads_of
from animal_clip_jax.models.description import (
    BASELINES,
    ModelDescription,
    build,
    fields_of,
)
from animal_clip_jax.models.presets import PRESETS


def shapes(description: ModelDescription) -> dict[str, jax.ShapeDtypeStruct]:
    """The parameters of a model by path, without values."""
    return dict(_shapes(description))


# A conversion asks for those of the source and of the target, which often are one.
@functools.lru_cache(maxsize=8)
def _shapes(description: ModelDescription) -> dict[str, jax.ShapeDtypeStruct]:
    _, abstract = model_parameters.abstract(
        lambda: build(description, rngs=model_parameters.rngs_for_shapes())
    )
    return abstract


def describe_target(
    source: ModelDescription,
    family: str,
    requested: Mapping[str, int],
) -> ModelDescription:
    """The model of `family` that takes over what it can of `source`.

    Args:
        source: the model at hand.
        family: "clip", "xclip" or "animal_clip".
        requested: dimensions asked for: num_frames, integration_layers, prompt_layers, graph_width.

    Raises:
        ValueError: a requested dimension contradicts the source's, or the family has none such.
    """
    if family == source.family and family in BASELINES:
        for name, value in requested.items():
            raise UserError(f"--{name}={value}: the source says all of its dimensions")
        return source
    if not isinstance(source.architecture, ClipArchitecture):
        raise UserError(f"a model of family {source.family} has no CLIP to make a {family} of")
    fields = fields_of(family)
    values = default_dimensions(family, source.towers.embed_dim)
    # X-CLIP's prompt generator is another part than Animal-CLIP's two: nothing of it is taken over.
    decided = {
        name
        for name in fields_of(source.family)
        if family == source.family or not name.startswith("prompt_")
    }
    values |= {name: getattr(source, name) for name in decided if name in fields}
    for name, value in requested.items():
        if name not in fields:
            raise UserError(f"--{name}={value}: a {family} model has no {name}")
        if name in decided and value != values[name]:
            raise UserError(f"--{name}={value}: the source's {name} is {values[name]}")
        values[name] = value
    return ModelDescription(family, source.architecture, **values)


# Paths of the classifier, by the first part that they have in one of the families.
_HEADS = ("projection.kernel", "projection.bias", "head.kernel", "head.bias")


def other_classes(source: ModelDescription, target: ModelDescription) -> tuple[str, ...]:
    """The paths of a classifier that has another number of classes in `target`, of whose family
    `source` is; none where it has as many, or there is no classifier."""
    if source.family != target.family or source.num_classes == target.num_classes:
        return ()
    return tuple(path for path in shapes(target) if path in _HEADS)


def complete(
    parameters: Mapping[str, np.ndarray], target: ModelDescription, *, seed: int
) -> tuple[dict[str, np.ndarray], tuple[str, ...], tuple[str, ...]]:
    """Gives `target` the parameters it shares, and initial values for the others.

    Args:
        parameters: arrays by our path; shapes agree with `target` where paths do.
        target: the model to fill.
        seed: of the initial values; the same seed gives the same values.

    Returns:
        all parameters of `target`; the paths that were initialised; the paths of `parameters` that
        `target` has no place for.
    """
    expected = shapes(target)
    initialised = tuple(path for path in expected if path not in parameters)
    dropped = tuple(path for path in parameters if path not in expected)
    initial: Mapping[str, np.ndarray] = {}
    if initialised:
        values = _initial_values(jax.random.key(seed), target, initialised)
        initial = jax.tree.map(np.asarray, values)
    filled = {path: initial[path] if path in initial else parameters[path] for path in expected}
    return filled, initialised, dropped


@functools.partial(jax.jit, static_argnames=("target", "paths"))
def _initial_values(
    key: jax.Array, target: ModelDescription, paths: tuple[str, ...]
) -> dict[str, jax.Array]:
    # Compiled, what is not asked for is not computed.
    _, values = model_parameters.split(build(target, rngs=model_parameters.rngs_for_values(key)))
    return {path: values[path] for path in paths}


def differences_from_published(description: ModelDescription) -> list[str]:
    """What a torch program that takes these keys would compute otherwise, in words.

    A state dict holds neither the activation nor the number of heads; the published programs take
    quick_gelu and width/64.
    """
    if description.family in PRESETS:
        return []
    architecture = description.towers
    heads: dict[str, tuple[int | None, int]] = {
        "vision_heads": (architecture.vision_heads, architecture.vision_width),
        "text_heads": (architecture.text_heads, architecture.text_width),
    }
    for name in ("integration_heads", "prompt_heads"):
        if getattr(description, name) is not None:
            heads[name] = (getattr(description, name), architecture.embed_dim)
    found = [
        f"{name} is {count}, theirs {heads_of(width)}"
        for name, (count, width) in heads.items()
        if count != heads_of(width)
    ]
    if architecture.activation != "quick_gelu":
        found.append(f"activation is {architecture.activation}, theirs quick_gelu")
    return found
