"""VideoPrompt: a frozen CLIP, learned prompts around the names of the actions, and a transformer
over frames (Ju et al. 2022, Prompting Visual-Language Models for Efficient Video Understanding).

The two towers of CLIP have the paths that they have in `Clip`, so that its weights fit as they are.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from animal_clip_jax.errors import UserError
from animal_clip_jax.models.architectures import ARCHITECTURES, ClipArchitecture
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.clip import LOGIT_SCALE_INIT, unit_length
from animal_clip_jax.models.initial_values import normal, symmetric_uniform
from animal_clip_jax.models.layers import Mlp, ResidualBlock
from animal_clip_jax.models.self_attention import SelfAttention
from animal_clip_jax.models.text import TextTower
from animal_clip_jax.models.video import ImageTower
from animal_clip_jax.models.video_model import VideoModel

TEMPERATURE = 0.07  # fixed; CLIP's own scale takes no part
_EMBEDDING_STD = 0.01
_FROZEN = ("text", "visual", "logit_scale")


@dataclasses.dataclass(frozen=True)
class VideoPromptArchitecture:
    """Dimensions of a VideoPrompt.

    Attributes:
        clip: of the frozen CLIP.
        num_frames: frames a clip.
        prefix: learned vectors before the tokens of a name.
        suffix: learned vectors after them.
        temporal_layers: blocks of the transformer over frames.
        temporal_heads: its attention heads; divides the CLIP's embed_dim.
    """

    clip: ClipArchitecture
    num_frames: int
    prefix: int = 16
    suffix: int = 16
    temporal_layers: int = 1
    temporal_heads: int = 8

    def __post_init__(self):
        if self.num_frames < 1:
            raise UserError(f"num_frames is {self.num_frames}; expected a positive integer")
        if self.longest_name < 1:
            raise UserError(
                f"prefix {self.prefix} and suffix {self.suffix} leave no token of "
                f"{self.clip.context_length} for a name"
            )
        if self.clip.embed_dim % self.temporal_heads:
            raise UserError(
                f"temporal_heads is {self.temporal_heads}; expected a divisor of embed_dim "
                f"{self.clip.embed_dim}"
            )

    @property
    def longest_name(self) -> int:
        """Tokens of the longest name, without its start and end tokens, that fit."""
        return self.clip.context_length - self.prefix - self.suffix - 2


VIDEO_PROMPT_ARCHITECTURES = {
    "ViT-B/16": VideoPromptArchitecture(ARCHITECTURES["ViT-B/16"], num_frames=16),
    "tiny": VideoPromptArchitecture(
        ClipArchitecture(
            embed_dim=32,
            image_size=32,
            patch_size=8,
            vision_width=32,
            vision_layers=2,
            vision_heads=2,
            text_width=32,
            text_layers=1,
            text_heads=2,
        ),
        num_frames=4,
        temporal_heads=2,
    ),
}


def is_trained(path: str) -> bool:
    """Whether a parameter of a VideoPrompt is trained: all that CLIP does not bring."""
    return path.partition(".")[0] not in _FROZEN


class TemporalBlock(ResidualBlock):
    """CLIP's block, with torch's initial values in place of CLIP's."""

    def __init__(
        self, width: int, num_heads: int, *, activation: str, dtype: jnp.dtype, rngs: nnx.Rngs
    ):
        super().__init__(
            width, num_heads, depth=None, activation=activation, dtype=dtype, rngs=rngs
        )
        narrow, wide = symmetric_uniform(width**-0.5), symmetric_uniform((4 * width) ** -0.5)
        self.attention = SelfAttention(
            width,
            num_heads,
            # Xavier's, of the matrix in which torch packs queries, keys and values.
            in_init=symmetric_uniform((6 / (4 * width)) ** 0.5),
            out_init=narrow,
            dtype=dtype,
            rngs=rngs,
        )
        self.mlp = Mlp(
            width,
            activation=activation,
            in_init=narrow,
            in_bias_init=narrow,
            out_init=wide,
            out_bias_init=wide,
            dtype=dtype,
            rngs=rngs,
        )


class TemporalTransformer(nnx.Module):
    """Joins the features of a clip's frames: blocks over features + positions, then the mean."""

    def __init__(self, architecture: VideoPromptArchitecture, *, dtype: jnp.dtype, rngs: nnx.Rngs):
        embed_dim = architecture.clip.embed_dim
        self.dtype = dtype
        self.position_embedding = nnx.Param(
            normal(_EMBEDDING_STD)(rngs.params(), (architecture.num_frames, embed_dim), jnp.float32)
        )
        self.blocks = nnx.List(
            [
                TemporalBlock(
                    embed_dim,
                    architecture.temporal_heads,
                    activation=architecture.clip.activation,
                    dtype=dtype,
                    rngs=rngs,
                )
                for _ in range(architecture.temporal_layers)
            ]
        )

    @jax.named_scope("integration")
    def __call__(self, frame_features: jax.Array) -> jax.Array:
        """(clips, frames, embed_dim) → (clips, embed_dim)."""
        x = frame_features.astype(self.dtype) + self.position_embedding.astype(self.dtype)
        for block in self.blocks:
            x = block(x)
        return jnp.mean(x, axis=1)


