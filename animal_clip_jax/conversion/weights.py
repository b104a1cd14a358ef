"""Our weights folders.

A weights checkpoint is a folder that Orbax writes: the parameters by path, and a description of the
model that they belong to and of where they come from, with a digest of each array.
"""

import concurrent.futures
import dataclasses
import hashlib
import os
import types
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import orbax.checkpoint as ocp

from animal_clip_jax.digests import check_digests, digests_of, sealed, unsealed
from animal_clip_jax.errors import (
    AlreadyThereError,
    DamagedError,
    MissingFileError,
    UserError,
    brief,
)
from animal_clip_jax.files import absolute, check_no_pipes, check_space, write_whole
from animal_clip_jax.models.architectures import ClipArchitecture
from animal_clip_jax.models.description import ModelDescription
from animal_clip_jax.models.normalisation import Normalisation
from animal_clip_jax.models.presets import ARCHITECTURE_OF
from animal_clip_jax.whole_outputs import current, replacing

Path = str | os.PathLike[str]
_FORMAT = "animal_clip_jax weights"
# Those of version 1 have no digests.
_VERSION = 2


@dataclasses.dataclass(frozen=True)
class WeightsMetadata:
    """What a weights checkpoint says about itself.

    Attributes:
        model: family and dimensions.
        normalisation: the pixel statistics that the weights expect.
        source_files: name and SHA-256 digest of each file that the weights were read from.
        initialised: paths of the parameters that the source lacked, which hold initial values.
        fitted_to: digest of the data set that they were fitted to, and the split: "3f…/train"; ""
            for weights that only a conversion made.
    """

    model: ModelDescription
    normalisation: Normalisation
    source_files: Mapping[str, str]
    initialised: tuple[str, ...] = ()
    fitted_to: str = ""

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries, lists, texts and numbers."""
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "model": dataclasses.asdict(self.model),
            "normalisation": self.normalisation._asdict(),
            "source_files": dict(self.source_files),
            "initialised": list(self.initialised),
            "fitted_to": self.fitted_to,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "WeightsMetadata":
        """The inverse of `to_json`.

        Raises:
            ValueError, KeyError, TypeError: `content` is something else.
        """
        if content["format"] != _FORMAT or content["version"] not in (1, _VERSION):
            raise UserError(
                f"format {content['format']!r}, version {content['version']!r}; expected "
                f"{_FORMAT!r}, up to version {_VERSION}"
            )
        model = dict(content["model"])
        dimensions = ARCHITECTURE_OF.get(model["family"], ClipArchitecture)
        architecture = dimensions(**model.pop("architecture"))
        return cls(
            model=ModelDescription(architecture=architecture, **model),
            normalisation=Normalisation(
                *(tuple(content["normalisation"][name]) for name in Normalisation._fields)
            ),
            source_files=dict(content["source_files"]),
            initialised=tuple(content["initialised"]),
            fitted_to=content.get("fitted_to", ""),
        )


class Weights(NamedTuple):
    """A weights checkpoint that has been read.

    Attributes:
        parameters: float32 NumPy arrays by path.
        metadata: what they are and where they come from.
    """

    parameters: dict[str, np.ndarray]
    metadata: WeightsMetadata

    def digest(self) -> str:
        """SHA-256 of what they are: names, shapes and values of all arrays."""
        return digest_of(self.parameters)


def digest_of(parameters: Mapping[str, Any]) -> str:
    """SHA-256 over arrays by path: their names, dtypes, shapes and values."""

    def line(path: str) -> str:
        array = np.ascontiguousarray(parameters[path])
        return f"{path} {array.dtype} {array.shape} {hashlib.sha256(array.data).hexdigest()}"

    with concurrent.futures.ThreadPoolExecutor() as threads:
        lines = threads.map(line, sorted(parameters))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def is_weights(path: Path) -> bool:
    """Whether there is a weights checkpoint at `path`."""
    return (current(path) / "metadata" / "metadata").exists()


def check_destination(path: Path, *, overwrite: bool = False) -> None:
    """Refuses a destination before any work is done for it.

    Raises:
        FileExistsError: there is something at `path`, and `overwrite` is false, or it is not a
            weights checkpoint; names the path.
    """
    if not current(path).exists():
        return
    if not overwrite:
        raise AlreadyThereError(f"{path}: already exists; choose another path or pass --overwrite")
    if not is_weights(path):
        raise AlreadyThereError(f"{path}: not a weights checkpoint, so it is not overwritten")


def save_weights(
    path: Path,
    parameters: Mapping[str, Any],
    metadata: WeightsMetadata,
    *,
    overwrite: bool = False,
    texts: Mapping[str, str] = types.MappingProxyType({}),
) -> None:
    """Writes a weights checkpoint; it appears at `path` once it is complete, and one that it
    replaces stays until then.

    Args:
        path: a folder to create.
        parameters: arrays by path, as `models.parameters.split` gives them.
        metadata: what the checkpoint says about itself.
        overwrite: replace a weights checkpoint that is there.
        texts: what files in it hold, by their names, for people.

    Raises:
        FileExistsError: see `check_destination`.
        UserError: another process writes there; or it cannot be written.
    """
    check_destination(path, overwrite=overwrite)
    with replacing(path) as folder:
        # Somebody else may have written there since.
        check_destination(path, overwrite=overwrite)
        write_weights(folder, parameters, metadata, named=path)
        for name, text in texts.items():
            write_whole(folder / name, text)


def write_weights(
    folder: Path, parameters: Mapping[str, Any], metadata: WeightsMetadata, *, named: Path
) -> None:
    """Writes a weights checkpoint into a folder that is not there yet; see `save_weights`.

    Args:
        named: the path to speak of where it cannot be written.
    """
    # A scalar must be an array too, for Orbax to keep its dtype.
    arrays = {name: np.asarray(value) for name, value in parameters.items()}
    check_space(folder, sum(array.nbytes for array in arrays.values()), "a weights checkpoint")
    content = {**metadata.to_json(), "digests": digests_of(arrays.items())}
    try:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            checkpointer.save(
                absolute(folder),
                args=ocp.args.Composite(
                    parameters=ocp.args.PyTreeSave(arrays),
                    metadata=ocp.args.JsonSave(sealed(content)),
                ),
            )
    except Exception as error:  # Orbax raises what its storage raises, of any type
        raise UserError(f"{named} cannot be written: {brief(error)}") from error


def load_weights(path: Path) -> Weights:
    """Reads a weights checkpoint.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: it is not a weights checkpoint, or it is damaged; names the path.
    """
    # Saved from numpy, the arrays come back as numpy: on the host, bound to no device.
    content = _restore(path, parameters=ocp.args.PyTreeRestore(), metadata=ocp.args.JsonRestore())
    parameters = dict(content.parameters)
    return Weights(parameters, _metadata_of(content, path, parameters))


def load_metadata(path: Path) -> WeightsMetadata:
    """What a weights checkpoint says about itself; its arrays are not read. Raises as
    `load_weights`."""
    return _metadata_of(_restore(path, metadata=ocp.args.JsonRestore()), path)


def _restore(path: Path, **items: ocp.args.CheckpointArgs) -> Any:
    if not current(path).exists():
        raise MissingFileError(f"{path}: no such checkpoint")
    if not is_weights(path):
        raise UserError(
            f"{path}: not a weights checkpoint of this project; `animal-clip convert` makes one"
        )
    check_no_pipes(current(path))
    try:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            return checkpointer.restore(absolute(current(path)), args=ocp.args.Composite(**items))
    except Exception as error:  # Orbax raises what its storage raises, of any type
        raise _damaged(path, error) from error


def _metadata_of(
    content: Any, path: Path, parameters: Mapping[str, np.ndarray] | None = None
) -> WeightsMetadata:
    """The metadata that was read, and compared with the parameters where they were read too."""
    try:
        is_older = content.metadata.get("version") == 1
        described = unsealed(content.metadata, is_sealed=not is_older)
        metadata = WeightsMetadata.from_json(described)
        if parameters is not None and (not is_older or "digests" in described):
            check_digests(digests_of(parameters.items()), described["digests"])
        return metadata
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DamagedError:
    reason = str(error) if isinstance(error, UserError) else brief(error)
    return DamagedError(
        f"{path}: the checkpoint is damaged or incomplete ({reason}); make it again"
    )
