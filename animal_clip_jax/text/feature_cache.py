"""Features of texts on disk, so that a second start reads what the first has computed.

An entry is a NumPy archive, named after everything that its features depend on:

    <key>.npz    features (texts, embed_dim) float32; num_cut, the number of texts that were cut

Entries are written whole, with a checksum of each array; never changed and never removed. The
folder may be deleted at any time.
"""

import concurrent.futures
import dataclasses
import hashlib
import importlib.metadata
import importlib.resources
import io
import json
import os
import pathlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from animal_clip_jax.files import cannot_write, is_file, write_whole
from animal_clip_jax.models import parameters
from animal_clip_jax.models.text import TextTower
from animal_clip_jax.numpy_archives import read_arrays
from animal_clip_jax.text.encoding import TextFeatures

# To be raised when the same texts and the same tower get other features.
_FORMAT = 2


class DamagedEntry(ValueError):
    """An entry that is not what was written."""


def cache_folder(setting: str) -> pathlib.Path | None:
    """The folder that `config.prompts.cache` means.

    Args:
        setting: a path; "" for `animal_clip_jax/class_features` in the user's folder of caches
            ($XDG_CACHE_HOME, else ~/.cache); "none" for no cache.
    """
    if setting.lower() == "none":
        return None
    if setting:
        return pathlib.Path(setting).expanduser()
    return user_caches() / "class_features"


def user_caches() -> pathlib.Path:
    """Our folder among the user's caches."""
    # An empty or relative $XDG_CACHE_HOME is to be ignored, as the standard says.
    given = pathlib.Path(os.environ.get("XDG_CACHE_HOME", ""))
    caches = given if given.is_absolute() else pathlib.Path("~/.cache").expanduser()
    return caches / "animal_clip_jax"


def tower_digest(tower: TextTower) -> str:
    """Of everything in a tower that its features depend on.

    Args:
        tower: its parameters are NumPy arrays, or `jax.Array`s of which this process holds the
            whole.
    """
    _, values = parameters.split(tower)

    def digest(path: str) -> str:
        value = np.asarray(values[path])
        content = hashlib.sha256(np.ascontiguousarray(value).data).hexdigest()
        return f"{path} {value.dtype} {value.shape} {content}"

    with concurrent.futures.ThreadPoolExecutor() as threads:
        lines = list(threads.map(digest, sorted(values)))
    # Which activation it is does not show in the parameters: sigmoid(1.702) or Φ(1).
    activation = float(tower.blocks[0].mlp.activation(jnp.float32(1)))
    lines += [f"activation {activation:.3f}", f"dtype {jnp.dtype(tower.dtype).name}"]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def tokenizer_digest() -> str:
    """Of the merges table, the code around it, and the version of the library that applies it."""
    package = importlib.resources.files("animal_clip_jax.text")
    digest = hashlib.sha256(importlib.metadata.version("tokenizers").encode())
    for file in (package / "tokenizer.py", package / "data" / "clip_merges.txt.gz"):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def entry_key(texts: Sequence[str], *, tower: str, tokenizer: str, arithmetic: str) -> str:
    """The name of the entry with the features of `texts`, in this order.

    Args:
        tower, tokenizer: their digests.
        arithmetic: how it is computed, see `FeatureCache.open`.
    """
    parts = [_FORMAT, tower, tokenizer, arithmetic, list(texts)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class FeatureCache:
    """The features of one tower in a folder.

    Attributes:
        folder: made when it is first written to.
        tower, tokenizer: their digests.
        arithmetic: the devices' platform and the precision of their matrix products, which round
            differently.
    """

    folder: pathlib.Path
    tower: str
    tokenizer: str
    arithmetic: str

    @classmethod
    def open(cls, folder: pathlib.Path, tower: TextTower, mesh: Mesh) -> "FeatureCache":
        """The cache for a tower on the devices of a mesh."""
        platform = mesh.devices.flat[0].platform
        precision = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
        return cls(folder, tower_digest(tower), tokenizer_digest(), f"{platform} {precision}")

    def entry(self, texts: Sequence[str]) -> pathlib.Path:
        """The file of the entry with the features of `texts`, which need not exist."""
        key = entry_key(
            texts, tower=self.tower, tokenizer=self.tokenizer, arithmetic=self.arithmetic
        )
        return self.folder / f"{key}.npz"

    def read(self, texts: Sequence[str]) -> TextFeatures | None:
        """The stored features of `texts`, None if there are none.

        Raises:
            DamagedEntry: they are not what was written.
            OSError: they cannot be read.
        """
        entry = self.entry(texts)
        if not is_file(entry):
            return None
        content = entry.read_bytes()
        try:
            arrays = read_arrays(content)
            features, num_cut = arrays["features"], int(arrays["num_cut"])
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedEntry(f"{entry} is damaged: {error}") from error
        if features.ndim != 2 or len(features) != len(texts) or features.dtype != np.float32:
            raise DamagedEntry(
                f"{entry} is damaged: {features.dtype} {features.shape} for {len(texts)} texts"
            )
        return TextFeatures(features, num_cut)

    def write(self, texts: Sequence[str], result: TextFeatures) -> None:
        """Stores the features of `texts`, in place of a damaged entry or a new one.

        Raises:
            UserError: they cannot be stored.
        """
        content = io.BytesIO()
        np.savez(content, features=result.features, num_cut=result.num_cut)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        write_whole(self.entry(texts), content.getvalue())
