"""What a run was made from: data, weights, texts.

Where they lie does not matter, what they are does.

A run keeps all that it needs of them, but for the data that it trains on and the model that
recognises animals. Of each it records the path and a digest, so that it can be found again, and
told from another one.
"""

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from animal_clip_jax.conversion.weights import is_weights, load_weights
from animal_clip_jax.errors import UserError
from animal_clip_jax.files import as_path
from animal_clip_jax.run.config import flat_config, input_paths
from data_pipeline.dataset import dataset_digest


@dataclasses.dataclass(frozen=True)
class Input:
    """Something that a run was made from.

    Attributes:
        path: where it was, whole.
        digest: of its content, in hexadecimal.
    """

    path: str
    digest: str


def digest_of(field: str, path: str) -> str:
    """The digest of what a field of the configuration names.

    Raises:
        UserError: it is missing or damaged.
    """
    if field == "data.directory":
        return dataset_digest(path)
    if field in ("init_from", "animals.weights"):
        return load_weights(path).digest()
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def record_inputs(config: ConfigDict, known: Mapping[str, str] | None = None) -> dict[str, Input]:
    """Everything that a configuration with absolute paths names.

    Args:
        known: digests that are known already, by field.
    """
    known = known or {}
    return {
        field: Input(path, known.get(field) or digest_of(field, path))
        for field, path in input_paths(config).items()
    }


def check_inputs(config: ConfigDict, recorded: Mapping[str, Input], where: str) -> None:
    """Makes sure that a run that goes on is given what it was made from.

    What is no longer there is not missed: the run has what it needs of it. The data is an
    exception, and is always compared.

    Args:
        config: with absolute paths.
        recorded: by field; nothing for a run that recorded none.
        where: the run's folder, for the message.

    Raises:
        UserError: names the fields with something else in them.
    """
    if not recorded:
        return
    given = input_paths(config)
    different = []
    # Whether a field names a path at all was compared with the rest of the configuration.
    for field in sorted(given.keys() & recorded.keys()):
        path, was = given[field], recorded[field]
        is_data = field == "data.directory"
        # Of a run to start from, only the weights were taken, and it may have gone on since.
        is_gone = not as_path(path).exists() or (field == "init_from" and not is_weights(path))
        if not is_data and (path == was.path or is_gone):
            continue
        if digest_of(field, path) != was.digest:
            different.append(f"{field} ({path} is not what the run was made from, {was.path})")
    if different:
        raise UserError(
            f"{where} holds a run with another configuration: {'; '.join(different)}. Choose "
            "another --workdir, or give the same configuration to go on"
        )


def same_but_for_paths(config: ConfigDict) -> dict[str, Any]:
    """The leaves of a configuration with one word for every path that `check_inputs` looks at."""
    flat = flat_config(config)
    return flat | dict.fromkeys(input_paths(config), "a path")
