"""Flax NNX modules: pure array code with plain arguments.

`describe` and `build` are the only places that read a configuration.
"""

import jax.numpy as jnp
from flax import nnx
from ml_collections import ConfigDict

from animal_clip_jax.models.animal_clip import AnimalCLIP
from animal_clip_jax.models.architectures import ClipArchitecture, heads_of
from animal_clip_jax.models.description import ModelDescription
from animal_clip_jax.models.description import build as build_described
from animal_clip_jax.models.video import REMAT_POLICIES
from animal_clip_jax.models.xclip import XCLIP

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def describe(config: ConfigDict) -> ModelDescription:
    """The family and dimensions that `config.model` asks for.

    Args:
        config: the field `model` of a run's configuration.

    Raises:
        ValueError: a field has no meaning; the message names it.
    """
    if config.family not in ("animal_clip", "xclip"):
        raise ValueError(
            f"config.model.family is {config.family!r}; expected 'animal_clip' or 'xclip'"
        )
    try:
        architecture = ClipArchitecture(**config.architecture)
        heads = heads_of(architecture.embed_dim)
        return ModelDescription(
            family=config.family,
            architecture=architecture,
            num_frames=config.num_frames,
            integration_layers=config.integration_layers,
            integration_heads=heads,
            prompt_layers=config.prompt_layers,
            prompt_heads=heads,
            graph_width=config.graph_width if config.family == "animal_clip" else None,
        )
    except ValueError as error:
        raise ValueError(f"config.model: {error}") from error


def build(config: ConfigDict, *, rngs: nnx.Rngs) -> AnimalCLIP | XCLIP:
    """The model that `config.model` describes, with random parameters.

    Raises:
        ValueError: a field has no meaning; the message names it.
    """
    if config.dtype not in DTYPES:
        raise ValueError(
            f"config.model.dtype is {config.dtype!r}; expected one of {', '.join(DTYPES)}"
        )
    if not 0 <= config.drop_path_rate < 1:
        raise ValueError(
            f"config.model.drop_path_rate is {config.drop_path_rate}; expected 0 ≤ rate < 1"
        )
    if config.remat not in REMAT_POLICIES:
        raise ValueError(
            f"config.model.remat is {config.remat!r}; expected one of {', '.join(REMAT_POLICIES)}"
        )
    if not config.refinement and config.family != "animal_clip":
        raise ValueError(
            f"config.model.refinement is False; a model of family {config.family!r} has none to "
            "leave out"
        )
    model = build_described(
        describe(config),
        drop_path_rate=config.drop_path_rate,
        remat=config.remat,
        refinement=config.refinement,
        dtype=DTYPES[config.dtype],
        rngs=rngs,
    )
    assert isinstance(model, AnimalCLIP | XCLIP)
    return model
