"""Classification losses: one value a clip, from logits and (soft, multi-hot) targets.

All take `logits` (clips, actions) and `targets` (clips, actions), compute in float32 and return
(clips,) float32. `REDUCTIONS` says how a batch's values become the loss, `OUTPUTS` how the logits
of a model that was trained with it become probabilities.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal, cast, get_args

import jax
import jax.numpy as jnp
import numpy as np

from animal_clip_jax.errors import UserError

Loss = Callable[[jax.Array, jax.Array], jax.Array]

# The asymmetric loss is published as a sum over the batch, the others as a mean.
REDUCTIONS = {
    "cross_entropy": "mean",
    "binary_cross_entropy": "mean",
    "asymmetric": "sum",
    "distribution_balanced": "mean",
    "focal": "mean",
    "ldam": "mean",
}

# A loss of every action by itself is least where sigmoid(logit) is that action's probability,
# whatever the others' are; cross entropy among the actions where softmax(logits) is their shares.
# The other function would rank actions alike within a clip, but not between clips.
OUTPUTS: dict[str, Literal["sigmoid", "softmax"]] = {
    "cross_entropy": "softmax",
    "binary_cross_entropy": "sigmoid",
    "asymmetric": "sigmoid",
    "distribution_balanced": "sigmoid",
    "focal": "sigmoid",
    "ldam": "softmax",
}

BiasVariant = Literal["paper", "code"]


def cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """−Σ_k y_k log softmax(logits)_k. A multi-label target is the plain multi-hot, whatever its
    sum."""
    return -jnp.sum(targets * jax.nn.log_softmax(logits.astype(jnp.float32)), axis=-1)


def binary_cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Binary cross entropy of every action by itself, averaged over the actions."""
    return jnp.mean(_binary_cross_entropy(logits.astype(jnp.float32), targets), axis=-1)


def _binary_cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    # log(1 + e^x) − x·y without overflow.
    return jax.nn.softplus(logits) - logits * targets


def asymmetric(
    logits: jax.Array,
    targets: jax.Array,
    *,
    gamma_negative: float = 2.0,
    gamma_positive: float = 1.0,
    clip: float = 0.05,
) -> jax.Array:
    """Asymmetric loss (Ridnik et al., ICCV 2021), summed over the actions.

    Negatives have their probability shifted down by `clip`, and are focused harder than positives;
    the focusing weight gets no gradient.
    """
    probability = jax.nn.sigmoid(logits.astype(jnp.float32))
    negative = jnp.minimum(1 - probability + clip, 1.0)
    log_likelihood = targets * jnp.log(jnp.maximum(probability, 1e-8)) + (1 - targets) * jnp.log(
        jnp.maximum(negative, 1e-8)
    )
    right = probability * targets + negative * (1 - targets)
    gamma = gamma_positive * targets + gamma_negative * (1 - targets)
    weight = jax.lax.stop_gradient((1 - right) ** gamma)
    return -jnp.sum(weight * log_likelihood, axis=-1)


