"""EVL: a decoder that gathers a video's feature from the last blocks of a frozen CLIP (Lin et al.
2022, "Frozen CLIP Models are Efficient Video Learners").

CLIP's image tower has the paths that it has in `Clip`, so that its weights fit as they are; its
last norm and its projection take no part, and its patch embedding has a bias, which is 0 in CLIP.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from animal_clip_jax.errors import UserError
from animal_clip_jax.models.architectures import ARCHITECTURES, ClipArchitecture
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.evl_decoder import DROPOUT, DecoderLayer
from animal_clip_jax.models.initial_values import normal, symmetric_uniform
from animal_clip_jax.models.layers import ResidualBlock, layer_norm
from animal_clip_jax.models.video import patchify
from animal_clip_jax.models.video_model import VideoModel


@dataclasses.dataclass(frozen=True)
class EVLArchitecture:
    """Dimensions of an EVL.

    Attributes:
        num_frames: frames a clip.
        image_size: side of the square input in pixels.
        patch_size: side of a patch in pixels; divides `image_size`.
        width: of the frozen transformer, and of the decoder.
        layers: blocks of the frozen transformer.
        heads: its attention heads.
        decoder_layers: layers of the decoder, each of which reads one of the last blocks.
        decoder_heads: its attention heads.
        activation: "quick_gelu" or "gelu", as in `ClipArchitecture`.
    """

    num_frames: int
    image_size: int
    patch_size: int
    width: int
    layers: int
    heads: int
    decoder_layers: int
    decoder_heads: int
    activation: str = "quick_gelu"

    def __post_init__(self):
        if self.num_frames < 1:
            raise UserError(f"num_frames is {self.num_frames}; expected a positive integer")
        if self.image_size % self.patch_size:
            raise UserError(
                f"image_size {self.image_size} is not a multiple of patch_size {self.patch_size}"
            )
        if not 1 <= self.decoder_layers <= self.layers:
            raise UserError(
                f"decoder_layers is {self.decoder_layers}; expected 1 to {self.layers}, the blocks "
                "of the frozen transformer"
            )
        for name in ("heads", "decoder_heads"):
            if self.width % getattr(self, name):
                raise UserError(
                    f"{name} is {getattr(self, name)}; expected a divisor of width {self.width}"
                )

    @property
    def side(self) -> int:
        """Patches a row, and rows."""
        return self.image_size // self.patch_size


def evl_architecture(
    clip: ClipArchitecture, *, num_frames: int = 8, decoder_layers: int = 4
) -> EVLArchitecture:
    """The published EVL over a CLIP's image tower: the decoder has as many heads as that has."""
    return EVLArchitecture(
        num_frames=num_frames,
        image_size=clip.image_size,
        patch_size=clip.patch_size,
        width=clip.vision_width,
        layers=clip.vision_layers,
        heads=clip.vision_heads,
        decoder_layers=decoder_layers,
        decoder_heads=clip.vision_heads,
        activation=clip.activation,
    )


EVL_ARCHITECTURES = {
    **{name: evl_architecture(ARCHITECTURES[name]) for name in ("ViT-B/16", "ViT-L/14")},
    "tiny": EVLArchitecture(
        num_frames=4,
        image_size=32,
        patch_size=8,
        width=32,
        layers=3,
        heads=2,
        decoder_layers=2,
        decoder_heads=2,
    ),
}


def is_trained(path: str) -> bool:
    """Whether a parameter of an EVL is trained: all but the frozen transformer."""
    return path.partition(".")[0] != "visual"


class BlockOutput(NamedTuple):
    """What the decoder takes of a block, each (clips, frames, 1 + patches, ...).

    Attributes:
        tokens: (..., width), the block's result, class token first.
        query, key: (..., heads, head_dim) of its attention, with biases, not scaled.
    """

    tokens: jax.Array
    query: jax.Array
    key: jax.Array


