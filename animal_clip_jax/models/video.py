"""CLIP's vision tower, with or without cross-frame communication, and multi-frame integration."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from animal_clip_jax.models.architectures import ClipArchitecture, heads_of
from animal_clip_jax.models.attention import XLA, Attention
from animal_clip_jax.models.initial_values import NEW_STD, normal, symmetric_uniform
from animal_clip_jax.models.layers import (
    CrossFrameBlock,
    CrossFrameWeights,
    ResidualBlock,
    layer_norm,
)
from animal_clip_jax.models.rematerialisation import REMAT_POLICIES


def patchify(images: jax.Array, patch_size: int) -> jax.Array:
    """Cuts images into patches, row by row.

    Args:
        images: (images, height, width, 3).
        patch_size: pixels; divides height and width.

    Returns:
        (images, patches, patch_size·patch_size·3); a patch's values are ordered row, column,
        channel.
    """
    count, height, width, channels = images.shape
    rows, columns = height // patch_size, width // patch_size
    grid = images.reshape(count, rows, patch_size, columns, patch_size, channels)
    return grid.transpose(0, 1, 3, 2, 4, 5).reshape(count, rows * columns, -1)


class _PatchTransformer(nnx.Module):
    """What the image tower and the video tower share: everything around the blocks."""

    def __init__(self, architecture: ClipArchitecture, *, dtype: jnp.dtype, rngs: nnx.Rngs):
        width, patch_values = architecture.vision_width, 3 * architecture.patch_size**2
        init = normal(width**-0.5)
        self.architecture = architecture
        self.dtype = dtype
        self.patch_embedding = nnx.Linear(
            patch_values,
            width,
            use_bias=False,
            kernel_init=symmetric_uniform(patch_values**-0.5),
            dtype=dtype,
            rngs=rngs,
        )
        self.class_embedding = nnx.Param(init(rngs.params(), (width,), jnp.float32))
        self.position_embedding = nnx.Param(
            init(rngs.params(), (architecture.num_patches + 1, width), jnp.float32)
        )
        self.pre_norm = layer_norm(width, dtype=dtype, rngs=rngs)
        self.post_norm = layer_norm(width, dtype=dtype, rngs=rngs)
        self.projection = nnx.Param(
            init(rngs.params(), (width, architecture.embed_dim), jnp.float32)
        )

    @jax.named_scope("embedding")
    def _embed(self, images: jax.Array) -> jax.Array:
        size = self.architecture.image_size
        if images.shape[1:] != (size, size, 3):
            raise ValueError(
                f"images are {images.shape[1:]} (height, width, channels); this tower takes "
                f"{(size, size, 3)}: resize the frames or load weights of another architecture"
            )
        patches = self.patch_embedding(patchify(images, self.architecture.patch_size))
        class_token = jnp.broadcast_to(
            self.class_embedding.astype(self.dtype), (patches.shape[0], 1, patches.shape[2])
        )
        tokens = jnp.concatenate([class_token, patches], axis=1)
        return self.pre_norm(tokens + self.position_embedding.astype(self.dtype))

    @jax.named_scope("projection")
    def _project(self, class_tokens: jax.Array) -> jax.Array:
        return self.post_norm(class_tokens) @ self.projection.astype(self.dtype)


class ImageTower(_PatchTransformer):
    """CLIP's vision transformer over single images."""

    def __init__(self, architecture: ClipArchitecture, *, dtype: jnp.dtype, rngs: nnx.Rngs):
        super().__init__(architecture, dtype=dtype, rngs=rngs)
        self.blocks = nnx.List(
            [
                ResidualBlock(
                    architecture.vision_width,
                    architecture.vision_heads,
                    depth=architecture.vision_layers,
                    activation=architecture.activation,
                    dtype=dtype,
                    rngs=rngs,
                )
                for _ in range(architecture.vision_layers)
            ]
        )

    def __call__(self, images: jax.Array) -> jax.Array:
        """(images, size, size, 3) normalised pixels → (images, embed_dim), not unit length."""
        x = self._embed(images)
        for block in self.blocks[:-1]:
            x = block(x)
        x = self.blocks[-1](x, num_queries=1)
        return self._project(x[:, 0])


