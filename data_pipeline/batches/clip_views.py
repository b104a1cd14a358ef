"""Carrying a plan out with TensorFlow: clips read and decoded in parallel, given out view by view.

A JPEG is decoded once, for all crops and views that show its frame. One temporal view of a batch of
clips, in all its crops, is made at a time, so that memory does not grow with the number of views.
"""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from animal_clip_jax.errors import shortened
from data_pipeline.batches.frame_crops import decoded_crops
from data_pipeline.batches.plan import Plan, first_uses
from data_pipeline.batches.reading import CORRUPTION, Source, elements_of, parse, read_record
from data_pipeline.batches.shared_frames import SharedFrames
from data_pipeline.dataset_files import DatasetError
from data_pipeline.tensorflow_import import as_written, tf

# By name: arrays with a row for each clip, but "frames", which are `Views`.
ViewBatch = dict[str, Any]

PREFETCHED_VIEWS = 2


@dataclass(frozen=True)
class ClipShape:
    """What is cut out of a clip: views along time, crops of each, frames and their size."""

    num_temporal_views: int
    num_crops: int
    num_frames: int
    image_size: int

    @property
    def num_views(self) -> int:
        return self.num_temporal_views * self.num_crops

    @property
    def view(self) -> tuple[int, ...]:
        return (self.num_frames, self.image_size, self.image_size, 3)


class Views:
    """The views of a batch of clips, each uint8 (b, T, S, S, 3); to be looked at once, in order."""

    def __init__(self, views: Iterator[np.ndarray], number: int) -> None:
        self._views, self._number = views, number

    def __len__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[np.ndarray]:
        return self._views


def batches_of(
    source: Source,
    plans: Callable[[], Iterator[Plan]],
    shape: ClipShape,
    batch_size: int,
    num_workers: int | None,
) -> Iterator[ViewBatch]:
    """Carries the plans out, in their order, in batches of `batch_size` clips.

    The last batch may have fewer. Where clips have several temporal views, it is filled up with
    clips of zeros, whose mask is False.
    """
    num_workers = num_workers or os.cpu_count() or 1
    # The clips that are planned and not yet given out, to look for a corrupt one among them.
    # TensorFlow plans in a thread of its own, which goes on while this one looks.
    waiting: deque[tuple[int, np.ndarray]] = deque()
    lock = threading.Lock()

    def remembered() -> Iterator[Plan]:
        for plan in plans():
            with lock:
                waiting.extend(zip(plan.rows, plan.positions, strict=True))
            yield plan

    elements = _temporal_views(source, remembered, shape, batch_size, num_workers)

    def views_of(first: np.ndarray, shared: SharedFrames, size: int) -> Iterator[np.ndarray]:
        for view in range(shape.num_temporal_views):
            with _named_corruption(source, waiting, lock):
                frames = first if view == 0 else next(elements)["frames"]
            frames = shared.fill(frames, view)
            yield from np.moveaxis(frames, 2, 0)
        with lock:
            for _ in range(size):
                waiting.popleft()

    def iterate() -> Iterator[ViewBatch]:
        while True:
            with _named_corruption(source, waiting, lock):
                batch = next(elements, None)
            if batch is None:
                return
            size = int(batch["mask"].sum())
            with lock:
                rows, positions = zip(*islice(waiting, size), strict=True)
            for place, row in enumerate(rows):
                labels = (np.flatnonzero(batch[kind][place]) for kind in ("actions", "animals"))
                source.check_is_clip(row, batch["clip_id"][place], *labels)
            batch["clip_id"] = np.array([name.decode() for name in batch["clip_id"]], object)
            if source.animal_weights is not None:
                weights = [source.animal_weights[clip_id] for clip_id in batch["clip_id"]]
                batch["animal_weights"] = np.stack(weights).astype(np.float32)
            views = views_of(batch["frames"], SharedFrames(np.stack(positions)), size)
            yield {**batch, "frames": Views(views, shape.num_views)}
            for _ in views:  # those that nobody looked at
                pass

    return iterate()


@contextlib.contextmanager
def _named_corruption(source: Source, waiting: deque, lock: threading.Lock) -> Iterator[None]:
    """Turns what TensorFlow raises of a damaged record into an error that names the clip."""
    try:
        yield
    except CORRUPTION as error:
        with lock:
            suspected = [row for row, _ in waiting]
        for row in suspected:
            source.stored_frames(row)  # names the corrupt record
        reason = shortened(" ".join(str(error).split()))
        raise DatasetError(f"a record of {source.directory} cannot be read: {reason}") from error


