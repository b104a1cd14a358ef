"""Scoring clips: every one once, in as many views as asked."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding

from animal_clip_jax.models import parameters
from animal_clip_jax.models.animal_sources import animal_weights
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.normalisation import Normalisation, normalise
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.parallel import mesh as mesh_lib

PROBABILITIES = {"softmax": jax.nn.softmax, "sigmoid": jax.nn.sigmoid}
LOGITS = "logits"


class Scores(NamedTuple):
    """The scored clips of a split, on the host.

    Attributes:
        scores: (clips, actions) float64, the probabilities in each view, summed over views.
        actions: (clips, actions) annotated actions, multi-hot.
        animals: (clips, animals) annotated animals, multi-hot.
        features: (clips, embed_dim) float32, of the videos in each view, summed over views.
    """

    scores: np.ndarray
    actions: np.ndarray
    animals: np.ndarray
    features: np.ndarray


class ViewScores(NamedTuple):
    """One view of each clip of a batch, on the devices.

    Attributes:
        probabilities: (clips, actions) float32; of a step for `LOGITS`, these.
        features: (clips, embed_dim) float32, of the video, not of unit length.
    """

    probabilities: jax.Array
    features: jax.Array


ScoringStep = Callable[[Parameters, jax.Array, jax.Array, ClassContext, Any], ViewScores]


def make_scoring_step(
    graphdef: nnx.GraphDef,
    *,
    normalisation: Normalisation,
    outputs: str,
    mesh: Mesh,
    parameter_shardings,
) -> ScoringStep:
    """The compiled step that scores one view of each clip of a batch.

    A view at a time, so that memory does not grow with their number, and a job that is asked to
    stop does not have to finish all of them.

    Args:
        graphdef: structure of the model.
        normalisation: of the pixels.
        outputs: what turns logits into probabilities, "softmax" or "sigmoid"; `LOGITS` leaves them.
        mesh, parameter_shardings: the devices, and how the parameters lie on them.

    Returns:
        a function of (parameters, frames, animal weights, classes, temperature) with frames (clips,
        frames, size, size, 3) uint8, animal weights (clips, animals), and a number that divides the
        logits: at 1 they are as they were, bit by bit. Its result is on every process.
    """
    to_probabilities = _unchanged if outputs == LOGITS else PROBABILITIES[outputs]

    def step(
        values: Parameters,
        frames: jax.Array,
        weights: jax.Array,
        classes: ClassContext,
        temperature: jax.Array,
    ):
        # As in training: parameters move between devices, and activations do not.
        values = jax.lax.with_sharding_constraint(
            values, mesh_lib.without_fsdp(parameter_shardings)
        )
        model: Any = parameters.merge(graphdef, values)
        logits, features = model.score(normalise(frames, *normalisation), classes, weights)
        return ViewScores(to_probabilities(logits / temperature), features.astype(jnp.float32))

    replicated = NamedSharding(mesh, mesh_lib.REPLICATED)
    batch = NamedSharding(mesh, mesh_lib.BATCH)
    return jax.jit(
        step,
        in_shardings=(parameter_shardings, batch, batch, replicated, replicated),
        out_shardings=replicated,
    )


def score_views(
    step: ScoringStep,
    values: Parameters,
    classes: ClassContext,
    frames: np.ndarray,
    weights: np.ndarray,
    mesh: Mesh,
    *,
    temperature: float = 1.0,
    wait_for: Callable[[jax.Array], object] = jax.block_until_ready,
) -> ViewScores:
    """Scores all views of a batch of clips: the sums over views of what each view gives.

    Args:
        step: see `make_scoring_step`.
        values, classes: on the devices.
        frames: (clips, views, frames, size, size, 3) uint8, this process's share of the batch.
        weights: (clips, animals), of the animals.
        temperature: divides the logits of each view; another one does not compile anew.
        wait_for: waits for an array of a view, and may raise to give the rest up.
    """
    placed = mesh_lib.put_batch({"weights": weights}, mesh)["weights"]
    total: ViewScores | None = None
    for view in range(frames.shape[1]):
        images = mesh_lib.put_batch({"frames": frames[:, view]}, mesh)["frames"]
        scored = step(values, images, placed, classes, np.float32(temperature))
        if total is not None:
            # While this view is computed: the one before it.
            wait_for(total.probabilities)
            scored = ViewScores(*map(jnp.add, total, scored))
        total = scored
    assert total is not None
    wait_for(total.probabilities)
    return total


def score_split(
    step: ScoringStep,
    values: Parameters,
    classes: ClassContext,
    batches: Iterable[dict[str, np.ndarray]],
    mesh: Mesh,
    *,
    animal_source: str,
    shuffle_seed: int | None = None,
    wait_for: Callable[[jax.Array], object] = jax.block_until_ready,
    advance: Callable[[int], object] = lambda clips: None,
) -> Scores:
    """Scores every clip of a split.

    Args:
        step: see `make_scoring_step`.
        values, classes: on the devices.
        batches: this process's share, padded clips with mask False.
        animal_source: where the animals come from; the batches hold `animal_weights` for a
            recognised source.
        shuffle_seed: puts the frames of every view in a random order, to see what the order is
            worth; None leaves them.
        wait_for: see `score_views`.
        advance: is given the number of clips that are done, at first 0, then after every view of a
            batch; a clip with half of its views is half done.
    """
    part, parts = mesh_lib.process_share(mesh)
    gather = jax.jit(_unchanged, out_shardings=NamedSharding(mesh, mesh_lib.REPLICATED))
    collected: list[tuple[np.ndarray, ...]] = []
    done = 0
    advance(done)
    for index, batch in enumerate(batches):
        frames = batch["frames"]
        if shuffle_seed is not None:
            first_clip = (index * parts + part) * len(frames)
            frames = shuffle_frames(frames, shuffle_seed, first_clip)
        weights = animal_weights(batch, animal_source)
        clips = int(batch["mask"].sum()) * parts  # or some fewer, in the last batch
        waiting = _Counted(wait_for, advance, done, clips, views=frames.shape[1])
        scored = score_views(step, values, classes, frames, weights, mesh, wait_for=waiting)
        labels = {name: batch[name] for name in ("actions", "animals", "mask")}
        gathered = gather(mesh_lib.put_batch(labels, mesh))
        arrays = (*scored, *(gathered[name] for name in labels))
        collected.append(tuple(map(np.asarray, arrays)))
        done += int(collected[-1][-1].sum())
        advance(done)
    scores, features, actions, animals, mask = (
        np.concatenate(column) for column in zip(*collected, strict=True)
    )
    keep = mask.astype(bool)
    return Scores(scores[keep].astype(np.float64), actions[keep], animals[keep], features[keep])


def split_logits(
    step: ScoringStep,
    values: Parameters,
    classes: ClassContext,
    batches: Iterable[dict[str, np.ndarray]],
    mesh: Mesh,
    *,
    animal_source: str,
    views: int,
    wait_for: Callable[[jax.Array], object] = jax.block_until_ready,
    advance: Callable[[int], object] = lambda clips: None,
) -> tuple[np.ndarray, np.ndarray]:
    """The logits of every clip of a split in each of its views, in a job of one process.

    Args:
        step: see `make_scoring_step`, for `LOGITS`.
        views: of each clip.
        advance: is given the number of clips that are done.
        values, classes, batches, animal_source, wait_for: see `score_split`.

    Returns:
        logits, float64 (clips, views, actions), and annotated actions, multi-hot (clips, actions).
    """
    scored = score_split(
        step,
        values,
        classes,
        _with_views_as_clips(batches),
        mesh,
        animal_source=animal_source,
        wait_for=wait_for,
        advance=lambda done: advance(done // views),
    )
    shape = (-1, views, scored.scores.shape[1])
    return scored.scores.reshape(shape), scored.actions.reshape(shape)[:, 0]


def _with_views_as_clips(
    batches: Iterable[dict[str, np.ndarray]],
) -> Iterator[dict[str, np.ndarray]]:
    """Each batch in as many as there are views, of clips in one view: all of the first clip's views
    come before the second's."""
    for batch in batches:
        clips, views = batch["frames"].shape[:2]
        apart = {
            name: np.repeat(array, views, axis=0)
            if name != "frames"
            else array.reshape(-1, 1, *array.shape[2:])
            for name, array in batch.items()
        }
        for first in range(0, clips * views, clips):
            yield {name: array[first : first + clips] for name, array in apart.items()}


class _Counted:
    """Waits for the views of a batch, and says how many clips are done in all."""

    def __init__(self, wait_for, advance, done: int, clips: int, views: int):
        self._wait_for, self._advance = wait_for, advance
        self._before, self._clips, self._views = done, clips, views
        self._scored = 0

    def __call__(self, array: jax.Array) -> None:
        self._wait_for(array)
        self._scored += 1
        if self._scored < self._views:  # all of it is exact once the batch is gathered
            self._advance(self._before + self._clips * self._scored // self._views)


def _unchanged(arrays):
    return arrays


def batch_size_for(wanted: int, num_clips: int, mesh: Mesh) -> int:
    """The batch size for a split: `wanted`, or less where that would only add padding.

    Returns:
        a multiple of the devices that share a batch.
    """
    shares = mesh.shape["data"] * mesh.shape["fsdp"]
    return min(wanted, -(-num_clips // shares) * shares)


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