class FrozenTransformer(nnx.Module):
    """CLIP's image tower without its end."""

    def __init__(self, architecture: EVLArchitecture, *, dtype: jnp.dtype, rngs: nnx.Rngs):
        width, patch_values = architecture.width, 3 * architecture.patch_size**2
        init = normal(width**-0.5)
        self.architecture, self.dtype = architecture, dtype
        self.patch_embedding = nnx.Linear(
            patch_values,
            width,
            kernel_init=symmetric_uniform(patch_values**-0.5),
            dtype=dtype,
            rngs=rngs,
        )
        self.class_embedding = nnx.Param(init(rngs.params(), (width,), jnp.float32))
        self.position_embedding = nnx.Param(
            init(rngs.params(), (1 + architecture.side**2, width), jnp.float32)
        )
        self.pre_norm = layer_norm(width, dtype=dtype, rngs=rngs)
        self.blocks = nnx.List(
            [
                ResidualBlock(
                    width,
                    architecture.heads,
                    depth=architecture.layers,
                    activation=architecture.activation,
                    dtype=dtype,
                    rngs=rngs,
                )
                for _ in range(architecture.layers)
            ]
        )

    @jax.named_scope("embedding")
    def embed(self, images: jax.Array) -> jax.Array:
        """(images, size, size, 3) → what the first block takes, (images, 1 + patches, width)."""
        patches = self.patch_embedding(patchify(images, self.architecture.patch_size))
        class_token = jnp.broadcast_to(
            self.class_embedding.astype(self.dtype), (patches.shape[0], 1, patches.shape[2])
        )
        tokens = jnp.concatenate([class_token, patches], axis=1)
        return self.pre_norm(tokens + self.position_embedding.astype(self.dtype))

    def __call__(self, clips: jax.Array) -> list[BlockOutput]:
        """(clips, frames, size, size, 3) → of the blocks that the decoder reads, first to last."""
        x = self.embed(clips.reshape(-1, *clips.shape[2:]))
        first = len(self.blocks) - self.architecture.decoder_layers
        for block in self.blocks[:first]:
            x = block(x)
        outputs = []
        for block in self.blocks[first:]:
            x, query, key = block.with_queries_and_keys(x)
            outputs.append(
                BlockOutput(
                    *(
                        array.reshape(*clips.shape[:2], *array.shape[1:])
                        for array in (x, query, key)
                    )
                )
            )
        return outputs


class EVL(VideoModel):
    """Scores the actions of a clip by a decoder over the last blocks of a frozen CLIP.

    Examples:
        >>> model = EVL(EVL_ARCHITECTURES["ViT-B/16"], num_classes=140, rngs=nnx.Rngs(0))
        >>> model(clips)  # (clips, 140) logits

    Args:
        num_classes: logits a clip.
        dtype: of the computation; parameters are float32.
    """

    def __init__(
        self,
        architecture: EVLArchitecture,
        *,
        num_classes: int,
        dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        width = architecture.width
        self.architecture, self.dtype = architecture, dtype
        self.visual = FrozenTransformer(architecture, dtype=dtype, rngs=rngs)
        self.class_embedding = nnx.Param(jnp.zeros((width,), jnp.float32))
        self.layers = nnx.List(
            [
                DecoderLayer(
                    width,
                    architecture.decoder_heads,
                    num_frames=architecture.num_frames,
                    side=architecture.side,
                    activation=architecture.activation,
                    dtype=dtype,
                    rngs=rngs,
                )
                for _ in range(architecture.decoder_layers)
            ]
        )
        linear_init = symmetric_uniform(width**-0.5)
        self.head_norm = layer_norm(width, dtype=jnp.float32, rngs=rngs)
        self.head_dropout = nnx.Dropout(DROPOUT)
        self.head = nnx.Linear(
            width, num_classes, kernel_init=linear_init, bias_init=linear_init, rngs=rngs
        )

    def encode_frames(self, clips: jax.Array) -> list[BlockOutput]:
        """What the frozen blocks make of clips, which no gradient passes.

        Args:
            clips: (clips, num_frames, image_size, image_size, 3) normalised pixels, float.

        Raises:
            UserError: clips of another shape (when it is traced).
        """
        size = self.architecture.image_size
        expected = (self.architecture.num_frames, size, size, 3)
        if clips.shape[1:] != expected:
            raise UserError(
                f"clips are {clips.shape[1:]} (frames, height, width, channels); this EVL takes "
                f"{expected}"
            )
        return jax.lax.stop_gradient(self.visual(clips))

    def encode_video(self, clips: jax.Array, *, key: jax.Array | None = None) -> jax.Array:
        """Clips as for `encode_frames` → (clips, width).

        Args:
            key: random key for dropout, None outside training.
        """
        depth = len(self.layers)
        keys = (None,) * depth if key is None else jax.random.split(key, depth)
        x = jnp.broadcast_to(
            self.class_embedding.astype(self.dtype), (clips.shape[0], 1, self.architecture.width)
        )
        for layer, output, layer_key in zip(
            self.layers, self.encode_frames(clips), keys, strict=True
        ):
            x = layer(x, layer.context(*output), key=layer_key)
        return x[:, 0]

    @jax.named_scope("projection")
    def score_encoded(
        self,
        videos: jax.Array,
        classes: ClassContext | None = None,
        animal_weights: jax.Array | None = None,
        *,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """Scores clips that have been through `encode_video`: (clips, width) → logits (clips,
        num_classes), float32.

        Args:
            classes, animal_weights: not used; they are here so that all models are called alike.
            key: random key for dropout, None outside training.
        """
        del classes, animal_weights
        normed = self.head_norm(videos.astype(jnp.float32))
        return self.head(self.head_dropout(normed, deterministic=key is None, rngs=key))
