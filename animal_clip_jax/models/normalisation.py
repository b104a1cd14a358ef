"""The pixel statistics that pretrained weights expect, and normalising by them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

Triple = tuple[float, float, float]


class Normalisation(NamedTuple):
    """(pixel - mean) / std, per channel in the order red, green, blue, for pixels of 0..255."""

    mean: Triple
    std: Triple


# ImageNet's, which X-CLIP and Animal-CLIP take.
IMAGENET = Normalisation((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
# OpenAI CLIP's own (BioCLIP takes them too), published on [0, 1]: .48145466 .4578275 .40821073,
# .26862954 .26130258 .27577711.
CLIP = Normalisation(
    (122.7709383, 116.7460125, 104.09373615), (68.5005327, 66.6321579, 70.32316305)
)
# PySlowFast's, on [0, 1] .45 and .225.
KINETICS = Normalisation((114.75,) * 3, (57.375,) * 3)


@jax.named_scope("normalise")
def normalise(frames: jax.Array, mean: tuple[float, ...], std: tuple[float, ...]) -> jax.Array:
    """(pixels − mean) / std.

    Args:
        frames: (..., 3) uint8 or float, RGB, 0 to 255.
        mean, std: three values, on the scale of the pixels.

    Returns:
        float32, the shape of `frames`.
    """
    return (frames.astype(jnp.float32) - jnp.asarray(mean)) / jnp.asarray(std)
