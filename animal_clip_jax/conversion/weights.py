"""Everything that touches Orbax.

A weights checkpoint is a folder that Orbax writes: the parameters by path, and a description of the
model that they belong to and of where they come from.
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from animal_clip_jax.models.architectures import ClipArchitecture
from animal_clip_jax.models.description import ModelDescription
from animal_clip_jax.models.normalisation import Normalisation

Path = str | os.PathLike[str]
_FORMAT = "animal_clip_jax weights"
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class WeightsMetadata:
    """What a weights checkpoint says about itself.

    Attributes:
        model: family and dimensions.
        normalisation: the pixel statistics that the weights expect.
        source_files: name and SHA-256 digest of each file that the weights were read from.
        initialised: paths of the parameters that the source lacked, which hold initial values.
    """

    model: ModelDescription
    normalisation: Normalisation
    source_files: Mapping[str, str]
    initialised: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries, lists, texts and numbers."""
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "model": dataclasses.asdict(self.model),
            "normalisation": self.normalisation._asdict(),
            "source_files": dict(self.source_files),
            "initialised": list(self.initialised),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "WeightsMetadata":
        """The inverse of `to_json`.

        Raises:
            ValueError, KeyError, TypeError: `content` is something else.
        """
        if content["format"] != _FORMAT or content["version"] != _VERSION:
            raise ValueError(
                f"format {content['format']!r}, version {content['version']!r}; expected "
                f"{_FORMAT!r}, version {_VERSION}"
            )
        model = dict(content["model"])
        architecture = ClipArchitecture(**model.pop("architecture"))
        return cls(
            model=ModelDescription(architecture=architecture, **model),
            normalisation=Normalisation(
                *(tuple(content["normalisation"][name]) for name in Normalisation._fields)
            ),
            source_files=dict(content["source_files"]),
            initialised=tuple(content["initialised"]),
        )


def is_weights(path: Path) -> bool:
    """Whether there is a weights checkpoint at `path`."""
    return (epath.Path(path) / "metadata" / "metadata").exists()


def check_destination(path: Path, *, overwrite: bool = False) -> None:
    """Refuses a destination before any work is done for it.

    Raises:
        FileExistsError: there is something at `path`, and `overwrite` is false, or it is not a
            weights checkpoint; names the path.
    """
    if not epath.Path(path).exists():
        return
    if not overwrite:
        raise FileExistsError(f"{path}: already exists; choose another path or pass --overwrite")
    if not is_weights(path):
        raise FileExistsError(f"{path}: not a weights checkpoint, so it is not overwritten")


def save_weights(
    path: Path,
    parameters: Mapping[str, Any],
    metadata: WeightsMetadata,
    *,
    overwrite: bool = False,
) -> None:
    """Writes a weights checkpoint; it appears at `path` once it is complete.

    Args:
        path: a folder to create.
        parameters: arrays by path, as `models.parameters.split` gives them.
        metadata: what the checkpoint says about itself.
        overwrite: replace a weights checkpoint that is there.

    Raises:
        FileExistsError: see `check_destination`.
    """
    check_destination(path, overwrite=overwrite)
    # A scalar must be an array too, for Orbax to keep its dtype.
    arrays = {name: np.asarray(value) for name, value in parameters.items()}
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        checkpointer.save(
            _absolute(path),
            args=ocp.args.Composite(
                parameters=ocp.args.PyTreeSave(arrays),
                metadata=ocp.args.JsonSave(metadata.to_json()),
            ),
            force=overwrite,
        )


def load_weights(path: Path) -> tuple[dict[str, np.ndarray], WeightsMetadata]:
    """Reads a weights checkpoint.

    Returns:
        float32 numpy arrays by path, and the metadata.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: it is not a weights checkpoint, or it is damaged; names the path.
    """
    if not epath.Path(path).exists():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    if not is_weights(path):
        raise ValueError(
            f"{path}: not a weights checkpoint of this project; "
            "`python -m animal_clip_jax.convert` makes one"
        )
    try:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            # Saved from numpy, the arrays come back as numpy: on the host, bound to no device.
            content = checkpointer.restore(
                _absolute(path),
                args=ocp.args.Composite(
                    parameters=ocp.args.PyTreeRestore(), metadata=ocp.args.JsonRestore()
                ),
            )
        metadata = WeightsMetadata.from_json(content.metadata)
    except (ValueError, KeyError, TypeError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"{path}: the checkpoint is damaged or incomplete ({reason})") from error
    return dict(content.parameters), metadata


def _absolute(path: Path) -> epath.Path:
    """Orbax takes absolute paths only; a URL such as gs://… is absolute."""
    text = os.fspath(path)
    return epath.Path(text if "://" in text else pathlib.Path(text).absolute())