def _temporal_views(
    source: Source,
    plans: Callable[[], Iterator[Plan]],
    shape: ClipShape,
    batch_size: int,
    num_workers: int,
) -> Iterator[dict[str, np.ndarray]]:
    """One temporal view of a batch of clips after another, and then those of the next batch.

    Returns:
        batches whose frames are uint8 (b, T, K, S, S, 3), zeros where a frame was shown before.
    """
    dataset = _planned(source, plans, shape)
    num_actions, num_animals = len(source.info.action_names), len(source.info.animal_names)

    @as_written
    def read(path, offset, length, positions, is_first, crops, flip):
        example = parse(read_record(path, offset, length))
        return {
            "frames": tf.gather(example["frames"], positions),
            "is_first": is_first,
            "crops": crops,
            "flip": flip,
            "actions": _multi_hot(example["actions"], num_actions),
            # Taking a batch of arrays without elements apart ends the process, in TensorFlow.
            "animals": _multi_hot(example["animals"], max(num_animals, 1)),
            "clip_id": example["clip_id"],
            "mask": tf.constant(True),
        }

    @as_written
    def decode(clip):
        kept = {name: clip[name] for name in ("actions", "clip_id", "mask")}
        kept["animals"] = clip["animals"][:num_animals]
        frames = decoded_crops(
            clip["frames"], clip["is_first"], clip["crops"], clip["flip"], shape.image_size
        )
        return {**kept, "frames": frames}

    if shape.num_temporal_views == 1:

        @as_written
        def both(*planned):
            clip = read(*planned)
            one_view = {name: clip[name][0] for name in ("frames", "is_first")}
            return decode({**clip, **one_view})

        dataset = dataset.map(both, num_workers, deterministic=True)
    else:
        dataset = dataset.map(read, num_workers, deterministic=True).batch(batch_size)
        dataset = dataset.map(as_written(lambda clips: _by_view(clips, batch_size))).unbatch()
        dataset = dataset.map(decode, num_workers, deterministic=True)
    prefetched = max(1, PREFETCHED_VIEWS // shape.num_crops)
    return elements_of(dataset.batch(batch_size).prefetch(prefetched), num_workers)


def _planned(
    source: Source, plans: Callable[[], Iterator[Plan]], shape: ClipShape
) -> tf.data.Dataset:
    """Dataset of what is planned of single clips."""
    index = source.index

    def rows() -> Iterator[tuple]:
        for plan in plans():
            yield (
                np.array([source.path(row) for row in plan.rows], object),
                index.offsets[plan.rows],
                index.lengths[plan.rows],
                plan.positions,
                first_uses(plan.positions),
                plan.crops,
                plan.flip,
            )

    frames = (None, shape.num_temporal_views, shape.num_frames)
    return tf.data.Dataset.from_generator(
        rows,
        output_signature=(
            tf.TensorSpec((None,), tf.string),
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec(frames, tf.int64),
            tf.TensorSpec(frames, tf.bool),
            tf.TensorSpec((None, shape.num_crops, 4), tf.int32),
            tf.TensorSpec((None,), tf.bool),
        ),
    ).unbatch()


def _by_view(clips: dict[str, tf.Tensor], batch_size: int) -> dict[str, tf.Tensor]:
    """Rows of one view: the first view of all clips, the second of all, and so on.

    Fewer than `batch_size` clips are filled up with clips of zeros.
    """
    missing = batch_size - tf.shape(clips["mask"])[0]
    num_views = clips["frames"].shape[1]
    rows = {}
    for name, values in clips.items():
        whole = tf.pad(
            values,
            [[0, missing], *[[0, 0]] * (values.shape.rank - 1)],
            constant_values="" if values.dtype == tf.string else tf.zeros((), values.dtype),
        )
        if name in ("frames", "is_first"):
            whole = tf.transpose(whole, (1, 0, 2))
            rows[name] = tf.reshape(whole, (-1, whole.shape[2]))
        else:
            rows[name] = tf.tile(whole, [num_views, *[1] * (values.shape.rank - 1)])
    return rows


def _multi_hot(labels: tf.Tensor, num_classes: int) -> tf.Tensor:
    return tf.reduce_sum(tf.one_hot(labels, num_classes), axis=0)
