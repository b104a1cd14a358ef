"""Which model it is and how large: what a checkpoint records, and all that building it needs."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from flax import nnx

from animal_clip_jax.models.animal_clip import AnimalCLIP
from animal_clip_jax.models.architectures import ClipArchitecture, heads_of
from animal_clip_jax.models.attention import XLA, Attention
from animal_clip_jax.models.clip import Clip
from animal_clip_jax.models.refinement_options import PUBLISHED, RefinementOptions
from animal_clip_jax.models.xclip import XCLIP

FAMILIES = ("clip", "xclip", "animal_clip")


@dataclasses.dataclass(frozen=True)
class ModelDescription:
    """A model's family and dimensions. A field that the family does not have is None.

    Attributes:
        family: "clip", "xclip" or "animal_clip".
        architecture: dimensions of the CLIP towers.
        num_frames: frames a clip (xclip, animal_clip).
        integration_layers: blocks of the multi-frame integration (xclip, animal_clip).
        integration_heads: its attention heads.
        prompt_layers: blocks of the prompt generators (xclip, animal_clip).
        prompt_heads: their attention heads.
        graph_width: hidden width of the relation graph (animal_clip).
    """

    family: str
    architecture: ClipArchitecture
    num_frames: int | None = None
    integration_layers: int | None = None
    integration_heads: int | None = None
    prompt_layers: int | None = None
    prompt_heads: int | None = None
    graph_width: int | None = None

    def __post_init__(self):
        if self.family not in FAMILIES:
            raise ValueError(f"family is {self.family!r}; expected one of {', '.join(FAMILIES)}")
        for field in dataclasses.fields(self)[2:]:
            value = getattr(self, field.name)
            if field.name not in fields_of(self.family):
                if value is not None:
                    raise ValueError(f"{field.name} is {value!r}; a {self.family} model has none")
            elif not isinstance(value, int) or value < 1:
                raise ValueError(f"{field.name} is {value!r}; expected a positive integer")
        if self.family == "clip":
            return
        embed_dim = self.architecture.embed_dim
        for name in ("integration_heads", "prompt_heads"):
            heads = getattr(self, name)
            if embed_dim % heads:
                raise ValueError(f"{name} is {heads}; expected a divisor of embed_dim {embed_dim}")
            if self.family == "animal_clip" and heads != heads_of(embed_dim):
                raise ValueError(
                    f"{name} is {heads}; Animal-CLIP of embed_dim {embed_dim} has "
                    f"{heads_of(embed_dim)}"
                )


def fields_of(family: str) -> tuple[str, ...]:
    """The dimensions that a family has beyond those of its CLIP towers."""
    video = (
        "num_frames",
        "integration_layers",
        "integration_heads",
        "prompt_layers",
        "prompt_heads",
    )
    return {"clip": (), "xclip": video, "animal_clip": (*video, "graph_width")}[family]


def build(
    description: ModelDescription,
    *,
    drop_path_rate: float = 0.0,
    remat: str = "none",
    attention: Attention = XLA,
    refinement: RefinementOptions = PUBLISHED,
    dtype: jnp.dtype = jnp.float32,
    rngs: nnx.Rngs,
) -> Clip | XCLIP | AnimalCLIP:
    """The model that `description` describes, with initial values.

    Examples:
        >>> graphdef, parameters = abstract(lambda: build(description, rngs=nnx.Rngs(0)))

    Args:
        drop_path_rate, remat, attention: stochastic depth, rematerialisation and the program of
            attention of the video tower; not used by "clip".
        refinement: how an "animal_clip" fits its features to the animals.
        dtype: dtype of the computation; parameters are float32.
    """
    if description.family == "clip":
        return Clip(description.architecture, dtype=dtype, rngs=rngs)
    shared: dict[str, Any] = {
        "num_frames": description.num_frames,
        "integration_layers": description.integration_layers,
        "prompt_layers": description.prompt_layers,
        "drop_path_rate": drop_path_rate,
        "remat": remat,
        "attention": attention,
        "dtype": dtype,
        "rngs": rngs,
    }
    if description.family == "xclip":
        return XCLIP(
            description.architecture,
            integration_heads=description.integration_heads,
            prompt_heads=description.prompt_heads,
            **shared,
        )
    shared["graph_width"] = description.graph_width
    return AnimalCLIP(description.architecture, refinement=refinement, **shared)
