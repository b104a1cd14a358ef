"""What the training step, evaluation and prediction ask of a model of videos."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from animal_clip_jax.models.class_context import ClassContext


def video_features(encoded: Any) -> jax.Array:
    """One feature a clip, (clips, width) float32, of what a model's `encode_video` gives.

    X-CLIP gives those of its patches beside it; I3D, SlowFast and X3D give features at several
    positions, whose mean it is.
    """
    features = encoded[0] if isinstance(encoded, tuple) else encoded
    positions = tuple(range(1, features.ndim - 1))
    features = features.astype(jnp.float32)
    return jnp.mean(features, axis=positions) if positions else features


class VideoModel(nnx.Module):
    """A model that encodes clips, and scores what it has encoded.

    A model of this kind has `encode_video` and `score_encoded`; all else follows.
    """

    def encode_video(self, clips: jax.Array, *, key: jax.Array | None = None) -> Any:
        """Normalised pixels (clips, frames, size, size, 3) → features (clips, width).

        Args:
            key: random key for dropout and stochastic depth, None outside training.
        """
        raise NotImplementedError

    def score_encoded(
        self,
        videos: Any,
        classes: ClassContext | None = None,
        animal_weights: jax.Array | None = None,
        *,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """What `encode_video` gave → logits (clips, actions), float32."""
        raise NotImplementedError

    def score(
        self,
        clips: jax.Array,
        classes: ClassContext | None = None,
        animal_weights: jax.Array | None = None,
        *,
        key: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        """Scores the actions.

        Args:
            clips: (clips, frames, size, size, 3) normalised pixels, float.
            classes, animal_weights: as far as the model uses them.
            key: random key for dropout and stochastic depth, None outside training.

        Returns:
            logits (clips, actions), float32; and what `encode_video` gives.
        """
        keys = (None, None) if key is None else jax.random.split(key)
        videos = self.encode_video(clips, key=keys[0])
        return self.score_encoded(videos, classes, animal_weights, key=keys[1]), videos

    def __call__(
        self,
        clips: jax.Array,
        classes: ClassContext | None = None,
        animal_weights: jax.Array | None = None,
        *,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """The logits of `score` alone."""
        return self.score(clips, classes, animal_weights, key=key)[0]