class VideoTower(_PatchTransformer):
    """CLIP's vision transformer with X-CLIP's cross-frame communication in every block.

    Args:
        drop_path_rate: stochastic depth of the last block; it grows linearly from 0.
        remat: what the backward pass computes again, a key of `REMAT_POLICIES`.
        attention: the program that computes the attention within frames.
    """

    def __init__(
        self,
        architecture: ClipArchitecture,
        *,
        drop_path_rate: float = 0.0,
        remat: str = "none",
        attention: Attention = XLA,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        super().__init__(architecture, dtype=dtype, rngs=rngs)
        self.remat = remat
        self.has_place = attention.is_fused  # for messages, see `CrossFrameBlock`
        rates = np.linspace(0.0, drop_path_rate, architecture.vision_layers)
        self.blocks = nnx.List(
            [
                CrossFrameBlock(
                    architecture.vision_width,
                    architecture.vision_heads,
                    depth=architecture.vision_layers,
                    activation=architecture.activation,
                    drop_path_rate=float(rate),
                    attention=attention,
                    dtype=dtype,
                    rngs=rngs,
                )
                for rate in rates
            ]
        )

    def __call__(
        self, clips: jax.Array, *, with_patches: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array | None]:
        """Encodes the frames of clips.

        Args:
            clips: (clips, frames, size, size, 3) normalised pixels.
            with_patches: also return the patch tokens; without them the last block computes its
                class tokens only.
            key: random key for stochastic depth, None outside training.

        Returns:
            frame features (clips, frames, embed_dim), not unit length, and the last block's patch
            tokens (clips, frames, patches, vision_width) or None.
        """
        num_clips, num_frames = clips.shape[:2]
        keys = (
            (None,) * len(self.blocks) if key is None else jax.random.split(key, len(self.blocks))
        )
        x = self._tokens(clips)
        for index, block in enumerate(self.blocks):
            is_last = index == len(self.blocks) - 1
            x = self._apply(block, x, keys[index], num_frames, is_last and not with_patches)
        features = self._project(x[:, 0]).reshape(num_clips, num_frames, -1)
        if not with_patches:
            return features, None
        patches = x[:, 1 : 1 + self.architecture.num_patches]
        return features, patches.reshape(num_clips, num_frames, -1, x.shape[-1])

    def attention_weights(self, clips: jax.Array) -> tuple[list[CrossFrameWeights], jax.Array]:
        """The attention in every block, first to last, to be looked at.

        Args:
            clips: (clips, frames, size, size, 3) normalised pixels.

        Returns:
            the weights of each block, and the frame features (clips, frames, embed_dim), as a call
            gives them.
        """
        num_clips, num_frames = clips.shape[:2]
        x = self._tokens(clips)
        weights = []
        for block in self.blocks:
            weights.append(block.attention_weights(x, num_frames=num_frames))
            x = block(x, num_frames=num_frames)
        return weights, self._project(x[:, 0]).reshape(num_clips, num_frames, -1)

    def _tokens(self, clips: jax.Array) -> jax.Array:
        """What the first block takes, (clips·frames, tokens, width)."""
        x = self._embed(clips.reshape(-1, *clips.shape[2:]))
        return jnp.pad(x, ((0, 0), (0, 1), (0, 0))) if self.has_place else x

    def _apply(
        self,
        block: CrossFrameBlock,
        x: jax.Array,
        key: jax.Array | None,
        num_frames: int,
        class_token_only: bool,
    ) -> jax.Array:
        graphdef, values = nnx.split(block)

        def apply(values, x, key):
            block = nnx.merge(graphdef, values)
            return block(x, num_frames=num_frames, class_token_only=class_token_only, key=key)

        if self.remat != "none":
            apply = jax.checkpoint(apply, policy=REMAT_POLICIES[self.remat])
        return apply(values, x, key)


class MultiFrameIntegration(nnx.Module):
    """Joins a clip's frame features to one video feature (X-CLIP's MIT).

    With f the frame features and g = blocks(f + position), the result is the mean over frames of
    g + f.
    """

    def __init__(
        self,
        embed_dim: int,
        num_frames: int,
        *,
        num_layers: int = 1,
        num_heads: int | None = None,
        activation: str = "quick_gelu",
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        self.dtype = dtype
        self.position_embedding = nnx.Param(
            normal(NEW_STD)(rngs.params(), (num_frames, embed_dim), jnp.float32)
        )
        self.blocks = nnx.List(
            [
                ResidualBlock(
                    embed_dim,
                    num_heads or heads_of(embed_dim),
                    depth=None,
                    activation=activation,
                    dtype=dtype,
                    rngs=rngs,
                )
                for _ in range(num_layers)
            ]
        )

    @jax.named_scope("integration")
    def __call__(self, frame_features: jax.Array) -> jax.Array:
        """(clips, frames, embed_dim) → (clips, embed_dim)."""
        x = self._placed(frame_features)
        for block in self.blocks:
            x = block(x)
        return jnp.mean(x + frame_features, axis=1)

    def attention_weights(self, frame_features: jax.Array) -> list[jax.Array]:
        """The attention in every block: (clips, heads, frames, frames) float32 each.

        Args:
            frame_features: (clips, frames, embed_dim).
        """
        x = self._placed(frame_features)
        weights = []
        for block in self.blocks:
            weights.append(block.attention_weights(x))
            x = block(x)
        return weights

    def _placed(self, frame_features: jax.Array) -> jax.Array:
        """Frame features with their positions in the clip."""
        if frame_features.shape[1] != self.position_embedding.shape[0]:
            raise ValueError(
                f"the clips have {frame_features.shape[1]} frames; this model was built for "
                f"{self.position_embedding.shape[0]}"
            )
        return frame_features + self.position_embedding.astype(self.dtype)
