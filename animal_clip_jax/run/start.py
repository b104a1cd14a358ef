"""What a training starts from, and what that says of the model.

A configuration leaves open what it does not say: 0, "" or () in one of `OPEN_FIELDS`. A run that
goes on knows it; else the weights of `init_from` say it; and from scratch it is as published.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from animal_clip_jax.conversion import families
from animal_clip_jax.conversion.configs import published_normalisation
from animal_clip_jax.conversion.dimensions import default_dimensions
from animal_clip_jax.conversion.report import counts
from animal_clip_jax.errors import UserError
from animal_clip_jax.models.architectures import ARCHITECTURES, ClipArchitecture, dimensions
from animal_clip_jax.models.description import ModelDescription
from animal_clip_jax.models.normalisation import Normalisation
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.models.presets import PRESETS, PresetArchitecture, preset, preset_name
from animal_clip_jax.models.refinement import initial_gate
from animal_clip_jax.run import assembly, start_weights
from animal_clip_jax.run.by_data import left_to_data
from animal_clip_jax.run.fields import FIELDS, is_dimension
from animal_clip_jax.run.schema import flat_config
from animal_clip_jax.run.start_weights import VIDEO_FIELDS

_PUBLISHED = "ViT-B/16"
OPEN_FIELDS = tuple(name for name, field in FIELDS.items() if field.accepts.is_open)


def open_fields(config: ConfigDict) -> tuple[str, ...]:
    """The fields of `OPEN_FIELDS` that a configuration leaves open."""
    flat = flat_config(config)
    family = flat["model.family"]
    return tuple(
        name
        for name in OPEN_FIELDS
        if not flat[name] and (not name.startswith("model.") or is_dimension(name, family))
    )


def filled(config: ConfigDict, values: Mapping[str, Any]) -> ConfigDict:
    """A copy in which what was open or left to the data is taken from `values`, by dotted name."""
    config = config.copy_and_resolve_references()
    with config.unlocked():
        config.update_from_flattened_dict(
            {
                name: values[name]
                for name in (*open_fields(config), *left_to_data(config))
                if name in values
            }
        )
    return config


def as_published(config: ConfigDict) -> ConfigDict:
    """A copy in which what was open is as in the published models: ViT-B/16, 8 frames; or as the
    preset says."""
    architecture = ARCHITECTURES[_PUBLISHED]
    width = config.model.architecture.embed_dim or architecture.embed_dim
    family = config.model.family
    classes = {"model.num_classes": config.data.num_actions}
    if family in PRESETS:
        own = preset(family, config.model.preset)
        return filled(config, classes | _values_of(own, family, published_normalisation(family)))
    video = default_dimensions("animal_clip", width)
    if family == "xclip":
        video |= default_dimensions(family, width)
    model = {f"model.{name}": value for name, value in video.items()}
    model |= classes
    return filled(config, model | _values_of(architecture, family, published_normalisation(family)))


def resolved(config: ConfigDict, recorded: ConfigDict | None = None) -> ConfigDict:
    """A copy with nothing left open, but perhaps to the data (`run.by_data`).

    Args:
        recorded: the configuration of the run that goes on or is used, if there is one.

    Raises:
        UserError: the weights of `init_from` are missing or damaged, or the configuration
            contradicts them; names all fields in which it does.
    """
    if recorded is not None:
        return filled(config, flat_config(recorded))
    if config.init_from:
        model, normalisation = start_weights.target(config, start_weights.describe(config))
        _check(config, model, normalisation)
        values = _values_of(model.architecture, model.family, normalisation)
        values |= {
            f"model.{name}": getattr(model, name)
            for name in VIDEO_FIELDS
            if getattr(model, name) is not None
        }
        config = filled(config, values)
    return as_published(config)


class Start(NamedTuple):
    """The parameters before the first step, and where they come from.

    Attributes:
        parameters: by path.
        digests: of the files that they were read from, by field of the configuration.
        note: what a person should know about them; "" if nothing.
    """

    parameters: Parameters
    digests: dict[str, str]
    note: str = ""


def initial_parameters(config: ConfigDict) -> Start:
    """The parameters that a training begins with: those of `init_from`, or random ones.

    A CLIP brings its towers; what the model has beyond them is initialised, as a conversion does.

    Args:
        config: with nothing left open.

    Raises:
        UserError: the weights are missing, damaged, or of another model; names the fields.
    """
    if not config.init_from:
        return Start(assembly.random_parameters(config), {})
    start = start_weights.load(config)
    digests = {"init_from": start.digest()}
    model, normalisation = start_weights.target(config, start.metadata)
    _check(config, model, normalisation)
    parameters: Mapping[str, np.ndarray] = start.parameters
    initialised: tuple[str, ...] = ()
    replaced = families.other_classes(start.metadata.model, model)
    if start.metadata.model.family != model.family or replaced:
        kept = {path: value for path, value in parameters.items() if path not in replaced}
        parameters, initialised, _ = families.complete(kept, model, seed=config.seed)
    parameters = _with_gate_asked_for(config, parameters)
    for path, target in families.shapes(model).items():
        shape = parameters[path].shape if path in parameters else "nothing"
        if shape != target.shape:
            raise UserError(
                f"{config.init_from}: {path} has shape {shape}; expected {target.shape}"
            )
    note = ""
    if len(parameters) > len(start.parameters) and not initialised:
        note = f"{config.init_from} has no gate; it is initialised, and trusts refinement half"
    if replaced:
        note = (
            f"{config.init_from} tells {start.metadata.model.num_classes} classes apart, this "
            f"model {model.num_classes}; initialised: {', '.join(replaced)}"
        )
    elif initialised:
        note = (
            f"{config.init_from} is a {start.metadata.model.family}; what {model.family} has "
            f"beyond it is initialised: {len(initialised)} arrays ({counts(initialised)})"
        )
    return Start(dict(parameters), digests, note)


def _with_gate_asked_for(
    config: ConfigDict, parameters: Mapping[str, np.ndarray]
) -> Mapping[str, np.ndarray]:
    """The parameters with a gate of initial values if a configuration asks for one and they have
    none.

    Raises:
        UserError: they have one and it does not.
    """
    has_gate = any(path.startswith("gate.") for path in parameters)
    if has_gate and not config.model.gate:
        raise UserError(
            f"config.model.gate is False, and {config.init_from} was trained with a gate; give "
            "--config.model.gate=True"
        )
    if has_gate or not config.model.gate:
        return parameters
    return {**parameters, **initial_gate(config.model.architecture.embed_dim)}


def _values_of(
    architecture: ClipArchitecture | PresetArchitecture, family: str, normalisation: Normalisation
) -> dict[str, Any]:
    """The fields that say an architecture and the pixels that it is for."""
    if isinstance(architecture, ClipArchitecture):
        values = {
            f"model.architecture.{name}": value for name, value in dimensions(architecture).items()
        }
    else:
        values = {
            "model.preset": preset_name(family, architecture),
            "model.num_frames": architecture.num_frames,
            "model.architecture.image_size": architecture.image_size,
        }
    return values | {"data.mean": normalisation.mean, "data.std": normalisation.std}


def _check(config: ConfigDict, model: ModelDescription, normalisation: Normalisation) -> None:
    """Raises UserError if a configuration contradicts weights; names all fields in which it does.

    Args:
        model: that the weights make, of the family that is asked for.
    """
    flat = flat_config(config)
    found = _values_of(model.architecture, model.family, normalisation)
    found |= {f"model.{name}": getattr(model, name) for name in VIDEO_FIELDS}
    different = [
        f"{name}: weights have {held!r}, config asks for {flat[name]!r}"
        for name, held in found.items()
        if flat[name] and held is not None and not _is_same(flat[name], held)
    ]
    if different:
        raise UserError(
            f"{config.init_from}: the configuration contradicts the weights. "
            f"{'; '.join(different)}. Leave these fields out: the weights say them"
        )


def _is_same(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, tuple):
        return len(ours) == len(theirs) and bool(np.allclose(ours, theirs, rtol=1e-4))
    return ours == theirs
