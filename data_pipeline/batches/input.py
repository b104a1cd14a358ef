"""Converted dataset -> batches of uint8 clips for this process.

What a clip goes through is planned ahead (`batches.plan`); TensorFlow only carries the plan out, in
parallel and in order (`batches.clip_views`). So the batches do not depend on the number of workers
or processes, and a run that is resumed computes the plan from where it stopped and reads nothing
that came before.

Colour, normalisation and mixing of clips are done on the device, by the training step.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from animal_clip_jax.errors import UserError
from data_pipeline.batches.clip_views import ClipShape, ViewBatch, Views, batches_of
from data_pipeline.batches.plan import (
    Plan,
    evaluation_plan,
    evaluation_steps,
    steps_per_epoch,
    training_plan,
)
from data_pipeline.batches.reading import Source
from data_pipeline.dataset_files import TRAIN_SPLIT

Batch = dict[str, np.ndarray]


def train_batches(
    directory: str | os.PathLike,
    *,
    num_frames: int,
    image_size: int,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    multi_scale_crop: bool = True,
    flip: bool = True,
    num_workers: int | None = None,
    split: str = TRAIN_SPLIT,
    animal_weights: Mapping[str, np.ndarray] | None = None,
    rows: np.ndarray | None = None,
) -> Iterator[Batch]:
    """Endless training batches.

    Args:
        directory: a converted dataset; a URL such as gs://bucket/folder is read where it lies.
        num_frames: T.
        image_size: S, height and width of the result.
        batch_size: of all processes together.
        seed: of the order and of the augmentation.
        start_step: the first batch yielded is this one of the run.
        process_index: which process this is.
        process_count: how many share each batch.
        multi_scale_crop: random crops; otherwise the centre crop of evaluation.
        flip: mirror half of the clips.
        num_workers: threads that decode; None uses all cores.
        split: the split to train on.
        animal_weights: float (A) for each clip id, such as the probabilities that a recogniser
            gives; they come beside the animals' labels.
        rows: int64 (n), positions in the split's index of the clips that are used; None is all.

    Returns:
        An iterator over batches of

        frames: uint8 (b, T, S, S, 3), RGB, with b = batch_size / process_count;
        actions: float32 (b, C), 1 for each action of the clip;
        animals: float32 (b, A), 1 for each annotated animal of the clip;
        animal_weights: float32 (b, A), only where they were given;
        clip_id: object (b), str;
        mask: bool (b), all True.

    Raises:
        FileNotFoundError, DatasetError: the folder is not a converted dataset.
        UserError: the batch does not divide among the processes, or has more clips than there are.
        ValueError: a clip has no weights of the right shape, or no clip is at one of the rows.

    A record that turns out to be corrupt on the way raises DatasetError, naming the shard and the
    clip.
    """
    local_size = _local_batch_size(batch_size, process_index, process_count)
    source = Source.open(directory, split, animal_weights, rows)
    steps = steps_per_epoch(len(source.index), batch_size)

    def plans() -> Iterator[Plan]:
        epoch, step = divmod(start_step, steps)
        while True:
            plan = training_plan(
                source.index, num_frames, seed, epoch, multi_scale_crop=multi_scale_crop, flip=flip
            )
            for start in range(step * batch_size, steps * batch_size, batch_size):
                local = start + process_index * local_size
                yield plan[local : local + local_size]
            epoch, step = epoch + 1, 0

    shape = ClipShape(1, 1, num_frames, image_size)
    batches = batches_of(source, plans, shape, local_size, num_workers)
    return ({**batch, "frames": next(iter(batch["frames"]))} for batch in batches)


def evaluation_batches(directory: str | os.PathLike, **options: Any) -> Iterator[Batch]:
    """`streamed_evaluation_batches` with all views of a batch in memory at once.

    Args:
        directory, options, errors: as there.

    Returns:
        Batches with frames: uint8 (b, V, T, S, S, 3).
    """
    batches = streamed_evaluation_batches(directory, **options)
    return ({**batch, "frames": np.stack(list(batch["frames"]), axis=1)} for batch in batches)


def streamed_evaluation_batches(
    directory: str | os.PathLike,
    *,
    split: str,
    num_frames: int,
    image_size: int,
    batch_size: int,
    num_temporal_views: int = 1,
    num_crops: int = 1,
    process_index: int = 0,
    process_count: int = 1,
    num_workers: int | None = None,
    rows: np.ndarray | None = None,
) -> Iterator[ViewBatch]:
    """Every clip of a split, or of its `rows`, exactly once, in order, on all processes together.

    All processes yield the same number of batches (`evaluation_steps`). Rows that pad the last one
    have mask False, an empty clip id, and zeros elsewhere.

    Args:
        directory: a converted dataset.
        split: the split to evaluate.
        num_frames: T, of each view.
        image_size: S, height and width of the result.
        batch_size: of all processes together, in clips.
        num_temporal_views: views along time, see `batches.sampling.evaluation_positions`.
        num_crops: 1 or 3 crops of each, see `data_pipeline.batches.crops.evaluation_crops`.
        process_index: which process this is.
        process_count: how many share each batch.
        num_workers: threads that decode; None uses all cores.
        rows: as for `train_batches`; the clips come in this order.

    Returns:
        Batches as those of `train_batches`, but frames: V = temporal views x crops views, each
        uint8 (b, T, S, S, 3); the crops of one temporal view are neighbours. They can be looked at
        once, in their order, and before the next batch is asked for. One temporal view is in
        memory, and the next.

    Raises:
        FileNotFoundError, DatasetError: the folder is not a converted dataset, or has no such
        split.
        UserError: the batch does not divide among the processes, or the views are impossible.
        ValueError: no clip is at one of the rows.
    """
    local_size = _local_batch_size(batch_size, process_index, process_count)
    source = Source.open(directory, split, rows=rows)
    plan = evaluation_plan(source.index, num_frames, num_temporal_views, num_crops)
    steps = evaluation_steps(len(source.index), batch_size)
    starts = [step * batch_size + process_index * local_size for step in range(steps)]

    def plans() -> Iterator[Plan]:
        for start in starts:
            yield plan[start : start + local_size]

    shape = ClipShape(num_temporal_views, num_crops, num_frames, image_size)
    batches = batches_of(source, plans, shape, local_size, num_workers)
    # The last batch may hold no clip of this process.
    return (_padded(next(batches, None), source, shape, local_size) for _ in range(steps))


def _local_batch_size(batch_size: int, process_index: int, process_count: int) -> int:
    if batch_size < 1 or batch_size % process_count:
        raise UserError(
            f"a batch of {batch_size} clips does not divide among {process_count} processes"
        )
    if not 0 <= process_index < process_count:
        raise ValueError(f"there is no process {process_index} among {process_count}")
    return batch_size // process_count


def _padded(batch: ViewBatch | None, source: Source, shape: ClipShape, size: int) -> ViewBatch:
    """The batch with rows added up to `size`, which the mask denies; None is a batch of none."""
    missing = size - (0 if batch is None else len(batch["mask"]))
    info = source.info
    frames = np.zeros((missing, *shape.view), np.uint8)
    padding: Batch = {
        "actions": np.zeros((missing, len(info.action_names)), np.float32),
        "animals": np.zeros((missing, len(info.animal_names)), np.float32),
        "clip_id": np.full((missing,), "", object),
        "mask": np.zeros((missing,), bool),
    }
    if batch is None:
        views = (frames for _ in range(shape.num_views))
        return {**padding, "frames": Views(views, shape.num_views)}
    if missing == 0:
        return batch
    views = (np.concatenate([view, frames]) for view in batch["frames"])
    labels = {name: np.concatenate([batch[name], padding[name]]) for name in padding}
    return {**labels, "frames": Views(views, shape.num_views)}
