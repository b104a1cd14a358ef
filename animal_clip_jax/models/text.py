"""CLIP's text tower."""

import jax
import jax.numpy as jnp
from flax import nnx

from animal_clip_jax.models.architectures import ClipArchitecture
from animal_clip_jax.models.initial_values import normal
from animal_clip_jax.models.layers import ResidualBlock, layer_norm


class TextTower(nnx.Module):
    """A causal transformer over tokens, read at the end token.

    Examples:
        >>> tower = TextTower(ARCHITECTURES["ViT-B/16"], dtype=jnp.float32, rngs=nnx.Rngs(0))
        >>> tower(tokenize(["a walking fox"])).shape
        (1, 512)
    """

    def __init__(self, architecture: ClipArchitecture, *, dtype: jnp.dtype, rngs: nnx.Rngs):
        width = architecture.text_width
        self.dtype = dtype
        self.token_embedding = nnx.Param(
            normal(0.02)(rngs.params(), (architecture.vocab_size, width), jnp.float32)
        )
        self.position_embedding = nnx.Param(
            normal(0.01)(rngs.params(), (architecture.context_length, width), jnp.float32)
        )
        self.blocks = nnx.List(
            [
                ResidualBlock(
                    width,
                    architecture.text_heads,
                    depth=architecture.text_layers,
                    activation=architecture.activation,
                    dtype=dtype,
                    rngs=rngs,
                )
                for _ in range(architecture.text_layers)
            ]
        )
        self.final_norm = layer_norm(width, dtype=dtype, rngs=rngs)
        self.projection = nnx.Param(
            normal(width**-0.5)(rngs.params(), (width, architecture.embed_dim), jnp.float32)
        )

    @jax.named_scope("text_tower")
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Encodes texts.

        Args:
            tokens: (texts, length) int32, length ≤ the context length; the end token is the
                largest id of its row, and what follows it changes nothing (the tower is causal).

        Returns:
            (texts, embed_dim) features, not normalised.
        """
        return self.encode_vectors(self.token_embedding[tokens], jnp.argmax(tokens, axis=1))

    @jax.named_scope("text_tower")
    def encode_vectors(self, vectors: jax.Array, end: jax.Array) -> jax.Array:
        """Encodes texts whose tokens are vectors already, some of them learned.

        Args:
            vectors: (texts, length, width) without positions, length ≤ the context length.
            end: (texts,) int, where the end token of each stands.

        Returns:
            (texts, embed_dim) features, not normalised.
        """
        x = (vectors + self.position_embedding[: vectors.shape[1]]).astype(self.dtype)
        for block in self.blocks:
            x = block(x, is_causal=True)
        # The final norm works token by token, so taking the end token first changes nothing.
        x = jnp.take_along_axis(x, end[:, None, None], axis=1)[:, 0]
        return self.final_norm(x) @ self.projection.astype(self.dtype)
