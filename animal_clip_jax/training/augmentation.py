"""What is done to the pixels on the device in training: colour jitter, grey, MixUp and CutMix.

Every random draw is an array over the whole batch, so that it does not depend on how the batch is
spread over devices.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

_LUMA = (0.299, 0.587, 0.114)
_TO_YIQ = np.array([_LUMA, (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135)])
_FROM_YIQ = np.linalg.inv(_TO_YIQ)
# The parts of a rotation in the IQ plane, seen from RGB: constant, times cosine, times sine.
_KEPT = np.outer(_FROM_YIQ[:, 0], _TO_YIQ[0]).astype(np.float32)
_WITH_COSINE = (_FROM_YIQ[:, 1:] @ _TO_YIQ[1:]).astype(np.float32)
_WITH_SINE = (_FROM_YIQ[:, 1:] @ [[0, -1], [1, 0]] @ _TO_YIQ[1:]).astype(np.float32)


def _grey(frames: jax.Array) -> jax.Array:
    return jnp.sum(frames * jnp.asarray(_LUMA), axis=-1, keepdims=True)


def _shift_hue(frames: jax.Array, turns: jax.Array) -> jax.Array:
    """Rotates the colour about the grey axis in YIQ space, which leaves the luma alone."""
    angle = 2 * jnp.pi * turns.reshape(-1, 1, 1)
    matrix = _KEPT + jnp.cos(angle) * _WITH_COSINE + jnp.sin(angle) * _WITH_SINE
    # Where the default precision is below float32, greys would come out coloured.
    return jnp.einsum("b...c,bdc->b...d", frames, matrix, precision=jax.lax.Precision.HIGHEST)


@jax.named_scope("colour_jitter")
def colour_jitter(
    frames: jax.Array,
    key: jax.Array,
    *,
    probability: float = 0.8,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.2,
    hue: float = 0.1,
    grey_probability: float = 0.2,
) -> jax.Array:
    """Changes the colours of whole clips, every frame of a clip alike.

    Args:
        frames: (clips, frames, height, width, 3) RGB, 0 to 255.
        probability: of a clip being jittered: brightness, contrast and saturation by a factor
            within 1 ± the value, hue by a turn within ± the value.
        grey_probability: of a clip losing its colour.

    Returns:
        float32, the shape of `frames`, 0 to 255.
    """
    keys = jax.random.split(key, 6)
    shape = (frames.shape[0], 1, 1, 1, 1)

    def factor(key: jax.Array, amount: float) -> jax.Array:
        return jax.random.uniform(key, shape, minval=1 - amount, maxval=1 + amount)

    original = frames.astype(jnp.float32)
    x = jnp.clip(original * factor(keys[0], brightness), 0, 255)
    level = jnp.mean(_grey(x), axis=(1, 2, 3), keepdims=True)
    x = jnp.clip(level + (x - level) * factor(keys[1], contrast), 0, 255)
    grey = _grey(x)
    x = jnp.clip(grey + (x - grey) * factor(keys[2], saturation), 0, 255)
    turns = jax.random.uniform(keys[3], shape, minval=-hue, maxval=hue)
    x = jnp.clip(_shift_hue(x, turns), 0, 255)
    x = jnp.where(jax.random.bernoulli(keys[4], probability, shape), x, original)
    is_grey = jax.random.bernoulli(keys[5], grey_probability, shape)
    return jnp.where(is_grey, jnp.broadcast_to(_grey(x), x.shape), x)


@jax.named_scope("mix")
def mix(
    frames: jax.Array,
    labels: tuple[jax.Array, ...],
    key: jax.Array,
    *,
    mixup_alpha: float = 0.8,
    cutmix_alpha: float = 1.0,
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    """MixUp (Zhang et al., 2018) or CutMix (Yun et al., 2019) of every clip with its neighbour.

    One of the two and one share λ ~ Beta(α, α) are drawn a batch. The order of a training batch is
    random, so that the neighbour is a random other clip; taking the neighbour keeps the exchange
    between devices to one clip each.

    Args:
        frames: (clips, frames, height, width, 3) float.
        labels: arrays (clips, ...) that are mixed in the same shares.
        mixup_alpha, cutmix_alpha: α of either, above 0 and finite.

    Returns:
        mixed frames, mixed labels.

    Raises:
        ValueError: an α for which there is no Beta(α, α); raised when it is traced.
    """
    for name, alpha in (("mixup_alpha", mixup_alpha), ("cutmix_alpha", cutmix_alpha)):
        if not 0 < alpha < math.inf:
            raise ValueError(f"{name} is {alpha}; expected a finite number above 0")
    which_key, mixup_key, cutmix_key, row_key, column_key = jax.random.split(key, 5)
    height, width = frames.shape[2:4]
    use_mixup = jax.random.bernoulli(which_key)
    other = jnp.roll(frames, 1, axis=0)

    mixup_share = jax.random.beta(mixup_key, mixup_alpha, mixup_alpha)
    blended = mixup_share * frames + (1 - mixup_share) * other

    # A box of area 1 − λ around a random centre, cut off at the border.
    side = jnp.sqrt(1 - jax.random.beta(cutmix_key, cutmix_alpha, cutmix_alpha))
    rows = _is_in_box(height, side, row_key)
    columns = _is_in_box(width, side, column_key)
    in_box = rows[:, None] & columns[None, :]
    cut = jnp.where(in_box[None, None, :, :, None], other, frames)
    cutmix_share = 1 - jnp.mean(in_box)

    share = jnp.where(use_mixup, mixup_share, cutmix_share)
    mixed = tuple(share * x + (1 - share) * jnp.roll(x, 1, axis=0) for x in labels)
    return jnp.where(use_mixup, blended, cut), mixed


def _is_in_box(length: int, side: jax.Array, key: jax.Array) -> jax.Array:
    centre = jax.random.randint(key, (), 0, length)
    half = jnp.floor(length * side / 2)
    position = jnp.arange(length)
    return (position >= centre - half) & (position < centre + half)
