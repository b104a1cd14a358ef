r"""Trains a tiny model on meshes of up to eight devices and saves what comes out.

A program of its own, because the number of devices is settled when JAX starts:

    XLA_FLAGS=--xla_force_host_platform_device_count=8 \
      python tests/parallel/eight_devices.py FOLDER 1,1,1 2,2,2 2,2,2,fused

writes FOLDER/1,1,1.npz and so on: "losses", "num_spread_moments" and the parameters. "fused" is
with the Pallas kernel of attention, interpreted; "contrastive" is a CLIP, trained on pairs.
"""

import math
import pathlib
import sys

import jax
import numpy as np

sys.path[:0] = [str(pathlib.Path(__file__).parents[level]) for level in (1, 2)]
import tiny  # noqa: E402

from animal_clip_jax.command_line import collect_garbage_seldom  # noqa: E402
from animal_clip_jax.models import parameters  # noqa: E402
from animal_clip_jax.models.attention import XLA, Attention  # noqa: E402
from animal_clip_jax.models.clip import Clip  # noqa: E402
from animal_clip_jax.models.normalisation import IMAGENET  # noqa: E402
from animal_clip_jax.parallel.mesh import AXES, BATCH, make_mesh, put_batch  # noqa: E402
from animal_clip_jax.training import losses, optimizer  # noqa: E402
from animal_clip_jax.training.contrastive import make_contrastive_step  # noqa: E402
from animal_clip_jax.training.state import create_state  # noqa: E402
from animal_clip_jax.training.step import make_train_step  # noqa: E402

STEPS, CLIPS = 5, 16
SETTINGS = tiny.settings(
    accumulation=2, jitter_probability=0.8, grey_probability=0.2, mix=True, label_dropout=0.3
)


def train(shape: tuple[int, ...], devices: list[jax.Device], *, is_fused: bool):
    """Some steps on a mesh: the losses, the parameters, and how many moments are spread."""
    mesh = make_mesh(dict(zip(AXES, shape, strict=True)), devices)
    fused = Attention("pallas", mesh, row_axes=BATCH[0], head_axis="model", interpreted=True)
    graphdef, values = tiny.model(drop_path_rate=0.2, attention=fused if is_fused else XLA)
    groups = optimizer.parameter_groups(values)
    adamw = optimizer.build_optimizer(
        {path: group for path, group in groups.items() if group != optimizer.FROZEN},
        {optimizer.BASE: 1e-4, optimizer.NEW: 1e-3},
        weight_decay=0.001,
        # Larger than the rounding of gradients that are 0 in exact arithmetic, such as those of
        # key biases, which Adam would make into steps of full size.
        epsilon=1e-6,
    )
    state, shardings = create_state(values, groups, adamw, seed=0, mesh=mesh)
    step = make_train_step(
        graphdef,
        adamw,
        losses.cross_entropy,
        reduction="mean",
        settings=SETTINGS,
        mesh=mesh,
        state_shardings=shardings,
    )
    history = []
    for index in range(STEPS):
        batch = put_batch(tiny.batch(CLIPS, seed=index), mesh)
        state, metrics = step(state, batch, tiny.classes())
        history.append(float(metrics["loss"]))
    moments = jax.tree.leaves(state.optimizer)
    num_spread = sum(not leaf.sharding.is_fully_replicated for leaf in moments)
    return np.array(history), jax.device_get({**state.trained, **state.frozen}), num_spread


def pretrain(shape: tuple[int, ...], devices: list[jax.Device]):
    """The same of a CLIP on pictures and texts."""
    mesh = make_mesh(dict(zip(AXES, shape, strict=True)), devices)
    graphdef, abstract = parameters.abstract(
        lambda: Clip(tiny.ARCHITECTURE, rngs=parameters.rngs_for_shapes())
    )
    values = tiny.random_parameters(abstract)
    groups = dict.fromkeys(values, optimizer.BASE)
    adamw = optimizer.build_optimizer(
        groups, {optimizer.BASE: 1e-3, optimizer.NEW: 1e-3}, weight_decay=0.02, epsilon=1e-6
    )
    state, shardings = create_state(values, groups, adamw, seed=0, mesh=mesh)
    step = make_contrastive_step(
        graphdef, adamw, normalisation=IMAGENET, mesh=mesh, state_shardings=shardings
    )
    history = []
    for index in range(STEPS):
        state, metrics = step(state, put_batch(tiny.pairs(CLIPS, seed=index), mesh))
        history.append(float(metrics["loss"]))
    moments = jax.tree.leaves(state.optimizer)
    num_spread = sum(not leaf.sharding.is_fully_replicated for leaf in moments)
    return np.array(history), jax.device_get(state.trained), num_spread


def main(folder: str, *meshes: str) -> None:
    collect_garbage_seldom()
    # Compiling takes most of the time.
    jax.config.update("jax_disable_most_optimizations", True)
    for name in meshes:
        *sizes, kind = name.split(",") if name.count(",") == 3 else (*name.split(","), "")
        shape = tuple(map(int, sizes))
        devices = jax.devices()[: math.prod(shape)]
        if kind == "contrastive":
            history, values, num_spread = pretrain(shape, devices)
        else:
            history, values, num_spread = train(shape, devices, is_fused=kind == "fused")
        path = pathlib.Path(folder) / f"{name}.npz"
        np.savez(path, losses=history, num_spread_moments=num_spread, **values)


if __name__ == "__main__":
    main(*sys.argv[1:])
