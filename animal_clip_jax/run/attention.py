"""Which program of attention a run's model takes on the devices that it is to run on."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import ConfigDict

from animal_clip_jax.errors import UserError
from animal_clip_jax.models.attention import RECOMPUTED, XLA, Attention, Fused, fused_kernel
from animal_clip_jax.models.description import ModelDescription
from animal_clip_jax.parallel.mesh import BATCH
from animal_clip_jax.run import assembly
from animal_clip_jax.run.trained_run import TrainedRun
from animal_clip_jax.run.workdir import read_config

_FAMILIES = ("animal_clip", "xclip")
_IN_WORDS = {"pallas": "a Pallas kernel", "cudnn": "cuDNN's"}


class ChosenAttention(NamedTuple):
    """What was chosen, and what is to be said of it.

    Attributes:
        attention: for the model.
        note: what a person should know; "" where the configuration left no choice.
    """

    attention: Attention
    note: str = ""


def fastest_attention(
    description: ModelDescription, dtype: jnp.dtype, mesh: Mesh
) -> ChosenAttention:
    """The program that "auto" takes for a model.

    Args:
        dtype: of its computation.
        mesh: the devices, here or elsewhere.
    """
    if description.family not in _FAMILIES:
        return ChosenAttention(XLA)
    fused = _fused_kernel(description, dtype, mesh)
    if fused.kernel:
        return ChosenAttention(
            Attention(fused.kernel, mesh, row_axes=BATCH[0], head_axis="model"),
            f"attention is fused: {_IN_WORDS[fused.kernel]}",
        )
    is_processor = mesh.devices.flat[0].platform == "cpu"
    return ChosenAttention(
        RECOMPUTED if is_processor else XLA, f"attention is not fused: {fused.reason}"
    )


def choose_attention(
    config: ConfigDict, mesh: Mesh, *, must_be_fused: bool = True
) -> ChosenAttention:
    """The program of attention for the model that `config.model` describes.

    Args:
        config: the field `model` of a run's configuration, with nothing left open.
        mesh: the devices, here or elsewhere.
        must_be_fused: False takes what "auto" would, and says so, where "fused" asks for what
            cannot be.

    Raises:
        UserError: `config.model.attention` is "fused", and there is none for this model there.
    """
    if config.attention == "xla":
        return ChosenAttention(XLA)
    description, dtype = assembly.model_description(config), jnp.dtype(config.dtype)
    chosen = fastest_attention(description, dtype, mesh)
    if config.attention == "auto":
        return chosen
    if chosen.attention.is_fused:
        return ChosenAttention(chosen.attention)
    if not must_be_fused:
        return chosen
    if description.family not in _FAMILIES:
        raise UserError(
            f"config.model.attention is 'fused', and a model of family {config.family!r} has "
            f"only its own, not fused; fused attention is of {' and '.join(_FAMILIES)}"
        )
    raise UserError(
        f"config.model.attention is 'fused', but {_fused_kernel(description, dtype, mesh).reason}; "
        "'auto' fuses it where that can be, 'xla' never does"
    )


def _fused_kernel(description: ModelDescription, dtype: jnp.dtype, mesh: Mesh) -> Fused:
    architecture = description.towers
    heads, sharing = architecture.vision_heads, mesh.shape["model"]
    return fused_kernel(
        mesh.devices.flat[0],
        tokens=architecture.num_patches + 2,  # the class token, and the message
        heads=heads if heads % sharing else heads // sharing,
        head_dim=architecture.vision_width // heads,
        dtype=dtype,
    )


def attention_in_use(config: ConfigDict, run: TrainedRun, mesh: Mesh) -> ChosenAttention:
    """The program of attention on the devices that a run is evaluated or used on.

    Args:
        config: to evaluate or use it with. Where its attention is the run's own, and cannot be
            here, which the devices of the training could, it is not fused, and the note says so.

    Raises:
        UserError: as `choose_attention`, if other attention than the run's own is asked for.
    """
    was_fused = False
    if config.model.attention == "fused":
        # A run that went on with other attention has one in its folder, and one in its checkpoint.
        recorded = read_config(run.folder) or run.config
        was_fused = "fused" in (run.config.model.attention, recorded.model.get("attention"))
    chosen = choose_attention(config.model, mesh, must_be_fused=not was_fused)
    if config.model.attention == "auto" and chosen.attention == RECOMPUTED:
        return ChosenAttention(RECOMPUTED)  # nobody expects another of a processor
    return chosen
