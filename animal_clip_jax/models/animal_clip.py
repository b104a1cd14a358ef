"""Animal-CLIP: a cross-frame video tower, a text tower, and text features refined by the animal."""

import jax
import jax.numpy as jnp
from flax import nnx

from animal_clip_jax.models.architectures import ClipArchitecture, heads_of
from animal_clip_jax.models.attention import XLA, Attention
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.clip import LOGIT_SCALE_INIT, unit_length
from animal_clip_jax.models.initial_values import normal
from animal_clip_jax.models.layers import layer_norm
from animal_clip_jax.models.refinement import PromptGenerator, RefinementGate, RelationGraph
from animal_clip_jax.models.refinement_options import PUBLISHED, RefinementOptions
from animal_clip_jax.models.text import TextTower
from animal_clip_jax.models.video import MultiFrameIntegration, VideoTower


class AnimalCLIP(nnx.Module):
    """Scores the actions of a clip, given which animals are in it.

    The action features go through a graph of which animal does what, weighted by the clip's
    animals; then both they and the video feature receive a prompt generated from the animals; the
    logits are scaled cosines.

    `refinement` leaves out the graph, the prompts, or both, for comparison, or has them otherwise
    than published. Parameters of what is left out are there, and take no part. Without both, video
    and action features are taken as they are, and animals do not matter. A gate's parameters are
    there only with a gate.

    `patch_norm` and `patch_projection` take no part and get no gradient: the published checkpoints
    hold them, and a conversion there and back must not lose them.

    Examples:
        >>> model = AnimalCLIP(ARCHITECTURES["ViT-B/16"], num_frames=8, rngs=nnx.Rngs(0))
        >>> model(clips, classes, animal_weights)  # (clips, actions)
    """

    def __init__(
        self,
        architecture: ClipArchitecture,
        *,
        num_frames: int = 8,
        integration_layers: int = 1,
        prompt_layers: int = 3,
        graph_width: int = 256,
        drop_path_rate: float = 0.0,
        remat: str = "none",
        attention: Attention = XLA,
        refinement: RefinementOptions = PUBLISHED,
        dtype: jnp.dtype = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.refinement = refinement
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
            activation=activation,
            dtype=dtype,
            rngs=rngs,
        )
        self.graph = RelationGraph(
            embed_dim,
            hidden_width=graph_width,
            is_averaged=refinement.graph == "averaged",
            dtype=dtype,
            rngs=rngs,
        )
        self.action_prompts, self.video_prompts = (
            PromptGenerator(
                embed_dim,
                prompt_layers,
                num_heads=heads_of(embed_dim),
                activation=activation,
                dtype=dtype,
                rngs=rngs,
            )
            for _ in range(2)
        )
        self.logit_scale = nnx.Param(jnp.float32(LOGIT_SCALE_INIT))
        if refinement.gate:
            self.gate = RefinementGate(embed_dim, dtype=dtype, rngs=rngs)

    def encode_video(self, clips: jax.Array, *, key: jax.Array | None = None) -> jax.Array:
        """Normalised pixels (clips, frames, size, size, 3) → (clips, embed_dim), any length."""
        frame_features, _ = self.visual(clips, key=key)
        return self.integration(frame_features)

    def animals_of(
        self, video_features: jax.Array, classes: ClassContext, animal_weights: jax.Array
    ) -> jax.Array:
        """The animals by which the features of each clip are refined.

        With nothing known, p = 0, the published model gives every clip the same context, a zero,
        and a graph without animals. With `unknown_animals` of "from_video" the model's own guess
        takes their place, of the video feature v and the animals' features a:

            p_a = softmax_a(exp(logit_scale) · cos(v, a))

        This is CLIP's zero-shot classification. Its scale is not trained, as elsewhere. The
        gradient goes through v: it is attention over the animals, and of the losses nothing else
        keeps v telling animals apart while it is fitted to the actions.

        Args:
            video_features: (clips, embed_dim).
            classes: of whose `animal_features` the guess is made.
            animal_weights: (clips, animals) 0/1 or probabilities; all 0 where none is known.

        Returns:
            (clips, animals), `animal_weights` where any of them is known.
        """
        has_animals = animal_weights.shape[-1] > 0
        if self.refinement.unknown_animals == "zero" or not has_animals:
            return animal_weights
        with jax.named_scope("cosines"):
            known = unit_length(jnp.asarray(classes.animal_features))
            cosines = unit_length(video_features) @ known.T
            scale = jnp.exp(jax.lax.stop_gradient(self.logit_scale[...]))
            guess = jax.nn.softmax(scale * cosines).astype(animal_weights.dtype)
        is_known = jnp.any(animal_weights != 0, axis=-1, keepdims=True)
        return jnp.where(is_known, animal_weights, guess)

    def refine(
        self, video_features: jax.Array, classes: ClassContext, animal_weights: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Fits video and action features to the animals of each clip.

        Args:
            video_features: (clips, embed_dim).
            classes: features and relations of actions and animals.
            animal_weights: (clips, animals) 0/1 or probabilities.

        Returns:
            video features (clips, embed_dim), action features (clips, actions, embed_dim).
        """
        dtype = video_features.dtype
        animal_weights = self.animals_of(video_features, classes, animal_weights)
        known = jnp.asarray(classes.action_features, dtype)
        if self.refinement.graph == "none":
            actions = jnp.broadcast_to(known, (video_features.shape[0], *known.shape))
        else:
            actions = self.graph(
                classes.action_features, classes.animal_features, animal_weights, classes.relation
            )
        if not (self.refinement.adaptive_prompts or self.refinement.gate):
            return video_features, actions
        with jax.named_scope("prompts"):
            context = animal_weights.astype(dtype) @ classes.animal_features.astype(dtype)
        videos = video_features
        if self.refinement.adaptive_prompts:
            with jax.named_scope("prompts"):
                actions = actions + self.action_prompts(actions, context[:, None])
                videos = videos + self.video_prompts(videos[:, None], context[:, None])[:, 0]
        if self.refinement.gate:
            with jax.named_scope("gate"):
                trust = self.gate(video_features, context)
                videos = _mixed(video_features, videos, trust)
                actions = _mixed(known, actions, trust[:, None])
        return videos, actions

    def __call__(
        self,
        clips: jax.Array,
        classes: ClassContext,
        animal_weights: jax.Array,
        *,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """The logits of `score` alone."""
        return self.score(clips, classes, animal_weights, key=key)[0]

    def score(
        self,
        clips: jax.Array,
        classes: ClassContext,
        animal_weights: jax.Array,
        *,
        key: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        """Scores the actions.

        Args:
            clips: (clips, frames, size, size, 3) normalised pixels.
            classes: features and relations of actions and animals.
            animal_weights: (clips, animals) 0/1 or probabilities.
            key: random key for stochastic depth, None outside training.

        Returns:
            logits (clips, actions), float32; and the video features (clips, embed_dim) of
            `encode_video`, before they are fitted to the animals.
        """
        videos = self.encode_video(clips, key=key)
        return self.score_encoded(videos, classes, animal_weights), videos

    def score_encoded(
        self, videos: jax.Array, classes: ClassContext, animal_weights: jax.Array
    ) -> jax.Array:
        """Scores the actions of clips that have been through `encode_video`, under any animals.

        Args:
            videos: (clips, embed_dim), what that gave.
            classes, animal_weights: see `score`.

        Returns:
            logits (clips, actions), float32.
        """
        if self.refinement.is_any:
            videos, actions = self.refine(videos, classes, animal_weights)
            with jax.named_scope("cosines"):
                cosines = jnp.einsum("be,bke->bk", unit_length(videos), unit_length(actions))
        else:
            with jax.named_scope("cosines"):
                cosines = unit_length(videos) @ unit_length(jnp.asarray(classes.action_features)).T
        return jnp.exp(self.logit_scale[...]) * cosines


def _mixed(plain: jax.Array, refined: jax.Array, trust: jax.Array) -> jax.Array:
    """(1 − trust) · plain + trust · refined, each of unit length, in float32."""
    return (1 - trust) * unit_length(plain) + trust * unit_length(refined)