class VideoPrompt(VideoModel):
    """Scores the actions of a clip by how well their prompted names match it.

    Examples:
        >>> model = VideoPrompt(VIDEO_PROMPT_ARCHITECTURES["ViT-B/16"], rngs=nnx.Rngs(0))
        >>> model(clips, classes)  # (clips, actions) logits; `classes` has tokens of names

    Args:
        dtype: of the computation; parameters are float32.
    """

    def __init__(
        self,
        architecture: VideoPromptArchitecture,
        *,
        dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        clip = architecture.clip
        self.architecture = architecture
        self.text = TextTower(clip, dtype=dtype, rngs=rngs)
        self.visual = ImageTower(clip, dtype=dtype, rngs=rngs)
        self.logit_scale = nnx.Param(jnp.float32(LOGIT_SCALE_INIT))
        self.prompt_embedding = nnx.Param(
            normal(_EMBEDDING_STD)(
                rngs.params(), (clip.context_length, clip.text_width), jnp.float32
            )
        )
        self.temporal = TemporalTransformer(architecture, dtype=dtype, rngs=rngs)

    def encode_frames(self, clips: jax.Array) -> jax.Array:
        """The frozen CLIP's features of frames, which no gradient passes.

        Args:
            clips: (clips, num_frames, image_size, image_size, 3) normalised pixels, float.

        Returns:
            (clips, num_frames, embed_dim), not of unit length.

        Raises:
            UserError: clips of another shape (when it is traced).
        """
        size = self.architecture.clip.image_size
        expected = (self.architecture.num_frames, size, size, 3)
        if clips.shape[1:] != expected:
            raise UserError(
                f"clips are {clips.shape[1:]} (frames, height, width, channels); this VideoPrompt "
                f"takes {expected}"
            )
        features = self.visual(clips.reshape(-1, *clips.shape[2:]))
        return jax.lax.stop_gradient(features).reshape(*clips.shape[:2], -1)

    def encode_video(self, clips: jax.Array, *, key: jax.Array | None = None) -> jax.Array:
        """Clips as for `encode_frames` → (clips, embed_dim), not of unit length. Nothing in it is
        random: `key` is not used."""
        del key
        return self.temporal(self.encode_frames(clips))

    @jax.named_scope("prompts")
    def prompted(self, tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The actions' names between learned vectors: start, prefix, name, suffix, end.

        Where there is neither the start token nor the name nor the end token, the learned vector of
        that position stands.

        Args:
            tokens: (actions, length) int32, as the tokenizer gives them: start token, name, end
                token, which is the largest id, and zeros. Names must fit, see
                `VideoPromptArchitecture.longest_name`.

        Returns:
            vectors (actions, positions, text_width) float32, only as many as the longest row could
            need; and where the end tokens stand, (actions,) int.
        """
        prefix, suffix = self.architecture.prefix, self.architecture.suffix
        length = min(prefix + tokens.shape[1] + suffix, self.prompt_embedding.shape[0])
        name_end = jnp.argmax(tokens, axis=1)[:, None]
        end = prefix + name_end + suffix
        position = jnp.arange(length)
        source = position - prefix  # of the names' tokens
        is_end = position == end
        is_given = (position == 0) | ((source >= 1) & (source < name_end)) | is_end
        source = jnp.where(is_end, name_end, jnp.maximum(source, 0))
        ids = jnp.take_along_axis(tokens, jnp.minimum(source, tokens.shape[1] - 1), axis=1)
        given = jax.lax.stop_gradient(self.text.token_embedding[...])[ids]
        learned = self.prompt_embedding[:length]
        return jnp.where(is_given[..., None], given, learned), end[:, 0]

    def encode_actions(self, tokens: jax.Array) -> jax.Array:
        """Tokens as for `prompted` → features (actions, embed_dim), not of unit length."""
        return self.text.encode_vectors(*self.prompted(tokens))

    def score_encoded(
        self,
        videos: jax.Array,
        classes: ClassContext | None = None,
        animal_weights: jax.Array | None = None,
        *,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """Scores clips that have been through `encode_video`.

        Args:
            videos: (clips, embed_dim).
            classes: only its action features are used. The tokens of the names, integers, are
                prompted and encoded, which training needs. Features are what `encode_actions` gave,
                which outside of training is the same for every batch.
            animal_weights, key: not used; they are here so that all models are called alike.

        Returns:
            logits (clips, actions), float32: cosines / 0.07.
        """
        del animal_weights, key
        assert classes is not None
        actions = jnp.asarray(classes.action_features)
        if jnp.issubdtype(actions.dtype, jnp.integer):
            actions = self.encode_actions(actions)
        with jax.named_scope("cosines"):
            return unit_length(videos) @ unit_length(actions).T / TEMPERATURE
