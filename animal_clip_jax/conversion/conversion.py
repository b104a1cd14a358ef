"""A checkpoint, ours or another project's, to the parameters of one of our models."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from animal_clip_jax.conversion import configs, families, hub, readers
from animal_clip_jax.conversion.baselines import read_baseline
from animal_clip_jax.conversion.dimensions import describe
from animal_clip_jax.conversion.state_dicts import (
    KeyTable,
    hugging_face_table,
    openai_keys,
    our_keys,
    to_parameters,
    to_state_dict,
)
from animal_clip_jax.conversion.weights import WeightsMetadata, is_weights, load_weights
from animal_clip_jax.errors import (
    AlreadyThereError,
    MissingFileError,
    UserError,
    brief,
    quoted,
    shortened,
)
from animal_clip_jax.files import check_space
from animal_clip_jax.models.architectures import ClipArchitecture
from animal_clip_jax.models.description import BASELINES, FAMILIES, ModelDescription
from animal_clip_jax.models.normalisation import Normalisation
from animal_clip_jax.whole_outputs import replacing

# Of a model that is built: layers of all parts together, and any other dimension. The largest
# published image–text models have about a hundred layers.
_MOST_LAYERS = 128
_LARGEST_DIMENSION = 2**20
PHASES = ("reading", "comparing", "initialising")


@dataclasses.dataclass(frozen=True)
class Conversion:
    """Parameters for one of our models.

    Attributes:
        parameters: float32 arrays by path, every one that the model has.
        metadata: the model and where the parameters come from.
        source_family: the family that the source holds.
        dropped: paths of the source's parameters that the model has no place for.
    """

    parameters: dict[str, np.ndarray]
    metadata: WeightsMetadata
    source_family: str
    dropped: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Source:
    tensors: Mapping[str, np.ndarray]
    model: ModelDescription
    normalisation: Normalisation
    files: Mapping[str, str]
    initialised: tuple[str, ...] = ()
    layout: str = "ours"

    def keys(self, paths: Sequence[str]) -> KeyTable:
        if self.layout == "ours":
            return our_keys(paths)
        if self.layout == "hugging_face":
            return hugging_face_table(paths, self.model.family)
        return openai_keys(paths)


def convert(
    path: str | os.PathLike[str],
    *,
    family: str | None = None,
    dimensions: Mapping[str, int] | None = None,
    activation: str | None = None,
    preset: str = "",
    clip: str | None = None,
    seed: int = 0,
    allow_missing: Sequence[str] = (),
    allow_unused: Sequence[str] = (),
    allow_nonfinite: bool = False,
    show: Callable[[str], None] = lambda phase: None,
) -> Conversion:
    """Reads a checkpoint and gives its weights to a model.

    Examples:
        >>> converted = convert("ViT-B-16.pt", family="animal_clip")
        >>> save_weights("weights/vit_b16", converted.parameters, converted.metadata)

    Args:
        path: see `readers.read_checkpoint`; or a weights checkpoint of this project; or the name of
            a model on Hugging Face's hub, see `hub.local_path`.
        family: one of `FAMILIES`; None for the source's own, unless that is one of `BASELINES` in a
            file of others, see `baselines.read_baseline`. What the source lacks is initialised, and
            named in the result's metadata.
        dimensions: num_frames, integration_layers, prompt_layers, graph_width, for parts that the
            source lacks.
        activation: "quick_gelu" or "gelu", for a source that does not say; None is quick_gelu.
        preset, clip: see `baselines.read_baseline`.
        seed: of the initial values.
        allow_missing: shell-style patterns of keys that the source may lack.
        allow_unused: shell-style patterns of unknown keys that may be left out.
        allow_nonfinite: whether weights may be NaN or infinite.
        show: is told each of `PHASES` when it begins.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: it is damaged, not a checkpoint, of another architecture, its keys or shapes are
            not those expected, or values are not finite; names the file and the key or field.
    """
    if family not in (None, *FAMILIES):
        raise UserError(f"--to={family}: expected one of {', '.join(FAMILIES)}")
    requested = dict(dimensions or {})
    local = hub.local_path(path)
    show("reading")
    if family in BASELINES and not is_weights(local):
        baseline = read_baseline(
            local,
            family,
            preset_name=preset,
            clip=clip,
            dimensions=requested,
            seed=seed,
            allow_missing=allow_missing,
            allow_unused=allow_unused,
            allow_nonfinite=allow_nonfinite,
        )
        return Conversion(*baseline.weights, family, baseline.left_out)
    for name, value in (("preset", preset), ("clip", clip)):
        if value:
            raise UserError(f"--{name}={value} is of --to={', '.join(BASELINES)}, of a file")
    source = _read(local, activation=activation, requested=requested)
    target = families.describe_target(source.model, family or source.model.family, requested)
    show("comparing")
    expected = families.shapes(source.model)
    parameters = to_parameters(
        source.tensors,
        source.keys(list(expected)),
        expected,
        source=str(path),
        allow_missing=allow_missing,
        allow_unused=allow_unused,
        allow_nonfinite=allow_nonfinite,
    )
    show("initialising")
    parameters, initialised, dropped = families.complete(parameters, target, seed=seed)
    # As published, a CLIP that becomes a video model is trained on pixels normalised the video
    # models' way, not CLIP's.
    is_turned = target.family != source.model.family
    still_initial = tuple(name for name in source.initialised if name in parameters)
    metadata = WeightsMetadata(
        model=target,
        normalisation=(
            configs.published_normalisation(target.family) if is_turned else source.normalisation
        ),
        source_files=source.files,
        initialised=tuple(sorted({*initialised, *still_initial})),
    )
    return Conversion(parameters, metadata, source.model.family, dropped)


def _read(path: pathlib.Path, *, activation: str | None, requested: Mapping[str, int]) -> _Source:
    if is_weights(path):
        parameters, metadata = load_weights(path)
        source = _Source(
            tensors=parameters,
            model=metadata.model,
            normalisation=metadata.normalisation,
            files=metadata.source_files,
            initialised=metadata.initialised,
        )
    else:
        source = _read_foreign(path, activation=activation, requested=requested)
    found = source.model.architecture
    if isinstance(found, ClipArchitecture):
        if activation not in (None, found.activation):
            raise UserError(f"--activation={activation}: {path} says {found.activation}")
        _check_sizes(source, found, path)
    return source


def _check_sizes(source: _Source, towers: ClipArchitecture, path: pathlib.Path) -> None:
    """Refuses what could not be built, or not in a lifetime."""
    model = source.model
    layers = {
        "vision": towers.vision_layers,
        "text": towers.text_layers,
        "integration": model.integration_layers or 0,
        "prompt": model.prompt_layers or 0,
    }
    shown = ", ".join(f"{quoted(count)} {name}" for name, count in layers.items() if count)
    if sum(layers.values()) > len(source.tensors):
        raise UserError(f"{path}: {len(source.tensors)} arrays, too few for {shown} layers")
    if sum(layers.values()) > _MOST_LAYERS:
        raise UserError(f"{path}: {shown} layers; models of at most {_MOST_LAYERS} are built")
    dimensions = {**dataclasses.asdict(towers), **dataclasses.asdict(model)}
    for name, value in dimensions.items():
        if isinstance(value, int) and value > _LARGEST_DIMENSION:
            raise UserError(
                f"{path}: {name} is {quoted(value)}; models of at most {_LARGEST_DIMENSION} are "
                "built"
            )


def _read_foreign(
    path: pathlib.Path, *, activation: str | None, requested: Mapping[str, int]
) -> _Source:
    checkpoint = readers.read_checkpoint(path)
    try:
        return _described(checkpoint, path, activation=activation, requested=requested)
    except UserError:
        raise
    except ValueError as error:  # dimensions that contradict each other
        raise UserError(f"{checkpoint.config_path or path}: {shortened(error)}") from error


def _described(
    checkpoint: readers.ForeignCheckpoint,
    path: pathlib.Path,
    *,
    activation: str | None,
    requested: Mapping[str, int],
) -> _Source:
    config, config_path = checkpoint.config, checkpoint.config_path
    if checkpoint.layout == "open_clip":
        model = configs.describe_open_clip(config, source=config_path)
        normalisation = configs.open_clip_normalisation(config, source=config_path)
    elif checkpoint.layout == "hugging_face":
        model = configs.describe_hugging_face(config, source=config_path)
        normalisation = configs.hugging_face_normalisation(
            checkpoint.preprocessor,
            model.family,
            source=str(pathlib.Path(config_path).with_name("preprocessor_config.json")),
        )
    else:
        model = describe(
            checkpoint.tensors,
            activation=activation or "quick_gelu",
            requested=requested,
            source=str(path),
        )
        normalisation = configs.published_normalisation(model.family)
    return _Source(
        tensors=checkpoint.tensors,
        model=model,
        normalisation=normalisation,
        files=readers.digests(checkpoint.files),
        layout=checkpoint.layout,
    )


def save_torch(
    path: str | os.PathLike[str],
    parameters: Mapping[str, np.ndarray],
    *,
    keys: KeyTable | None = None,
    field: str = "model",
    overwrite: bool = False,
) -> None:
    """Writes a torch checkpoint, `{"model": state dict}`, with the published keys, float32.

    It appears at `path` once it is complete, and one that it replaces stays until then.

    Args:
        parameters: arrays by our path.
        keys: see `state_dicts.to_state_dict`.
        field: where the state dict lies; PySlowFast looks for it in `model_state`.

    Raises:
        FileExistsError: there is something at `path`, and `overwrite` is false.
        UserError: another process writes there; or it cannot be written.
    """
    import torch

    path = pathlib.Path(path)
    check_torch_destination(path, overwrite=overwrite)
    arrays = to_state_dict(parameters, keys)
    state_dict = {key: torch.from_numpy(array) for key, array in arrays.items()}
    with replacing(path) as written:
        check_torch_destination(path, overwrite=overwrite)
        size = sum(tensor.nbytes for tensor in state_dict.values())
        check_space(written, size, "a torch checkpoint")
        try:
            torch.save({field: state_dict}, written)
        except (OSError, RuntimeError) as error:  # torch's own writer raises the latter
            raise UserError(f"{path} cannot be written: {brief(error)}") from error


def check_torch_destination(path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Refuses a destination of `save_torch` before any work is done for it.

    Raises:
        FileExistsError: there is something at `path`, and `overwrite` is false, or it is a folder.
        FileNotFoundError: the folder that it would lie in does not exist.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise AlreadyThereError(f"{path}: a folder is there; expected a path for a file")
    if path.exists() and not overwrite:
        raise AlreadyThereError(f"{path}: already exists; choose another path or pass --overwrite")
    if not path.parent.is_dir():
        raise MissingFileError(f"{path.parent}: no such folder, for {path.name}")
