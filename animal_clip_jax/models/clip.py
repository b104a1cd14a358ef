"""Plain CLIP: an image tower and a text tower (OpenAI CLIP, OpenCLIP, BioCLIP)."""

import math

import jax
import jax.numpy as jnp
from flax import nnx

from animal_clip_jax.models.architectures import ClipArchitecture
from animal_clip_jax.models.text import TextTower
from animal_clip_jax.models.video import ImageTower

LOGIT_SCALE_INIT = math.log(1 / 0.07)


def unit_length(x: jax.Array) -> jax.Array:
    """Scales the last axis to length 1, in float32."""
    x = x.astype(jnp.float32)
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


class Clip(nnx.Module):
    """Scores how well images and texts match.

    Example:
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