@dataclasses.dataclass(frozen=True)
class DistributionBalanced:
    """Distribution-balanced loss (Wu et al., ECCV 2020) for long-tailed multi-label data.

    Binary cross entropy with rebalanced weights, negative-tolerant regularisation and focus.

    Attributes:
        positives: (actions,) training clips of each action.
        num_clips: training clips.
        alpha, beta, gamma: of the smoothed rebalancing weight.
        focal_gamma, focal_balance: exponent and factor of the focus.
        negative_scale: λ, how much steeper negatives are seen.
        initial_bias: κ, of the class bias ν = κ log(num_clips / positives − 1), which logits are
            lowered by.
        bias_variant: the paper's ν ("paper"), or ν / λ, as the authors' code has it ("code").
    """

    positives: np.ndarray
    num_clips: int
    alpha: float = 0.1
    beta: float = 10.0
    gamma: float = 0.2
    focal_gamma: float = 2.0
    focal_balance: float = 2.0
    negative_scale: float = 2.0
    initial_bias: float = 0.05
    bias_variant: BiasVariant = "paper"

    def __call__(self, logits: jax.Array, targets: jax.Array) -> jax.Array:
        """Averaged over the actions."""
        positives = np.maximum(self.positives.astype(np.float64), 1.0)
        inverse = jnp.asarray(1.0 / positives, jnp.float32)
        bias = -np.log(np.maximum(self.num_clips / positives - 1.0, 1e-8)) * self.initial_bias
        if self.bias_variant == "code":
            bias = bias / self.negative_scale
        logits = logits.astype(jnp.float32) + jnp.asarray(bias, jnp.float32)

        repeats = jnp.sum(targets * inverse, axis=-1, keepdims=True)
        ratio = inverse / jnp.maximum(repeats, 1e-12)
        weight = jax.nn.sigmoid(self.beta * (ratio - self.gamma)) + self.alpha

        # Negatives are seen through a steeper sigmoid and weigh less in return.
        is_negative = 1 - targets
        logits = logits * (targets + is_negative * self.negative_scale)
        weight = weight * (targets + is_negative / self.negative_scale)

        cross_entropies = _binary_cross_entropy(logits, targets)
        right = jnp.exp(-cross_entropies)
        focus = self.focal_balance * (1 - right) ** self.focal_gamma
        return jnp.mean(weight * focus * cross_entropies, axis=-1)


def focal(
    logits: jax.Array, targets: jax.Array, *, alpha: float = 0.25, gamma: float = 2.0
) -> jax.Array:
    """Focal loss (Lin et al., ICCV 2017) of every action by itself, averaged over the actions:
    −α_t (1 − p_t)^γ log p_t, with α for positives and 1 − α for negatives."""
    cross_entropies = _binary_cross_entropy(logits.astype(jnp.float32), targets)
    right = jnp.exp(-cross_entropies)
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return jnp.mean(weight * (1 - right) ** gamma * cross_entropies, axis=-1)


@dataclasses.dataclass(frozen=True)
class Ldam:
    """Label-distribution-aware margin loss (Cao et al., NeurIPS 2019).

    Cross entropy in which the cosine of a true action is lowered by a margin ∝ n^-¼, n its training
    clips.

    Attributes:
        positives: (actions,) training clips of each action.
        scale: what the cosines were multiplied by to become the logits.
        max_margin: of the rarest action, in cosine.
    """

    positives: np.ndarray
    scale: float
    max_margin: float = 0.5

    def __call__(self, logits: jax.Array, targets: jax.Array) -> jax.Array:
        margins = np.maximum(self.positives.astype(np.float64), 1.0) ** -0.25
        margins = margins * (self.max_margin / margins.max())
        return cross_entropy(logits - self.scale * targets * margins.astype(np.float32), targets)


def build(
    name: str,
    *,
    positives: np.ndarray,
    num_clips: int,
    logit_scale: float,
    distribution_balanced_bias: str = "paper",
) -> Loss:
    """The loss called `name`, one of `REDUCTIONS`.

    Args:
        positives: (actions,) training clips of each action (for "distribution_balanced" and
            "ldam").
        num_clips: training clips (for "distribution_balanced").
        logit_scale: the factor exp(logit_scale) between the model's cosines and its logits, which
            is not trained (for "ldam").
        distribution_balanced_bias: "paper" or "code", see `DistributionBalanced.bias_variant`.

    Raises:
        UserError: another name or variant; names the configuration's field.
    """
    if distribution_balanced_bias not in get_args(BiasVariant):
        raise UserError(
            f"config.distribution_balanced_bias is {distribution_balanced_bias!r}; expected "
            f"{' or '.join(map(repr, get_args(BiasVariant)))}"
        )
    losses: dict[str, Loss] = {
        "cross_entropy": cross_entropy,
        "binary_cross_entropy": binary_cross_entropy,
        "asymmetric": asymmetric,
        "distribution_balanced": DistributionBalanced(
            positives, num_clips, bias_variant=cast(BiasVariant, distribution_balanced_bias)
        ),
        "focal": focal,
        "ldam": Ldam(positives, logit_scale),
    }
    if name not in losses:
        raise UserError(f"config.loss is {name!r}; expected one of {', '.join(losses)}")
    return losses[name]
