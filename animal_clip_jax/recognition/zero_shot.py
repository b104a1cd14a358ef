"""The frozen image–text model that looks at a clip's frames: what it sees, and what names it knows.

Any CLIP that `animal-clip convert` has written will do, BioCLIP among them; of an
X-CLIP or Animal-CLIP the CLIP towers inside are taken.
"""

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from animal_clip_jax.conversion import families, weights
from animal_clip_jax.errors import UserError
from animal_clip_jax.models import parameters
from animal_clip_jax.models.architectures import ClipArchitecture
from animal_clip_jax.models.clip import Clip, unit_length
from animal_clip_jax.models.normalisation import Normalisation, normalise
from animal_clip_jax.models.parameters import Parameters


@dataclasses.dataclass(frozen=True)
class Recogniser:
    """A frozen CLIP.

    Attributes:
        graphdef: structure of the `Clip`.
        values: its parameters by path.
        architecture: of its towers.
        normalisation: the pixel statistics that it expects.
        fitted_to: the clips that it was fitted to, see `WeightsMetadata`.
    """

    graphdef: nnx.GraphDef
    values: Parameters
    architecture: ClipArchitecture
    normalisation: Normalisation
    fitted_to: str = ""

    @classmethod
    def load(cls, folder: str | pathlib.Path) -> "Recogniser":
        """Reads a folder written by `animal-clip convert`.

        Raises:
            FileNotFoundError, ValueError: it is missing, damaged, or holds something else; the
                message names it.
        """
        values, metadata = weights.load_weights(folder)
        description = families.describe_target(metadata.model, "clip", {})
        expected = families.shapes(description)
        missing = [path for path in expected if path not in values]
        if missing:
            raise UserError(f"{folder}: no image–text model: {', '.join(missing[:5])} missing")
        invented = [path for path in metadata.initialised if path in expected]
        if invented:
            raise UserError(
                f"{folder}: cannot recognise anything: {', '.join(invented[:5])} was not in the "
                "source of these weights and holds initial values"
            )
        graphdef, _ = parameters.abstract(
            lambda: Clip(description.towers, rngs=parameters.rngs_for_shapes())
        )
        return cls(
            graphdef,
            {path: values[path] for path in expected},
            description.towers,
            metadata.normalisation,
            metadata.fitted_to,
        )

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of its parameters."""
        return weights.digest_of(self.values)

    def model(self, values: Parameters | None = None) -> Clip:
        """The module, with other parameters of the same shapes if given."""
        model = parameters.merge(self.graphdef, self.values if values is None else values)
        assert isinstance(model, Clip)
        return model

    def encode_frames(self, values: Parameters, frames: jax.Array) -> jax.Array:
        """Image features of clips: the mean of their frames' unit features, of unit length itself.

        Args:
            values: the parameters, on the devices.
            frames: (clips, frames, size, size, 3) uint8.

        Returns:
            (clips, embed_dim) float32.
        """
        return unit_length(jnp.mean(self.encode_each_frame(values, frames), axis=1))

    def encode_each_frame(self, values: Parameters, frames: jax.Array) -> jax.Array:
        """Image features of frames, of unit length.

        Args:
            values, frames: as for `encode_frames`.

        Returns:
            (clips, frames, embed_dim) float32.
        """
        pixels = normalise(frames, *self.normalisation)
        images = pixels.reshape(-1, *pixels.shape[2:])
        features = unit_length(self.model(values).visual(images))
        return features.reshape(*frames.shape[:2], -1)


def name_probabilities(
    image_features: np.ndarray,
    name_features: np.ndarray,
    *,
    logit_scale: float,
    temperature: float = 1.0,
    top_k: int = 0,
) -> np.ndarray:
    """How likely each animal is, by how well its name fits what is seen.

    Args:
        image_features: (clips, embed_dim) of unit length.
        name_features: (animals, embed_dim), of any length.
        logit_scale: the logarithm of the model's own factor before its softmax.
        temperature: divides the logits; above 1 the probabilities are more even.
        top_k: only so many animals keep their probability in each clip; 0 keeps all.

    Returns:
        (clips, animals) float32, rows of sum 1.
    """
    names = name_features / np.linalg.norm(name_features, axis=1, keepdims=True)
    logits = np.exp(logit_scale) * (image_features @ names.T) / temperature
    return keep_best(softmax(logits), top_k)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def keep_best(probabilities: np.ndarray, top_k: int) -> np.ndarray:
    """Shares each row among its `top_k` largest; 0, or more than there are, keeps all."""
    if 0 < top_k < probabilities.shape[1]:
        others = np.argsort(-probabilities, axis=1, kind="stable")[:, top_k:]
        probabilities = probabilities.copy()
        np.put_along_axis(probabilities, others, 0.0, axis=1)
    return (probabilities / probabilities.sum(axis=1, keepdims=True)).astype(np.float32)
