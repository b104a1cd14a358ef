"""Scoring every clip of a split once, under several conditions.

Each clip is read once, and goes through the video tower once for each of its views and each order
of its frames, however many sources of animals it is scored under.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from animal_clip_jax.evaluation.scoring import (
    ScoringSteps,
    ViewScores,
    WaitFor,
    add_view,
    place_weights,
)
from animal_clip_jax.models.animal_sources import animal_weights
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.parallel import mesh as mesh_lib

# By name: arrays with a row for each clip, but "frames": of each view, uint8 (clips, frames, size,
# size, 3). The views have a number, and are looked at once.
ViewBatch = Mapping[str, Any]
# What a recogniser makes of clips, (animals,) by clip id, by source of animals.
Recognised = Mapping[str, Mapping[str, np.ndarray]]


class Condition(NamedTuple):
    """What clips are scored under.

    Attributes:
        animal_source: where the animals come from.
        shuffle_seed: puts the frames of every view in a random order, to see what the order is
            worth; None leaves them.
    """

    animal_source: str
    shuffle_seed: int | None = None


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


class _Scored(NamedTuple):
    """A batch: probabilities by condition, features by the seed that shuffled the frames, labels
    by name."""

    probabilities: dict[Condition, np.ndarray]
    features: dict[int | None, np.ndarray]
    labels: dict[str, np.ndarray]


def score_split(
    steps: ScoringSteps,
    values: Parameters,
    classes: ClassContext,
    batches: Iterable[ViewBatch],
    mesh: Mesh,
    *,
    conditions: Sequence[Condition],
    recognised: Recognised | None = None,
    wait_for: WaitFor = jax.block_until_ready,
    advance: Callable[[int], object] = lambda clips: None,
) -> list[Scores]:
    """Scores every clip of a split, under several conditions at once.

    Args:
        values, classes: on the devices.
        batches: this process's share, padded clips with mask False; each is asked for once.
        conditions: at least one.
        recognised: what recognised sources say of the clips.
        wait_for: see `score_views`.
        advance: is given the number of clips that are done, at first 0, then after every view of a
            batch; a clip with half of its views is half done.

    Returns:
        the scores under each condition, in their order.
    """
    part, parts = mesh_lib.process_share(mesh)
    classes = steps.prepared(values, classes)
    gather = jax.jit(lambda arrays: arrays, out_shardings=NamedSharding(mesh, mesh_lib.REPLICATED))
    seeds = dict.fromkeys(condition.shuffle_seed for condition in conditions)
    collected: list[_Scored] = []
    done = 0
    advance(done)
    for index, batch in enumerate(batches):
        num_clips = len(batch["mask"])
        clips = int(batch["mask"].sum()) * parts  # or some fewer, in the last batch
        views: Collection[np.ndarray] = batch["frames"]
        waiting = _Counted(wait_for, advance, done, clips, views=len(views) * len(seeds))
        labels = {name: batch[name] for name in ("actions", "animals", "mask")}
        gathered = gather(mesh_lib.put_batch(labels, mesh))
        found = _Scored({}, {}, {name: np.asarray(array) for name, array in gathered.items()})
        of_order = {seed: [c for c in conditions if c.shuffle_seed == seed] for seed in seeds}
        weights = {
            seed: place_weights(
                [_weights(batch, each.animal_source, recognised or {}) for each in some], mesh
            )
            for seed, some in of_order.items()
        }
        totals: dict[int | None, ViewScores] = {}
        for number, view in enumerate(views):
            for seed in seeds:
                frames = view
                if seed is not None:
                    first_clip = (index * parts + part) * num_clips
                    orders = frame_orders(num_clips, len(views), view.shape[1], seed, first_clip)
                    frames = view[np.arange(num_clips)[:, None], orders[:, number]]
                totals[seed] = add_view(
                    steps,
                    values,
                    classes,
                    frames,
                    weights[seed],
                    mesh,
                    totals.get(seed),
                    wait_for=waiting,
                )
        for seed, total in totals.items():
            waiting(total.probabilities[-1])
            on_host = map(np.asarray, total.probabilities)
            found.probabilities.update(zip(of_order[seed], on_host, strict=True))
            found.features[seed] = np.asarray(total.features)
        collected.append(found)
        done += int(found.labels["mask"].sum())
        advance(done)
    keep = np.concatenate([found.labels["mask"] for found in collected]).astype(bool)
    probabilities, features, labels = (
        {name: np.concatenate([part[name] for part in parts])[keep] for name in parts[0]}
        for parts in zip(*collected, strict=True)
    )
    return [
        Scores(
            scores=probabilities[each].astype(np.float64),
            actions=labels["actions"],
            animals=labels["animals"],
            features=features[each.shuffle_seed],
        )
        for each in conditions
    ]


def _weights(batch: ViewBatch, source: str, recognised: Recognised) -> np.ndarray:
    """What the model is told of the animals in each clip, (clips, animals)."""
    if source not in recognised:
        return animal_weights(batch, source)
    known, weights = recognised[source], np.zeros_like(batch["animals"])
    for row, clip_id in enumerate(batch["clip_id"]):
        if batch["mask"][row]:
            weights[row] = known[clip_id]
    return weights


def split_logits(
    steps: ScoringSteps,
    values: Parameters,
    classes: ClassContext,
    batches: Iterable[ViewBatch],
    mesh: Mesh,
    *,
    animal_source: str,
    views: int,
    recognised: Recognised | None = None,
    wait_for: WaitFor = jax.block_until_ready,
    advance: Callable[[int], object] = lambda clips: None,
) -> tuple[np.ndarray, np.ndarray]:
    """The logits of every clip of a split in each of its views, in a job of one process.

    Args:
        steps: for `LOGITS`.
        animal_source: where the animals come from.
        views: of each clip.
        advance: is given the number of clips that are done.
        values, classes, batches, recognised, wait_for: see `score_split`.

    Returns:
        logits, float64 (clips, views, actions), and annotated actions, multi-hot (clips, actions).
    """
    sizes: list[int] = []
    (scored,) = score_split(
        steps,
        values,
        classes,
        _with_views_as_batches(batches, sizes),
        mesh,
        conditions=[Condition(animal_source)],
        recognised=recognised,
        wait_for=wait_for,
        advance=lambda done: advance(done // views),
    )
    # The first view of a batch's clips, then the second of all of them, and so on.
    clip_of_row = np.concatenate(
        [first + np.tile(np.arange(size), views) for first, size in _starts(sizes)]
    )
    in_order = np.argsort(clip_of_row, kind="stable")
    shape = (-1, views, scored.scores.shape[1])
    logits, actions = (array[in_order].reshape(shape) for array in (scored.scores, scored.actions))
    return logits, actions[:, 0]


def _with_views_as_batches(batches: Iterable[ViewBatch], sizes: list[int]) -> Iterator[ViewBatch]:
    """Each view of a batch as a batch of its own; the clips in a batch are added to `sizes`."""
    for batch in batches:
        sizes.append(int(batch["mask"].sum()))
        for view in batch["frames"]:
            yield {**batch, "frames": [view]}


def _starts(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first clip of each batch, and how many there are."""
    return zip(np.cumsum([0, *sizes[:-1]]).tolist(), sizes, strict=True)


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


def frame_orders(clips: int, views: int, frames: int, seed: int, first_clip: int) -> np.ndarray:
    """A random order of the frames of every view by itself, (clips, views, frames).

    A clip's order depends on the seed and its place in the split, `first_clip` for the first here,
    not on the batch or the process.
    """
    in_order = np.broadcast_to(np.arange(frames), (views, frames))
    return np.stack(
        [
            np.random.default_rng((seed, first_clip + clip)).permuted(in_order, axis=-1)
            for clip in range(clips)
        ]
    )
