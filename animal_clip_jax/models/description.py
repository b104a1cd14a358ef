"""Which model it is and how large: what a checkpoint records, and all that building it needs."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import nnx

from animal_clip_jax.models.animal_clip import AnimalCLIP
from animal_clip_jax.models.architectures import ClipArchitecture, heads_of
from animal_clip_jax.models.attention import XLA, Attention
from animal_clip_jax.models.clip import Clip
from animal_clip_jax.models.evl import EVL, evl_architecture
from animal_clip_jax.models.i3d import I3D
from animal_clip_jax.models.mvit import MViT
from animal_clip_jax.models.presets import ARCHITECTURE_OF, PRESETS, PresetArchitecture
from animal_clip_jax.models.refinement_options import PUBLISHED, RefinementOptions
from animal_clip_jax.models.slowfast import SlowFast
from animal_clip_jax.models.video_prompt import VideoPrompt, VideoPromptArchitecture
from animal_clip_jax.models.x3d import X3D
from animal_clip_jax.models.xclip import XCLIP

_VIDEO = ("num_frames", "integration_layers", "integration_heads", "prompt_layers", "prompt_heads")
_PRESET = ("num_frames", "num_classes")
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "clip": (),
    "xclip": _VIDEO,
    "animal_clip": (*_VIDEO, "graph_width"),
    "video_prompt": (
        *("num_frames", "integration_layers", "integration_heads"),
        *("prompt_prefix", "prompt_suffix"),
    ),
    "evl": ("num_frames", "decoder_layers", "num_classes"),
    **dict.fromkeys(PRESETS, _PRESET),
}
FAMILIES = tuple(_FIELDS)
VIDEO_FAMILIES = tuple(family for family in FAMILIES if family != "clip")
# Those that Animal-CLIP was published beside, but for X-CLIP.
BASELINES = ("video_prompt", "evl", *PRESETS)
# Those with blocks that may be dropped in training, and computed again to save memory.
HAVE_DEPTH = ("xclip", "animal_clip", "mvit")
# What the classes are called is nothing to them: they have learned those of the training.
CLASSIFIERS = tuple(family for family in FAMILIES if "num_classes" in _FIELDS[family])


@dataclasses.dataclass(frozen=True)
class ModelDescription:
    """A model's family and dimensions. A field that the family does not have is None.

    Attributes:
        family: one of `FAMILIES`.
        architecture: dimensions of the CLIP towers; of a family of `PRESETS`, all of its own.
        num_frames: frames a clip (all but clip).
        integration_layers: blocks of the attention between frames (xclip, animal_clip,
            video_prompt).
        integration_heads: its attention heads.
        prompt_layers: blocks of the prompt generators (xclip, animal_clip).
        prompt_heads: their attention heads.
        graph_width: hidden width of the relation graph (animal_clip).
        prompt_prefix, prompt_suffix: learned vectors before and after a name (video_prompt).
        decoder_layers: layers of the decoder (evl).
        num_classes: that the classifier tells apart (`CLASSIFIERS`); None where that is not known
            yet, and nothing can be built.
    """

    family: str
    architecture: ClipArchitecture | PresetArchitecture
    num_frames: int | None = None
    integration_layers: int | None = None
    integration_heads: int | None = None
    prompt_layers: int | None = None
    prompt_heads: int | None = None
    graph_width: int | None = None
    prompt_prefix: int | None = None
    prompt_suffix: int | None = None
    decoder_layers: int | None = None
    num_classes: int | None = None

    def __post_init__(self):
        if self.family not in FAMILIES:
            raise ValueError(f"family is {self.family!r}; expected one of {', '.join(FAMILIES)}")
        for field in dataclasses.fields(self)[2:]:
            value = getattr(self, field.name)
            if field.name not in fields_of(self.family):
                if value is not None:
                    raise ValueError(f"{field.name} is {value!r}; a {self.family} model has none")
            elif field.name == "num_classes" and value is None:
                continue
            elif not isinstance(value, int) or value < 1:
                raise ValueError(f"{field.name} is {value!r}; expected a positive integer")
        expected = ARCHITECTURE_OF.get(self.family, ClipArchitecture)
        if not isinstance(self.architecture, expected):
            raise ValueError(f"architecture is no {expected.__name__}")
        if isinstance(self.architecture, ClipArchitecture):
            self._check_with_towers(self.architecture)
        elif self.num_frames != self.architecture.num_frames:
            raise ValueError(
                f"num_frames is {self.num_frames}, that of the architecture "
                f"{self.architecture.num_frames}"
            )

    def _check_with_towers(self, towers: ClipArchitecture) -> None:
        embed_dim = towers.embed_dim
        for name in ("integration_heads", "prompt_heads"):
            heads = getattr(self, name)
            if heads is None:
                continue
            if embed_dim % heads:
                raise ValueError(f"{name} is {heads}; expected a divisor of embed_dim {embed_dim}")
            if self.family == "animal_clip" and heads != heads_of(embed_dim):
                raise ValueError(
                    f"{name} is {heads}; Animal-CLIP of embed_dim {embed_dim} has "
                    f"{heads_of(embed_dim)}"
                )
        if self.family == "video_prompt":
            self.video_prompt  # noqa: B018  refuses what leaves no room for a name
        if self.family == "evl":
            evl_architecture(towers, **self._of("num_frames", "decoder_layers"))

    @property
    def towers(self) -> ClipArchitecture:
        """Dimensions of the CLIP towers, of a family that has them."""
        assert isinstance(self.architecture, ClipArchitecture)
        return self.architecture

    @property
    def video_prompt(self) -> VideoPromptArchitecture:
        """Dimensions of a "video_prompt"."""
        return VideoPromptArchitecture(
            self.towers,
            prefix=self.prompt_prefix or 0,
            suffix=self.prompt_suffix or 0,
            temporal_layers=self.integration_layers or 0,
            temporal_heads=self.integration_heads or 0,
            **self._of("num_frames"),
        )

    def _of(self, *names: str) -> dict[str, Any]:
        return {name: getattr(self, name) for name in names}


def fields_of(family: str) -> tuple[str, ...]:
    """The dimensions that a family has beyond its architecture."""
    return _FIELDS[family]


def build(
    description: ModelDescription,
    *,
    drop_path_rate: float = 0.0,
    remat: str = "none",
    attention: Attention = XLA,
    refinement: RefinementOptions = PUBLISHED,
    dtype: jnp.dtype = jnp.float32,
    rngs: nnx.Rngs,
) -> nnx.Module:
    """The model that `description` describes, with initial values.

    Examples:
        >>> graphdef, parameters = abstract(lambda: build(description, rngs=nnx.Rngs(0)))

    Args:
        drop_path_rate, remat: stochastic depth and rematerialisation of the video tower of "xclip"
            and "animal_clip", and of the blocks of "mvit"; others have none.
        attention: the program of attention of the video tower of "xclip" and "animal_clip".
        refinement: how an "animal_clip" fits its features to the animals.
        dtype: dtype of the computation; parameters are float32.
    """
    shared: dict[str, Any] = {"dtype": dtype, "rngs": rngs}
    if description.family == "clip":
        return Clip(description.towers, **shared)
    if description.family == "video_prompt":
        return VideoPrompt(description.video_prompt, **shared)
    deep: dict[str, Any] = {"drop_path_rate": drop_path_rate, "remat": remat}
    if description.family in CLASSIFIERS:
        return _classifier(description, shared, deep)
    shared |= deep | {
        "num_frames": description.num_frames,
        "integration_layers": description.integration_layers,
        "prompt_layers": description.prompt_layers,
        "attention": attention,
    }
    if description.family == "xclip":
        return XCLIP(
            description.towers,
            integration_heads=description.integration_heads,
            prompt_heads=description.prompt_heads,
            **shared,
        )
    shared["graph_width"] = description.graph_width
    return AnimalCLIP(description.towers, refinement=refinement, **shared)


def _classifier(
    description: ModelDescription, shared: dict[str, Any], deep: dict[str, Any]
) -> nnx.Module:
    if description.num_classes is None:
        raise ValueError("num_classes is not known")
    shared["num_classes"] = description.num_classes
    architecture: Any = description.architecture
    if description.family == "evl":
        dimensions = description._of("num_frames", "decoder_layers")
        return EVL(evl_architecture(architecture, **dimensions), **shared)
    if description.family == "mvit":
        return MViT(architecture, **deep, **shared)
    return {"i3d": I3D, "slowfast": SlowFast, "x3d": X3D}[description.family](
        architecture, **shared
    )
