"""Which parameters are trained, at what rate, with what decay; and the learning-rate schedule."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from animal_clip_jax.models.refinement_options import PUBLISHED, RefinementOptions

FROZEN = "frozen"
BASE = "base"
NEW = "new"  # what CLIP does not bring: a higher rate
DECAY_ONLY = "decay_only"  # no gradient ever reaches it, so it needs no moments

# A path is in a group if one of its dotted parts begins with one of these.
_FROZEN_PARTS = ("text", "logit_scale")
_NEW_PARTS = (
    "message_",
    "integration",
    "patch_norm",
    "patch_projection",
    "prompts",
    "graph",
    "gate",
)
_PROMPT_GENERATORS = ("action_prompts", "video_prompts")
_UNREACHED_IN_PROMPTS = ("query", "key", "attention_norm")


def parameter_group(path: str) -> str:
    """The optimizer group of one parameter, from its path.

    The published rules: all is trained but the text tower and the logit scale, and what CLIP does
    not bring learns ten times faster. Two refinements change nothing: Animal-CLIP's patch
    projection, which takes no part, is frozen, and what only a softmax over one token could reach
    (queries, keys and their norm in Animal-CLIP's prompt generators) is decayed without moments.

    Returns:
        "frozen", "base", "new" or "decay_only".
    """
    parts = path.split(".")
    if parts[0] in _FROZEN_PARTS:
        return FROZEN
    if parts[0] in _PROMPT_GENERATORS:
        unreached = any(part in _UNREACHED_IN_PROMPTS for part in parts)
        return DECAY_ONLY if unreached else NEW
    is_new = any(part.startswith(_NEW_PARTS) for part in parts)
    return NEW if is_new else BASE


def parameter_groups(
    paths: Iterable[str], *, refinement: RefinementOptions = PUBLISHED
) -> dict[str, str]:
    """`parameter_group` of all parameters of one model: {path: group}.

    Args:
        refinement: of the model; parts of it that are left out are frozen.
    """
    groups = {path: parameter_group(path) for path in paths}
    left_out: tuple[str, ...] = () if refinement.adaptive_prompts else _PROMPT_GENERATORS
    if refinement.graph == "none":
        left_out += ("graph",)
    groups.update({path: FROZEN for path in groups if path.startswith(left_out)})
    if any(path.startswith(_PROMPT_GENERATORS) for path in groups):
        unused = ("patch_norm.scale", "patch_norm.bias", "patch_projection")
        groups.update({path: FROZEN for path in unused if path in groups})
    return groups


def is_decayed(path: str, shape: tuple[int, ...]) -> bool:
    """Whether weight decay applies: not to vectors, biases and position embeddings."""
    leaf = path.rsplit(".", 1)[-1]
    return len(shape) > 1 and leaf not in ("bias", "position_embedding")


def learning_rate_schedule(
    base: float, *, minimum: float, warmup_steps: int, total_steps: int
) -> optax.Schedule:
    """Linear warm-up from 0, then a cosine whose time counts from the start of the run.

    rate(t) = base·t/warmup_steps for t < warmup_steps, then
    minimum + ½(base − minimum)(1 + cos(π t/total_steps)).
    """

    def schedule(step):
        warmup = base * step / max(warmup_steps, 1)
        cosine = minimum + 0.5 * (base - minimum) * (1 + jnp.cos(math.pi * step / total_steps))
        return jnp.where(step < warmup_steps, warmup, cosine)

    return schedule


def build_optimizer(
    groups: Mapping[str, str],
    rates: Mapping[str, Callable[[Any], Any] | float],
    *,
    weight_decay: float,
    beta1: float = 0.9,
    beta2: float = 0.98,
    epsilon: float = 1e-8,
    clip_norm: float = 0.0,
) -> optax.GradientTransformation:
    """AdamW over the trained parameters.

    Args:
        groups: {path: group} of the trained parameters (none frozen).
        rates: learning rate or schedule of the groups "base" and "new".
        weight_decay: times the learning rate, per step, where `is_decayed`.
        clip_norm: scales gradients whose norm over all parameters is larger down to it; 0 does not.

    Returns:
        a transformation of {path: gradient}.
    """

    def decay_mask(parameters):
        return jax.tree_util.tree_map_with_path(
            lambda path, value: is_decayed(path[0].key, value.shape), parameters
        )

    def adamw(rate) -> optax.GradientTransformation:
        return optax.chain(
            optax.scale_by_adam(beta1, beta2, epsilon),
            optax.add_decayed_weights(weight_decay, mask=decay_mask),
            optax.scale_by_learning_rate(rate),
        )

    transforms = {
        BASE: adamw(rates[BASE]),
        NEW: adamw(rates[NEW]),
        DECAY_ONLY: optax.chain(
            optax.set_to_zero(),
            optax.add_decayed_weights(weight_decay, mask=decay_mask),
            optax.scale_by_learning_rate(rates[NEW]),
        ),
    }
    partition = optax.partition(transforms, dict(groups))
    if clip_norm > 0:
        return optax.chain(optax.clip_by_global_norm(clip_norm), partition)
    return partition
