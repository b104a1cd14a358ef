"""Which patches of which frames a clip's feature comes from, by attention rollout.

Attention rollout (Abnar and Zuidema, "Quantifying Attention Flow in Transformers", 2020) takes a
block for a mixing of its tokens: half of what a token was, by the residual connection, and half of
what it attends to, with the weights averaged over the heads. That is ½ (I + A), whose rows sum
to 1. The product of the blocks' matrices says how much of each token at the input is in each one at
the output. Values, norms and MLPs are left out.

Here a block mixes the tokens of all T frames of a clip, N each and the class token first, by one
(T·N) × (T·N) matrix. With A the attention within frame t, whose last token m is the message that
the frame receives, and C the attention among the messages, which are made of the class tokens,
token i of frame t takes

    from token j of its own frame:      ½ (I + A)[i, j]
    from the class token of frame s:    ½ A[i, m] · ½ (I + C)[t, s], on top.

In the multi-frame integration each frame is one token. Its blocks are ½ (I + A), too; then their
result is averaged with what they were given, and over the frames.

The class tokens at the input are the same in every video: their part is left out, and the rest
made to sum to 1.

The map says where the model looks, not for which action: that is the same for all of them. The way
from X-CLIP's patches to its prompts is not followed.
"""

from typing import Any

import jax
import jax.numpy as jnp

from animal_clip_jax.models.layers import CrossFrameWeights


def attention_maps(model: Any, clips: jax.Array) -> jax.Array:
    """How much of each patch is in the clips' features.

    Args:
        model: an `AnimalCLIP` or `XCLIP`.
        clips: (clips, frames, size, size, 3) normalised pixels.

    Returns:
        (clips, frames, rows of patches, columns of patches) float32, not negative; those of all
        frames of a clip sum to 1.
    """
    blocks, frame_features = model.visual.attention_weights(clips)
    num_clips, num_frames = frame_features.shape[:2]
    class_tokens = _through_integration(
        jnp.full((num_clips, num_frames), 1 / num_frames),
        model.integration.attention_weights(frame_features),
    )
    num_tokens = blocks[0].tokens.shape[-1] - 1
    relevance = jnp.zeros((num_clips, num_frames, num_tokens)).at[:, :, 0].set(class_tokens)
    for block in reversed(blocks):
        relevance = _through_block(relevance, block)
    patches = relevance[:, :, 1:]
    patches = patches / patches.sum(axis=(1, 2), keepdims=True)
    rows = clips.shape[2] // model.visual.architecture.patch_size
    return patches.reshape(num_clips, num_frames, rows, -1)


# Relevance goes from a block's output back to its input: a row vector times the block's matrix,
# which is never made as a whole.


def _through_integration(frames: jax.Array, blocks: list[jax.Array]) -> jax.Array:
    """(clips, frames): relevance of the clips' frame features, given that of the blocks' result."""
    mixed = frames
    for weights in reversed(blocks):
        mixed = _half_by_attention(mixed, weights.mean(axis=1))
    return (mixed + frames) / 2


def _through_block(relevance: jax.Array, block: CrossFrameWeights) -> jax.Array:
    """(clips, frames, tokens): relevance of a block's input, given that of its output."""
    attention = block.tokens.mean(axis=2)[:, :, :-1]  # the message asks nothing
    taken = jnp.einsum("bti,btij->btj", relevance, attention) / 2
    own, messages = taken[..., :-1], taken[..., -1]
    senders = _half_by_attention(messages, block.messages.mean(axis=1))
    return (relevance / 2 + own).at[:, :, 0].add(senders)


def _half_by_attention(relevance: jax.Array, attention: jax.Array) -> jax.Array:
    """relevance · ½ (I + attention): (clips, tokens), (clips, tokens, tokens) → (clips, tokens)."""
    return (relevance + jnp.einsum("bi,bij->bj", relevance, attention)) / 2
