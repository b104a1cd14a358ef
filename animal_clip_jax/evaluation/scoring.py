"""Scoring a split: every clip once, in as many views as asked."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding

from animal_clip_jax.models import parameters
from animal_clip_jax.models.animal_sources import animal_weights
from animal_clip_jax.models.classes import ClassContext
from animal_clip_jax.models.normalisation import normalise
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.run.interruption import Interrupted

_ON_DEVICE = ("frames", "actions", "animals", "mask")


class Scores(NamedTuple):
    """The scored clips of a split, on the host.

    Attributes:
        scores: (clips, actions) float64, the softmax of each view's logits, summed over views.
        actions: (clips, actions) annotated actions, multi-hot.
        animals: (clips, animals) annotated animals, multi-hot.
    """

    scores: np.ndarray
    actions: np.ndarray
    animals: np.ndarray


def make_evaluation_step(
    graphdef: nnx.GraphDef,
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    mesh: Mesh,
    parameter_shardings,
) -> Callable:
    """The compiled scoring step.

    Returns:
        a function of (parameters, batch, classes) that gives the batch's scores (clips, actions),
        actions, animals and mask, the whole batch's on every process. The batch has `frames`
        (clips, views, frames, size, size, 3) uint8, `actions`, `animals`, `mask` (clips,), and
        `animal_weights`, what the model is told of the animals.
    """

    def step(values: Parameters, batch: dict[str, jax.Array], classes: ClassContext):
        # As in training: parameters move between devices, and activations do not.
        values = jax.lax.with_sharding_constraint(
            values, mesh_lib.without_fsdp(parameter_shardings)
        )
        model = parameters.merge(graphdef, values)

        def score(view: jax.Array) -> jax.Array:
            pixels = normalise(view, mean, std)
            return jax.nn.softmax(model(pixels, classes, batch["animal_weights"]))

        frames = batch["frames"]
        if frames.shape[1] == 1:
            scores = score(frames[:, 0])
        else:
            # View by view, so that memory does not grow with their number.
            scores = jnp.sum(jax.lax.map(score, frames.swapaxes(0, 1)), axis=0)
        return scores, batch["actions"], batch["animals"], batch["mask"]

    replicated = NamedSharding(mesh, mesh_lib.REPLICATED)
    return jax.jit(
        step,
        in_shardings=(parameter_shardings, NamedSharding(mesh, mesh_lib.BATCH), replicated),
        out_shardings=replicated,
    )


def score_split(
    evaluation_step: Callable,
    values: Parameters,
    classes: ClassContext,
    batches: Iterable[dict[str, np.ndarray]],
    mesh: Mesh,
    *,
    animal_source: str,
    shuffle_seed: int | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Scores:
    """Scores every clip of a split.

    Args:
        evaluation_step: see `make_evaluation_step`.
        values, classes: on the devices.
        batches: this process's share, padded clips with mask False.
        animal_source: where the model is told of the animals from; the batches hold
            `animal_weights` for a recognised source.
        shuffle_seed: puts the frames of every view in a random order, to see what the order is
            worth; None leaves them.
        is_stopped: asked after every batch, equally often on all processes.

    Raises:
        Interrupted: `is_stopped` said so.
    """
    part, parts = mesh_lib.process_share(mesh)
    collected = []
    for index, batch in enumerate(batches):
        arrays = {name: batch[name] for name in _ON_DEVICE}
        arrays["animal_weights"] = animal_weights(batch, animal_source)
        if shuffle_seed is not None:
            first_clip = (index * parts + part) * len(arrays["frames"])
            arrays["frames"] = shuffle_frames(arrays["frames"], shuffle_seed, first_clip)
        outputs = evaluation_step(values, mesh_lib.put_batch(arrays, mesh), classes)
        collected.append(outputs)
        if is_stopped():
            raise Interrupted("stopped by SIGTERM while evaluating: run the same command again")
    scores, actions, animals, mask = (
        np.concatenate([np.asarray(part) for part in parts])
        for parts in zip(*collected, strict=True)
    )
    keep = mask.astype(bool)
    return Scores(scores[keep].astype(np.float64), actions[keep], animals[keep])


def shuffle_frames(frames: np.ndarray, seed: int, first_clip: int) -> np.ndarray:
    """Reorders the frames of every view by itself: (clips, views, frames, …), any dtype.

    A clip's order depends on the seed and its place in the split, `first_clip` for the first here,
    not on the batch or the process.
    """
    clips, views, num_frames = frames.shape[:3]
    in_order = np.broadcast_to(np.arange(num_frames), (views, num_frames))
    order = np.stack(
        [
            np.random.default_rng((seed, first_clip + clip)).permuted(in_order, axis=-1)
            for clip in range(clips)
        ]
    )
    return frames[np.arange(clips)[:, None, None], np.arange(views)[None, :, None], order]
