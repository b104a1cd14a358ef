"""Trains a small network with batch normalisation on one device and on two, by plain SGD, two
micro-batches a step.

A program of its own, because the number of devices is settled when JAX starts:

    XLA_FLAGS=--xla_force_host_platform_device_count=2 python tests/parallel/two_devices.py FILE i3d

writes FILE: "1/losses", "2/losses", and "1/PATH", "2/PATH" of every parameter and statistic.
"""

import pathlib
import sys

import jax
import numpy as np
import optax

sys.path[:0] = [str(pathlib.Path(__file__).parents[level]) for level in (1, 2)]
import tiny  # noqa: E402

from animal_clip_jax.command_line import collect_garbage_seldom  # noqa: E402
from animal_clip_jax.models import parameters  # noqa: E402
from animal_clip_jax.models.class_context import without_texts  # noqa: E402
from animal_clip_jax.models.i3d import I3D, I3DArchitecture  # noqa: E402
from animal_clip_jax.models.x3d import X3D, X3DArchitecture  # noqa: E402
from animal_clip_jax.parallel.mesh import AXES, BATCH, make_mesh, put_batch  # noqa: E402
from animal_clip_jax.training import losses  # noqa: E402
from animal_clip_jax.training.optimizer import BASE  # noqa: E402
from animal_clip_jax.training.state import create_state  # noqa: E402
from animal_clip_jax.training.step import make_train_step  # noqa: E402

STEPS, CLIPS, CLASSES, RATE = 3, 8, 5, 0.05
SETTINGS = tiny.settings(accumulation=2, mean=(0.0,) * 3, std=(1.0,) * 3)
MODELS = {
    "i3d": (I3D, I3DArchitecture(num_frames=4, image_size=32, width=8, depths=(1, 1, 1, 1))),
    "x3d": (
        X3D,
        X3DArchitecture(num_frames=4, image_size=32, base_width=4, depth_factor=0.2, head_width=16),
    ),
}


# The gradient of a ReLU jumps at zero, and rounding decides on which side of it a feature lies.
jax.nn.relu = jax.nn.gelu


def train(name: str, num_devices: int) -> dict[str, np.ndarray]:
    """Losses, parameters and statistics after some steps on batches whose halves differ much."""
    module, architecture = MODELS[name]
    mesh = make_mesh(dict(zip(AXES, (num_devices, 1, 1), strict=True)), jax.devices()[:num_devices])
    graphdef, shapes = parameters.abstract(
        lambda: module(
            architecture, num_classes=CLASSES, dropout_rate=0.0, rngs=parameters.rngs_for_shapes()
        )
    )
    random = np.random.default_rng(0)
    values = {}
    for path, value in shapes.items():
        noise = random.standard_normal(value.shape)
        fan = np.prod(value.shape[:-1])
        values[path] = noise * (2 / fan) ** 0.5 if value.ndim > 1 else 1 + 0.1 * noise
    optimizer = optax.sgd(RATE)
    state, shardings = create_state(
        {path: value.astype(np.float32) for path, value in values.items()},
        dict.fromkeys(values, BASE),
        optimizer,
        seed=0,
        mesh=mesh,
    )
    step = make_train_step(
        graphdef,
        optimizer,
        losses.cross_entropy,
        reduction="mean",
        settings=SETTINGS,
        mesh=mesh,
        state_shardings=shardings,
    )
    history = []
    for _ in range(STEPS):
        size = (CLIPS, architecture.num_frames, architecture.image_size, architecture.image_size)
        clips = random.standard_normal((*size, 3)).astype(np.float32)
        clips[CLIPS // 2 :] = 3 + 5 * clips[CLIPS // 2 :]
        labels = np.eye(CLASSES, dtype=np.float32)[random.integers(CLASSES, size=CLIPS)]
        animals = np.zeros((CLIPS, 0), np.float32)
        batch = put_batch({"frames": clips, "actions": labels, "animals": animals}, mesh)
        assert batch["frames"].sharding.spec == BATCH
        state, metrics = step(state, batch, without_texts(CLASSES))
        history.append(float(metrics["loss"]))
    found = {path: np.asarray(value) for path, value in state.values().items()}
    return {"losses": np.array(history), **found}


def main(path: str, name: str) -> None:
    collect_garbage_seldom()
    # Compiling takes most of the time.
    jax.config.update("jax_disable_most_optimizations", True)
    np.savez(
        path,
        **{
            f"{count}/{key}": value for count in (1, 2) for key, value in train(name, count).items()
        },
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
