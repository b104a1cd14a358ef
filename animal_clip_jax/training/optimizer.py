"""Which parameters are trained, at what rate, with what decay; and the learning-rate schedule."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from animal_clip_jax.models import evl, video_prompt
from animal_clip_jax.models.parameters import is_statistic
from animal_clip_jax.models.refinement_options import PUBLISHED, RefinementOptions

FROZEN = "frozen"
BASE = "base"
NEW = "new"  # what CLIP does not bring: a higher rate
DECAY_ONLY = "decay_only"  # no gradient ever reaches it, so it needs no moments
STATISTIC = "statistic"  # of batch normalisation: the forward pass moves it, and no optimizer
ALGORITHMS = ("adamw", "sgd")

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
# Of the families of which a part is frozen, and of which all that is trained learns alike.
_IS_TRAINED: Mapping[str, Callable[[str], bool]] = {
    "video_prompt": video_prompt.is_trained,
    "evl": evl.is_trained,
    **dict.fromkeys(("i3d", "slowfast", "x3d", "mvit"), lambda path: True),
}


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
    paths: Iterable[str],
    *,
    family: str = "animal_clip",
    refinement: RefinementOptions = PUBLISHED,
) -> dict[str, str]:
    """The optimizer group of all parameters of one model: {path: group}.

    `parameter_group` of a model that CLIP brings most of. Of the others, what is trained is in
    "base", what a frozen CLIP brings in "frozen", and running statistics are in "statistic".

    Args:
        family: of the model.
        refinement: of an Animal-CLIP; parts of it that are left out are frozen.
    """
    if family in _IS_TRAINED:
        is_trained = _IS_TRAINED[family]
        return {
            path: STATISTIC if is_statistic(path) else BASE if is_trained(path) else FROZEN
            for path in paths
        }
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
    return len(shape) > 1 and leaf != "bias" and not leaf.endswith("position_embedding")


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
    algorithm: str = "adamw",
) -> optax.GradientTransformation:
    """AdamW, or SGD with Nesterov's momentum, over the trained parameters.

    Args:
        groups: {path: group} of the trained parameters (none frozen, and no statistics).
        rates: learning rate or schedule of the groups "base" and "new".
        weight_decay: times the learning rate, per step, where `is_decayed`. SGD adds it to the
            gradient, as torch does, so that it has momentum too.
        beta1: of the running mean of gradients; SGD's momentum.
        beta2, epsilon: of AdamW.
        clip_norm: scales gradients whose norm over all parameters is larger down to it; 0 does not.
        algorithm: "adamw" or "sgd".

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

    def sgd(rate) -> optax.GradientTransformation:
        return optax.chain(
            optax.add_decayed_weights(weight_decay, mask=decay_mask),
            optax.trace(beta1, nesterov=True),
            optax.scale_by_learning_rate(rate),
        )

    update = {"adamw": adamw, "sgd": sgd}[algorithm]
    transforms = {
        BASE: update(rates[BASE]),
        NEW: update(rates[NEW]),
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
