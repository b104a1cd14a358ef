"""How many operations a training step takes on paper: its matrix products, twice a multiply-add.

The backward pass takes twice the forward pass, but for the embedding of the patches, before which
nothing is trained. What is computed a second time to save memory is not in it.
"""

from animal_clip_jax.models.description import ModelDescription
from animal_clip_jax.models.refinement_options import PUBLISHED, RefinementOptions


def training_flops(
    model: ModelDescription,
    *,
    num_actions: int,
    num_animals: int,
    refinement: RefinementOptions = PUBLISHED,
) -> float:
    """Operations of a training step, a clip.

    Args:
        model: of the family "xclip" or "animal_clip".
        refinement: what an Animal-CLIP's consists of.
    """
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
    embed, frames, patches = (
        model.architecture.embed_dim,
        _frames(model),
        model.architecture.num_patches,
    )
    width = model.architecture.vision_width
    layers = model.architecture.vision_layers
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


def _frames(model: ModelDescription) -> int:
    assert model.num_frames is not None
    return model.num_frames


def _embedding(model: ModelDescription) -> float:
    """Patches to tokens, of a clip."""
    architecture = model.architecture
    values = 3 * architecture.patch_size**2
    return _frames(model) * architecture.num_patches * 2 * values * architecture.vision_width


def _block(model: ModelDescription, *, queries: int) -> float:
    """A cross-frame block, of a clip.

    Args:
        queries: tokens of a frame whose results are computed.
    """
    frames, width = _frames(model), model.architecture.vision_width
    tokens = model.architecture.num_patches + 2  # with the class token and the message
    keys_and_values = tokens * 4 * width**2
    asked = queries * (2 * width**2 + 4 * tokens * width + 2 * width**2)
    messages = 2 * width**2 + 8 * width**2 + 4 * frames * width
    return frames * (keys_and_values + asked + queries * 16 * width**2 + messages)
