"""Files in which others keep an I3D, SlowFast, X3D, MViT, VideoPrompt or EVL, as one of our models.

Nothing in such a file says what it is: the family is asked for, and its dimensions are those of a
preset, or of the CLIP that stays frozen. The classes are read off it, and the frames where there is
a position for each.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from animal_clip_jax.conversion import families, readers
from animal_clip_jax.conversion.configs import published_normalisation
from animal_clip_jax.conversion.dimensions import default_dimensions
from animal_clip_jax.conversion.video_weights import published_layout, take
from animal_clip_jax.conversion.weights import Weights, WeightsMetadata, load_weights
from animal_clip_jax.errors import UserError
from animal_clip_jax.models.architectures import ARCHITECTURES
from animal_clip_jax.models.description import CLASSIFIERS, ModelDescription
from animal_clip_jax.models.normalisation import KINETICS, Normalisation
from animal_clip_jax.models.presets import PRESETS, preset

_PUBLISHED_TOWERS = "ViT-B/16"
# What PySlowFast calls its files; others were trained on pixels normalised by ImageNet's figures.
_PYSLOWFAST_SUFFIXES = (".pyth", ".pkl")
# The keys that say how many frames there are a position for.
_FRAMES = {
    "video_prompt": "temporalEmbedding.weight",
    "evl": "decoder.temporal_pos_embed.0",
}


class Baseline(NamedTuple):
    """What was read.

    Attributes:
        weights: every parameter of the model.
        left_out: keys of the file that the model has no place for.
    """

    weights: Weights
    left_out: tuple[str, ...]


def read_baseline(
    path: Path,
    family: str,
    *,
    preset_name: str = "",
    clip: str | None = None,
    dimensions: Mapping[str, int] | None = None,
    seed: int = 0,
    allow_missing: Sequence[str] = (),
    allow_unused: Sequence[str] = (),
    allow_nonfinite: bool = False,
) -> Baseline:
    """Reads a file for a model of one of the six families.

    Args:
        path: see `readers.read_checkpoint`.
        family: "i3d", "slowfast", "x3d", "mvit", "video_prompt" or "evl".
        preset_name: one of `presets.PRESETS`, or of CLIP's architectures for the last two; "" for
            the first of the family, or ViT-B/16.
        clip: our weights folder of the CLIP that stays frozen, for a file that has none.
        dimensions: num_frames, prompt_prefix, prompt_suffix, where the file does not say.
        seed: of the values of what is missing, as allowed.
        allow_missing, allow_unused, allow_nonfinite: see `state_dicts.to_parameters`.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        UserError: it is damaged, no checkpoint, or of other dimensions; names the file and the key,
            what was found and expected.
    """
    checkpoint = readers.read_checkpoint(path)
    frozen = None if clip is None else _frozen(clip, family)
    model = _describe(checkpoint.tensors, family, preset_name, frozen, dimensions or {}, str(path))
    taken = take(
        checkpoint.tensors,
        families.shapes(model),
        published_layout(model),
        source=str(path),
        allow_missing=allow_missing,
        allow_unused=allow_unused,
        allow_nonfinite=allow_nonfinite,
    )
    given: dict[str, np.ndarray] = dict(taken.parameters)
    if taken.lacking:
        if frozen is None:
            raise UserError(
                f"{path}: {len(taken.lacking)} arrays of the frozen CLIP are not in the file; give "
                "the CLIP with --clip=FOLDER, which `animal-clip convert` has written"
            )
        given |= {
            name: frozen.parameters[name] for name in taken.lacking if name in frozen.parameters
        }
    parameters, initialised, _ = families.complete(given, model, seed=seed)
    metadata = WeightsMetadata(
        model=model,
        normalisation=_normalisation(path, family, frozen),
        source_files=readers.digests(checkpoint.files),
        initialised=initialised,
    )
    return Baseline(Weights(parameters, metadata), taken.left_out)


def _frozen(clip: str, family: str) -> Weights:
    if family in PRESETS:
        raise UserError(f"--clip={clip}: a model of family {family} has no CLIP in it")
    found = load_weights(clip)
    if found.metadata.model.family != "clip":
        raise UserError(
            f"--clip={clip} holds a model of family {found.metadata.model.family}; expected a CLIP"
        )
    return found


def _describe(
    tensors: Mapping[str, np.ndarray],
    family: str,
    preset_name: str,
    frozen: Weights | None,
    requested: Mapping[str, int],
    source: str,
) -> ModelDescription:
    classes: dict[str, Any] = {}
    if family in CLASSIFIERS:
        key = "proj.2.weight" if family == "evl" else "head.projection.weight"
        classes["num_classes"] = _shape(tensors, key, 2, source)[0]
    if family in PRESETS:
        frames = requested.get("num_frames", 0)
        architecture = preset(family, preset_name, num_frames=frames)
        return ModelDescription(family, architecture, num_frames=architecture.num_frames, **classes)
    if frozen is not None:
        towers = frozen.metadata.model.towers
    elif (preset_name or _PUBLISHED_TOWERS) in ARCHITECTURES:
        towers = ARCHITECTURES[preset_name or _PUBLISHED_TOWERS]
    else:
        raise UserError(
            f"--preset={preset_name}: a model of family {family} is of CLIP's towers; expected "
            f"one of {', '.join(ARCHITECTURES)}"
        )
    values = default_dimensions(family, towers.embed_dim) | dict(requested) | classes
    values["num_frames"] = _shape(tensors, _FRAMES[family], 2, source)[0]
    if family == "evl":
        values["decoder_layers"] = sum(
            re.fullmatch(r"decoder\.temporal_pos_embed\.\d+", key) is not None for key in tensors
        )
    return ModelDescription(family, towers, **values)


def _shape(tensors: Mapping[str, np.ndarray], key: str, rank: int, source: str) -> tuple[int, ...]:
    found = tensors[key].shape if key in tensors else None
    if found is None or len(found) != rank:
        said = "is missing" if found is None else f"has shape {found}"
        raise UserError(f"{source}: {key} {said}; expected {rank} dimensions, for the model's own")
    return found


def _normalisation(path: Path, family: str, frozen: Weights | None) -> Normalisation:
    if frozen is not None:
        return frozen.metadata.normalisation
    if family in PRESETS and path.suffix in _PYSLOWFAST_SUFFIXES:
        return KINETICS
    return published_normalisation(family)
