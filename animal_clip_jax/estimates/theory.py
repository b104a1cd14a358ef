"""How many operations a training step takes on paper: its matrix products, twice a multiply-add.

The backward pass takes twice the forward pass, but for the embedding of the patches, before which
nothing is trained. What is computed a second time to save memory is not in it.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from animal_clip_jax.estimates.operations import operations
from animal_clip_jax.models import parameters
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.description import ModelDescription, build
from animal_clip_jax.models.refinement_options import PUBLISHED, RefinementOptions
from animal_clip_jax.training.optimizer import BASE, parameter_groups

# The families whose products are written down here; those of the others are counted.
_ON_PAPER = ("xclip", "animal_clip")
# Of an action's name with its start and end, as long as most are (video_prompt).
NAME_TOKENS = 8


def training_flops(
    model: ModelDescription,
    *,
    num_actions: int,
    num_animals: int,
    refinement: RefinementOptions = PUBLISHED,
) -> float:
    """Operations of a training step, a clip.

    Args:
        model: of any family but "clip".
        refinement: what an Animal-CLIP's consists of.
    """
    if model.family not in _ON_PAPER:
        return _traced(model, num_actions=num_actions, is_training=True)
    forward = forward_flops(
        model, num_actions=num_actions, num_animals=num_animals, refinement=refinement
    )
    return 3 * forward - _embedding(model)


def forward_flops(
    model: ModelDescription,
    *,
    num_actions: int,
    num_animals: int,
    refinement: RefinementOptions = PUBLISHED,
) -> float:
    """Operations of a clip's logits; the arguments are those of `training_flops`."""
    if model.family not in _ON_PAPER:
        return _traced(model, num_actions=num_actions, is_training=False)
    embed, frames, patches = (
        model.towers.embed_dim,
        _frames(model),
        model.towers.num_patches,
    )
    width = model.towers.vision_width
    layers = model.towers.vision_layers
    # Without its patches, the last block computes the class tokens only.
    last = _block(model, queries=1 + patches if model.family == "xclip" else 1)
    tower = _embedding(model) + (layers - 1) * _block(model, queries=1 + patches) + last
    tower += frames * 2 * width * embed
    assert model.integration_layers is not None and model.prompt_layers is not None
    integration = model.integration_layers * frames * (24 * embed**2 + 4 * frames * embed)
    total = tower + integration + 2 * num_actions * embed
    if model.family == "xclip":
        total += patches * 2 * width * embed
        keys_and_values, attended = 4 * patches * embed**2, 4 * num_actions * patches * embed
        total += model.prompt_layers * (num_actions * 20 * embed**2 + keys_and_values + attended)
        return total
    if refinement.graph != "none":
        assert model.graph_width is not None
        # Means take as many products as sums.
        total += 4 * num_actions * num_animals * model.graph_width
        total += 2 * num_actions * model.graph_width * embed
    if refinement.adaptive_prompts:
        # A context of one token: no queries, no keys.
        total += model.prompt_layers * ((num_actions + 1) * 16 + 2 * 4) * embed**2
    if refinement.adaptive_prompts or refinement.gate:
        total += 2 * num_animals * embed
    if refinement.gate:
        total += 4 * embed
    if refinement.is_any and refinement.unknown_animals == "from_video":
        total += 2 * num_animals * embed
    return total


def _traced(model: ModelDescription, *, num_actions: int, is_training: bool) -> float:
    """The products of a family that is not written down above, as its program has them.

    Two clips are traced, as one may have a single value a channel, which batch normalisation
    refuses. What VideoPrompt makes of the names in a training step is the same for any number of
    clips, and not counted.
    """
    graphdef, values = parameters.abstract(lambda: build(model, rngs=parameters.rngs_for_shapes()))
    groups = parameter_groups(values, family=model.family)
    trained = {path: value for path, value in values.items() if groups[path] == BASE}
    others = {path: value for path, value in values.items() if path not in trained}
    size = model.architecture.image_size
    names = jax.ShapeDtypeStruct((num_actions, NAME_TOKENS), jnp.int32)
    is_prompted = model.family == "video_prompt"
    if is_prompted and not is_training:  # they are encoded once for all clips
        names = jax.ShapeDtypeStruct((num_actions, model.towers.embed_dim), jnp.float32)
    key = jax.random.key(0) if is_training else None

    def logits(trained, others, frames, names):
        network: Any = parameters.merge(graphdef, {**trained, **others})
        classes = ClassContext(names, np.zeros((0, 0)), np.zeros((0, 0)))
        return jnp.sum(network(frames, classes, key=key))

    function = jax.grad(logits) if is_training else logits

    def of_clips(clips: int) -> float:
        frames = jax.ShapeDtypeStruct((clips, _frames(model), size, size, 3), jnp.float32)
        return operations(function, trained, others, frames, names)

    beside = 2 * of_clips(2) - of_clips(4) if is_prompted and is_training else 0.0
    return (of_clips(2) - beside) / 2


def _frames(model: ModelDescription) -> int:
    assert model.num_frames is not None
    return model.num_frames


def _embedding(model: ModelDescription) -> float:
    """Patches to tokens, of a clip."""
    architecture = model.towers
    values = 3 * architecture.patch_size**2
    return _frames(model) * architecture.num_patches * 2 * values * architecture.vision_width


def _block(model: ModelDescription, *, queries: int) -> float:
    """A cross-frame block, of a clip.

    Args:
        queries: tokens of a frame whose results are computed.
    """
    frames, width = _frames(model), model.towers.vision_width
    tokens = model.towers.num_patches + 2  # with the class token and the message
    keys_and_values = tokens * 4 * width**2
    asked = queries * (2 * width**2 + 4 * tokens * width + 2 * width**2)
    messages = 2 * width**2 + 8 * width**2 + 4 * frames * width
    return frames * (keys_and_values + asked + queries * 16 * width**2 + messages)
