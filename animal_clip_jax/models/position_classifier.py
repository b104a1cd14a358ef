"""The classifier that ends I3D, SlowFast and X3D: one projection at every position of a window.

The window is as large as the features of a clip of the size that the model is for, so that such a
clip has one position. A larger one has several, and its probabilities are the mean of theirs.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.initial_values import normal
from animal_clip_jax.models.video_model import VideoModel

PROJECTION_STD = 0.01

# How a model's logits become probabilities: of one class of many, or of each for itself.
ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "softmax": jax.nn.softmax,
    "sigmoid": jax.nn.sigmoid,
}


class PositionClassifier(VideoModel):
    """A model of fixed classes, called as those that read texts are.

    Args:
        width: of the features.
        num_classes: of the projection; which classes they are is for the caller to know.
        dropout_rate: of the features in training.
    """

    def __init__(self, width: int, num_classes: int, *, dropout_rate: float, rngs: nnx.Rngs):
        self.dropout_rate = dropout_rate
        self.projection = nnx.Linear(
            width, num_classes, kernel_init=normal(PROJECTION_STD), rngs=rngs
        )

    def encode_video(
        self, clips: jax.Array, *, training: bool | None = None, key: jax.Array | None = None
    ) -> jax.Array:
        """The features of clips at every position.

        Args:
            clips: (clips, frames, height, width, 3) normalised pixels, float, see
                `normalisation.normalise`; the computation is in the model's dtype.
            training: whether to normalise by the statistics of this batch and to move the running
                ones, see `parameters.with_new_statistics`; None for whether there is a key.
            key: a random key in training; nothing is random before `score_encoded`.

        Returns:
            (clips, positions in time, in height, in width, width), float32.

        Raises:
            UserError: clips that are too short or too small for the window.
        """
        raise NotImplementedError

    @jax.named_scope("projection")
    def position_logits(self, encoded: jax.Array) -> jax.Array:
        """What `encode_video` gives → (clips, positions in time, height, width, classes)."""
        return self.projection(encoded)

    def probabilities(self, encoded: jax.Array, activation: str) -> jax.Array:
        """What `encode_video` gives → (clips, classes): means over the positions.

        Args:
            activation: "softmax" or "sigmoid".
        """
        return jnp.mean(ACTIVATIONS[activation](self.position_logits(encoded)), axis=(1, 2, 3))

    def score_encoded(
        self,
        encoded: jax.Array,
        classes: ClassContext | None = None,
        animal_weights: jax.Array | None = None,
        *,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """The logits of clips that have been through `encode_video`.

        Args:
            classes, animal_weights: not used; they are here so that all models are called alike.
            key: random key for dropout, None for none.

        Returns:
            (clips, classes), float32, means over the positions.
        """
        del classes, animal_weights
        if key is not None and self.dropout_rate > 0:
            is_kept = jax.random.bernoulli(key, 1 - self.dropout_rate, encoded.shape)
            encoded = jnp.where(is_kept, encoded / (1 - self.dropout_rate), 0)
        return jnp.mean(self.position_logits(encoded), axis=(1, 2, 3))

    def score(
        self,
        clips: jax.Array,
        classes: ClassContext | None = None,
        animal_weights: jax.Array | None = None,
        *,
        training: bool | None = None,
        key: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        """Scores the classes of clips.

        Args:
            clips, training: see `encode_video`.
            classes, animal_weights, key: see `score_encoded`.

        Returns:
            logits (clips, classes), float32; and the features (clips, width), means over the
            positions.
        """
        encoded = self.encode_video(clips, training=training, key=key)
        logits = self.score_encoded(encoded, classes, animal_weights, key=key)
        return logits, jnp.mean(encoded, axis=(1, 2, 3))

    def __call__(
        self,
        clips: jax.Array,
        classes: ClassContext | None = None,
        animal_weights: jax.Array | None = None,
        *,
        training: bool | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """The logits of `score` alone."""
        return self.score(clips, classes, animal_weights, training=training, key=key)[0]


def is_training(training: bool | None, key: jax.Array | None) -> bool:
    """Whether batch statistics are taken: as is asked for, or else where there is a key."""
    return key is not None if training is None else training
