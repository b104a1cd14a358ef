"""X-CLIP, the baseline of Animal-CLIP: text features prompted by the video's patches."""

import jax
import jax.numpy as jnp
from flax import nnx

from animal_clip_jax.models.architectures import ClipArchitecture, heads_of
from animal_clip_jax.models.attention import XLA, Attention
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.clip import LOGIT_SCALE_INIT, unit_length
from animal_clip_jax.models.initial_values import normal
from animal_clip_jax.models.layers import layer_norm
from animal_clip_jax.models.refinement import PromptGenerator
from animal_clip_jax.models.text import TextTower
from animal_clip_jax.models.video import MultiFrameIntegration, VideoTower


class XCLIP(nnx.Module):
    """Scores the actions of a clip; it is not told which animals are in it.

    Examples:
        >>> model = XCLIP(ARCHITECTURES["ViT-B/16"], num_frames=8, rngs=nnx.Rngs(0))
        >>> model(clips, classes, animal_weights)  # (clips, actions); animal_weights is not used
    """

    def __init__(
        self,
        architecture: ClipArchitecture,
        *,
        num_frames: int = 8,
        integration_layers: int = 1,
        integration_heads: int | None = None,
        prompt_layers: int = 2,
        prompt_heads: int | None = None,
        drop_path_rate: float = 0.0,
        remat: str = "none",
        attention: Attention = XLA,
        dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        embed_dim, activation = architecture.embed_dim, architecture.activation
        self.text = TextTower(architecture, dtype=dtype, rngs=rngs)
        self.visual = VideoTower(
            architecture,
            drop_path_rate=drop_path_rate,
            remat=remat,
            attention=attention,
            dtype=dtype,
            rngs=rngs,
        )
        self.patch_norm = layer_norm(architecture.vision_width, dtype=dtype, rngs=rngs)
        self.patch_projection = nnx.Param(
            normal(1.0)(rngs.params(), (architecture.vision_width, embed_dim), jnp.float32)
        )
        self.integration = MultiFrameIntegration(
            embed_dim,
            num_frames,
            num_layers=integration_layers,
            num_heads=integration_heads,
            activation=activation,
            dtype=dtype,
            rngs=rngs,
        )
        self.prompts = PromptGenerator(
            embed_dim,
            prompt_layers,
            num_heads=prompt_heads or heads_of(embed_dim),
            activation=activation,
            dtype=dtype,
            rngs=rngs,
        )
        self.logit_scale = nnx.Param(jnp.float32(LOGIT_SCALE_INIT))

    def encode_video(
        self, clips: jax.Array, *, key: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Encodes clips.

        Args:
            clips: (clips, frames, size, size, 3) normalised pixels.
            key: random key for stochastic depth, None outside training.

        Returns:
            video features (clips, embed_dim) and the patch features averaged over the frames
            (clips, patches, embed_dim), neither of unit length.
        """
        frame_features, patches = self.visual(clips, with_patches=True, key=key)
        # The norm and the projection work patch by patch; the mean moves before the linear
        # projection, which makes that T times smaller and changes nothing else.
        with jax.named_scope("projection"):
            patches = jnp.mean(self.patch_norm(patches), axis=1)
            patches = patches @ self.patch_projection.astype(patches.dtype)
        return self.integration(frame_features), patches

    def __call__(
        self,
        clips: jax.Array,
        classes: ClassContext,
        animal_weights: jax.Array | None = None,
        *,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """The logits of `score` alone."""
        return self.score(clips, classes, animal_weights, key=key)[0]

    def score(
        self,
        clips: jax.Array,
        classes: ClassContext,
        animal_weights: jax.Array | None = None,
        *,
        key: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        """Scores the actions.

        Args:
            clips: (clips, frames, size, size, 3) normalised pixels.
            classes: only its action features (actions, embed_dim) are used.
            animal_weights: not used; it is here so that both models are called alike.
            key: random key for stochastic depth, None outside training.

        Returns:
            logits (clips, actions), float32; and the video features (clips, embed_dim).
        """
        encoded = self.encode_video(clips, key=key)
        return self.score_encoded(encoded, classes), encoded[0]

    def score_encoded(
        self,
        encoded: tuple[jax.Array, jax.Array],
        classes: ClassContext,
        animal_weights: jax.Array | None = None,
    ) -> jax.Array:
        """Scores the actions of clips that have been through `encode_video`.

        Args:
            encoded: video features and patches, what that gave.
            classes, animal_weights: see `score`.

        Returns:
            logits (clips, actions), float32.
        """
        videos, patches = encoded
        actions = classes.action_features.astype(videos.dtype)
        actions = jnp.broadcast_to(actions, (videos.shape[0], *actions.shape))
        actions = actions + self.prompts(actions, patches)
        with jax.named_scope("cosines"):
            cosines = jnp.einsum("be,bke->bk", unit_length(videos), unit_length(actions))
        return jnp.exp(self.logit_scale[...]) * cosines
