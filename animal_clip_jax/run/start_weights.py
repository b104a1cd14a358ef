"""The weights that a training starts from, and the model that they make."""

import dataclasses
from typing import Any

from ml_collections import ConfigDict

from animal_clip_jax.conversion import families, weights
from animal_clip_jax.conversion.configs import published_normalisation
from animal_clip_jax.errors import MissingFileError, UserError
from animal_clip_jax.files import as_path
from animal_clip_jax.models.description import CLASSIFIERS, ModelDescription, fields_of
from animal_clip_jax.models.i3d import I3DArchitecture
from animal_clip_jax.models.normalisation import Normalisation
from animal_clip_jax.models.presets import PRESETS
from animal_clip_jax.models.slowfast import SlowFastArchitecture
from animal_clip_jax.models.x3d import X3DArchitecture
from animal_clip_jax.run.trained_run import TrainedRun, is_run, load_start

# The fields of `model` that are dimensions beyond an architecture.
VIDEO_FIELDS = (
    *("num_frames", "integration_layers", "prompt_layers", "graph_width"),
    *("prompt_prefix", "prompt_suffix", "decoder_layers"),
)


def load(config: ConfigDict) -> weights.Weights:
    """The weights that `config.init_from` names. Errors as `load_start`."""
    return load_start(config.init_from, config.model.family, config.model.preset)


def describe(config: ConfigDict) -> weights.WeightsMetadata:
    """What they are, without reading them where that can be told. Errors as `load`."""
    path = config.init_from
    if not as_path(path).exists():
        raise MissingFileError(
            f"config.init_from: there is nothing at {path}; `animal-clip convert "
            f"--source=CHECKPOINT --output={path}` puts weights there"
        )
    if not weights.is_weights(path) and is_run(path):
        run = TrainedRun.open(path)
        return weights.WeightsMetadata(run.model, run.normalisation, source_files={})
    if as_path(path).is_file():
        return load(config).metadata
    return weights.load_metadata(path)


def target(
    config: ConfigDict, start: weights.WeightsMetadata
) -> tuple[ModelDescription, Normalisation]:
    """The model that weights make, and its pixel statistics.

    Raises:
        UserError: they are of another family, that is not to be made of them.
    """
    family = config.model.family
    _check_family(config, start)
    classes: dict[str, Any] = {}
    if family in CLASSIFIERS:
        classes["num_classes"] = config.model.num_classes or None
    if start.model.family == family:
        return _for_clips_of(config, dataclasses.replace(start.model, **classes)), (
            start.normalisation
        )
    # A CLIP that becomes a video model. As published, its pixels are normalised the latter's way,
    # unless it stays as it is.
    requested = {
        name: config.model[name]
        for name in VIDEO_FIELDS
        if config.model[name] and name in fields_of(family)
    }
    model = families.describe_target(start.model, family, requested)
    is_frozen = family in ("video_prompt", "evl")
    return (
        dataclasses.replace(model, **classes),
        start.normalisation if is_frozen else published_normalisation(family),
    )


def _for_clips_of(config: ConfigDict, model: ModelDescription) -> ModelDescription:
    """The weights' model for clips of the size that is asked for, if any: convolutions do not mind,
    as positions do."""
    architecture = model.architecture
    if not isinstance(architecture, I3DArchitecture | SlowFastArchitecture | X3DArchitecture):
        return model
    architecture = dataclasses.replace(
        architecture,
        num_frames=config.model.num_frames or architecture.num_frames,
        image_size=config.model.architecture.image_size or architecture.image_size,
    )
    return dataclasses.replace(model, architecture=architecture, num_frames=architecture.num_frames)


def _check_family(config: ConfigDict, start: weights.WeightsMetadata) -> None:
    found, wanted = start.model.family, config.model.family
    if found == "clip" and wanted in PRESETS:
        raise UserError(
            f"{config.init_from} holds a CLIP, and a model of family {wanted!r} takes nothing of "
            f"one: give weights of {wanted!r} as config.init_from, or leave it out"
        )
    if found not in (wanted, "clip"):
        raise UserError(
            f"{config.init_from} holds a model of family {found}, and config.model.family asks for "
            f"{wanted}. `animal-clip convert --source={config.init_from} "
            f"--to={wanted} --output=FOLDER` makes one of it, for config.init_from"
        )
