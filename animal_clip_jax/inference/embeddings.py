"""Features of videos, each in a file of its own until all are there."""

import io
from collections.abc import Sequence

import numpy as np
from etils import epath

from animal_clip_jax.files import write_whole


class Embeddings:
    """A folder of them."""

    def __init__(self, folder: epath.Path) -> None:
        self._folder = folder

    def _path(self, name: str) -> epath.Path:
        return self._folder / f"{name}.npy"

    def add(self, name: str, embedding: np.ndarray) -> None:
        """Keeps that of a video, (embed_dim,); (0,) where there is none."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        np.save(content, embedding.astype(np.float32), allow_pickle=False)
        write_whole(path, content.getvalue())

    def gather(self, path: epath.Path, names: Sequence[str]) -> None:
        """One file with all of them: `names` (N) and `embeddings` (N, embed_dim)."""
        found = {}
        for name in names:
            if self._path(name).exists():
                array = np.load(self._path(name), allow_pickle=False)
                if len(array):
                    found[name] = array
        content = io.BytesIO()
        np.savez(
            content,
            names=np.array(list(found)),
            embeddings=np.stack(list(found.values())) if found else np.zeros((0, 0), np.float32),
        )
        write_whole(path, content.getvalue())
