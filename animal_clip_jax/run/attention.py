"""Which program of attention a run's model takes on the devices that it is to run on."""

from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh
from ml_collections import ConfigDict

from animal_clip_jax.errors import UserError
from animal_clip_jax.models.attention import RECOMPUTED, XLA, Attention, fused_kernel
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


def choose_attention(config: ConfigDict, mesh: Mesh) -> ChosenAttention:
    """The program of attention for the model that `config.model` describes.

    Args:
        config: the field `model` of a run's configuration, with nothing left open.
        mesh: the devices, here or elsewhere.

    Raises:
        UserError: `config.model.attention` is "fused", and there is none for this model there.
    """
    if config.attention == "xla":
        return ChosenAttention(XLA)
    if config.family not in _FAMILIES:
        if config.attention == "fused":
            raise UserError(
                f"config.model.attention is 'fused', and a model of family {config.family!r} has "
                f"only its own, not fused; fused attention is of {' and '.join(_FAMILIES)}"
            )
        return ChosenAttention(XLA)
    architecture = assembly.model_description(config).towers
    heads, sharing = architecture.vision_heads, mesh.shape["model"]
    fused = fused_kernel(
        mesh.devices.flat[0],
        tokens=architecture.num_patches + 2,  # the class token, and the message
        heads=heads if heads % sharing else heads // sharing,
        head_dim=architecture.vision_width // heads,
        dtype=jnp.dtype(config.dtype),
    )
    if fused.kernel:
        note = f"attention is fused: {_IN_WORDS[fused.kernel]}"
        return ChosenAttention(
            Attention(fused.kernel, mesh, row_axes=BATCH[0], head_axis="model"),
            note if config.attention == "auto" else "",
        )
    if config.attention == "fused":
        raise UserError(
            f"config.model.attention is 'fused', but {fused.reason}; 'auto' fuses it where that "
            "can be, 'xla' never does"
        )
    is_processor = mesh.devices.flat[0].platform == "cpu"
    return ChosenAttention(
        RECOMPUTED if is_processor else XLA, f"attention is not fused: {fused.reason}"
    )


def graphdef_in_use(config: ConfigDict, run: TrainedRun, mesh: Mesh) -> nnx.GraphDef:
    """The structure of a run's model on the devices that it is evaluated or used on.

    Args:
        config: to evaluate or use it with. Where its attention is the run's own, and cannot be
            here, which the devices of the training could, it is not fused.

    Raises:
        UserError: as `choose_attention`, if other attention than the run's own is asked for.
    """
    try:
        attention = choose_attention(config.model, mesh).attention
    except UserError:
        # A run that went on with other attention has one in its folder, and one in its checkpoint.
        recorded = read_config(run.folder) or run.config
        if "fused" not in (run.config.model.attention, recorded.model.get("attention")):
            raise
        attention = XLA
    return assembly.abstract_model(config.model, attention)[0]
