"""Plain CLIP: an image tower and a text tower (OpenAI CLIP, OpenCLIP, BioCLIP)."""

import math

import jax
import jax.numpy as jnp
from flax import nnx

from animal_clip_jax.models.architectures import ClipArchitecture
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.text import TextTower
from animal_clip_jax.models.video import ImageTower

LOGIT_SCALE_INIT = math.log(1 / 0.07)


def unit_length(x: jax.Array) -> jax.Array:
    """Scales the last axis to length 1, in float32."""
    x = x.astype(jnp.float32)
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


class Clip(nnx.Module):
    """Scores how well images and texts match.

    Examples:
        >>> model = Clip(ARCHITECTURES["ViT-B/16"], dtype=jnp.float32, rngs=nnx.Rngs(0))
        >>> model(images, tokenize(["a fox", "a zebra"]))  # (images, 2)
    """

    def __init__(
        self, architecture: ClipArchitecture, *, dtype: jnp.dtype = jnp.float32, rngs: nnx.Rngs
    ):
        self.text = TextTower(architecture, dtype=dtype, rngs=rngs)
        self.visual = ImageTower(architecture, dtype=dtype, rngs=rngs)
        self.logit_scale = nnx.Param(jnp.float32(LOGIT_SCALE_INIT))

    def __call__(self, images: jax.Array, tokens: jax.Array) -> jax.Array:
        """(images, size, size, 3) and (texts, length) → logits (images, texts), float32."""
        image_features = unit_length(self.visual(images))
        text_features = unit_length(self.text(tokens))
        return jnp.exp(self.logit_scale[...]) * image_features @ text_features.T

    def encode_video(self, clips: jax.Array) -> jax.Array:
        """The mean of the frames' unit features: normalised pixels (clips, frames, size, size, 3)
        → (clips, embed_dim), float32, not of unit length."""
        frames = unit_length(self.visual(clips.reshape(-1, *clips.shape[2:])))
        return jnp.mean(frames.reshape(*clips.shape[:2], -1), axis=1)

    def score(
        self, clips: jax.Array, classes: ClassContext, animal_weights: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Scores the actions of clips as those of their mean frame, which no order of the frames
        changes.

        Args:
            clips: (clips, frames, size, size, 3) normalised pixels.
            classes: only its action features (actions, embed_dim) are used.
            animal_weights: not used; it is here so that all models are called alike.

        Returns:
            logits (clips, actions), float32; and the video features (clips, embed_dim).
        """
        videos = self.encode_video(clips)
        return self.score_encoded(videos, classes, animal_weights), videos

    def score_encoded(
        self, videos: jax.Array, classes: ClassContext, animal_weights: jax.Array
    ) -> jax.Array:
        """Scores the actions of clips that have been through `encode_video`: (clips, embed_dim) →
        logits (clips, actions), float32. See `score`."""
        del animal_weights
        actions = unit_length(jnp.asarray(classes.action_features))
        return jnp.exp(self.logit_scale[...]) * unit_length(videos) @ actions.T
