"""Converted dataset -> batches of uint8 clips for this process.

What happens to a clip is decided here, ahead of any reading, in whole numbers from (seed, epoch,
position of the clip in the split); TensorFlow then only carries the plan out, in parallel and in
order. So the batches do not depend on the number of workers or processes, and a run that is resumed
computes the plan from where it stopped and reads nothing that came before.

Colour, normalisation and mixing of clips are done on the device, by the training step.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from data_pipeline.augment import evaluation_crops, multi_scale_crops
from data_pipeline.dataset import (
    RECORD_FRAMING,
    TRAIN_SPLIT,
    ClipIndex,
    DatasetError,
    DatasetInfo,
    check_shards,
    load_index,
    load_info,
)
from data_pipeline.sampling import evaluation_positions, training_positions

Batch = dict[str, np.ndarray]

PREFETCHED_BATCHES = 2
# Plans that may be under way when a corrupt record is met, to look for it among them.
RECENT_PLANS = 16


@dataclass(frozen=True)
class _Plan:
    """What to read and cut out, one row a clip.

    rows: int64 (n), position of the clip in the index. positions: int64 (n, V, T) among the stored
    frames. crops: int32 (n, K, 4).
    flip: bool (n).
    """

    rows: np.ndarray
    positions: np.ndarray
    crops: np.ndarray
    flip: np.ndarray

    def __getitem__(self, rows: slice) -> "_Plan":
        return _Plan(self.rows[rows], self.positions[rows], self.crops[rows], self.flip[rows])


def steps_per_epoch(info: DatasetInfo, batch_size: int, split: str = TRAIN_SPLIT) -> int:
    """Whole batches in an epoch of training: floor(clips / batch_size).

    The clips that are left over sit this epoch out; the next one is shuffled anew.

    Raises:
        ValueError: the split has fewer clips than a batch.
    """
    size = info.split_sizes.get(split, 0)
    if size < batch_size:
        raise ValueError(
            f"the split {split!r} of {info.name} has {size} clips, "
            f"fewer than a batch of {batch_size}"
        )
    return size // batch_size


def evaluation_steps(info: DatasetInfo, batch_size: int, split: str) -> int:
    """Batches that cover a split once, the last one padded: ceil(clips / batch_size)."""
    return -(-info.split_sizes[split] // batch_size)


def train_batches(
    directory: str | Path,
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
) -> Iterator[Batch]:
    """Endless training batches.

    Args:
        directory: a converted dataset.
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
        animal_weights: float (A) for each clip id, such as predicted probabilities, that take the
            place of the animals' labels.

    Returns:
        Batches of
        frames: uint8 (b, T, S, S, 3), RGB, with b = batch_size / process_count;
        actions: float32 (b, C), 1 for each action of the clip;
        animals: float32 (b, A), 1 for each animal in the clip, or its weights;
        clip_id: object (b), str;
        mask: bool (b), all True.

    Raises:
        FileNotFoundError, DatasetError: the folder is not a converted dataset.
        ValueError: the batch does not divide among the processes, is larger than the split, or a
            clip has no weights of the right shape.

    A record that turns out to be corrupt on the way raises DatasetError, naming the shard and the
    clip.
    """
    local_size = _local_batch_size(batch_size, process_index, process_count)
    source = _Source.open(directory, split, animal_weights)
    steps = steps_per_epoch(source.info, batch_size, split)

    def plans() -> Iterator[_Plan]:
        epoch, step = divmod(start_step, steps)
        while True:
            plan = _training_plan(
                source.index, num_frames, seed, epoch, multi_scale_crop=multi_scale_crop, flip=flip
            )
            for start in range(step * batch_size, steps * batch_size, batch_size):
                local = start + process_index * local_size
                yield plan[local : local + local_size]
            epoch, step = epoch + 1, 0

    shape = _ClipShape(1, 1, num_frames, image_size)
    batches = _batches(source, plans, shape, local_size, num_workers)
    return ({**batch, "frames": batch["frames"][:, 0]} for batch in batches)


def evaluation_batches(
    directory: str | Path,
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
    animal_weights: Mapping[str, np.ndarray] | None = None,
) -> Iterator[Batch]:
    """Every clip of a split exactly once, in stored order, on all processes together.

    All processes yield the same number of batches (`evaluation_steps`). Rows that pad the last one
    have mask False, an empty clip id, and zeros elsewhere.

    Args:
        directory: a converted dataset.
        split: the split to evaluate.
        num_frames: T, of each view.
        image_size: S, height and width of the result.
        batch_size: of all processes together, in clips.
        num_temporal_views: views along time, see `data_pipeline.sampling.evaluation_positions`.
        num_crops: 1 or 3 crops of each, see `data_pipeline.augment.evaluation_crops`.
        process_index: which process this is.
        process_count: how many share each batch.
        num_workers: threads that decode; None uses all cores.
        animal_weights: as for `train_batches`.

    Returns:
        Batches as those of `train_batches`, but frames: uint8 (b, V, T, S, S, 3) with V = temporal
        views x crops; the crops of one view are neighbours.

    Raises:
        FileNotFoundError, DatasetError: the folder is not a converted dataset, or has no such
        split.
        ValueError: the batch does not divide among the processes, the views are impossible, or a
            clip has no weights of the right shape.
    """
    local_size = _local_batch_size(batch_size, process_index, process_count)
    source = _Source.open(directory, split, animal_weights)
    index = source.index
    plan = _Plan(
        rows=np.arange(len(index)),
        positions=evaluation_positions(index.num_frames, num_frames, num_temporal_views),
        crops=evaluation_crops(index.heights, index.widths, num_crops),
        flip=np.zeros(len(index), bool),
    )
    steps = evaluation_steps(source.info, batch_size, split)
    starts = [step * batch_size + process_index * local_size for step in range(steps)]

    def plans() -> Iterator[_Plan]:
        for start in starts:
            yield plan[start : start + local_size]

    shape = _ClipShape(num_temporal_views, num_crops, num_frames, image_size)
    batches = _batches(source, plans, shape, local_size, num_workers)
    # The last batch may hold no clip of this process.
    return (_padded(next(batches, None), source.info, shape, local_size) for _ in range(steps))


def _local_batch_size(batch_size: int, process_index: int, process_count: int) -> int:
    if batch_size < 1 or batch_size % process_count:
        raise ValueError(
            f"a batch of {batch_size} clips does not divide among {process_count} processes"
        )
    if not 0 <= process_index < process_count:
        raise ValueError(f"there is no process {process_index} among {process_count}")
    return batch_size // process_count


def _training_plan(
    index: ClipIndex,
    num_frames: int,
    seed: int,
    epoch: int,
    *,
    multi_scale_crop: bool,
    flip: bool,
) -> _Plan:
    """The plan of a whole epoch: what clip n goes through depends on (seed, epoch, n) alone."""
    order, drawing = np.random.SeedSequence((seed, epoch)).spawn(2)
    rows = np.random.default_rng(order).permutation(len(index))
    uniforms = np.random.default_rng(drawing).random((len(index), num_frames + 3))[rows]
    heights, widths = index.heights[rows], index.widths[rows]
    crops = (
        multi_scale_crops(heights, widths, uniforms[:, 0:2])[:, None]
        if multi_scale_crop
        else evaluation_crops(heights, widths, 1)
    )
    return _Plan(
        rows=rows,
        positions=training_positions(index.num_frames[rows], uniforms[:, 3:])[:, None],
        crops=crops,
        flip=(uniforms[:, 2] < 0.5) & flip,
    )


@dataclass(frozen=True)
class _Source:
    """A split of a dataset, found to be whole as far as its files tell."""

    directory: Path
    info: DatasetInfo
    index: ClipIndex
    animal_weights: Mapping[str, np.ndarray] | None

    @classmethod
    def open(
        cls,
        directory: str | Path,
        split: str,
        animal_weights: Mapping[str, np.ndarray] | None,
    ) -> "_Source":
        directory = Path(directory)
        info, index = load_info(directory), load_index(directory, split)
        check_shards(directory, index)
        if animal_weights is not None:
            expected = (len(info.animal_names),)
            for clip_id in index.clip_ids:
                found = np.shape(animal_weights[clip_id]) if clip_id in animal_weights else None
                if found != expected:
                    raise ValueError(
                        f"the clip {clip_id!r} needs animal weights of shape {expected}, "
                        f"found {'none' if found is None else found}"
                    )
        return cls(directory, info, index, animal_weights)

    def path(self, row: int) -> str:
        return str(self.directory / self.index.shards[row])


@dataclass(frozen=True)
class _ClipShape:
    """What is cut out of a clip: views along time, crops of each, frames and their size."""

    num_temporal_views: int
    num_crops: int
    num_frames: int
    image_size: int

    @property
    def frames(self) -> tuple[int, ...]:
        views = self.num_temporal_views * self.num_crops
        return (views, self.num_frames, self.image_size, self.image_size, 3)


def _batches(
    source: _Source,
    plans: Callable[[], Iterator[_Plan]],
    shape: _ClipShape,
    batch_size: int,
    num_workers: int | None,
) -> Iterator[Batch]:
    """Carries the plans out, in their order, in batches of `batch_size` clips."""
    recent: deque[_Plan] = deque(maxlen=RECENT_PLANS)

    def remembered() -> Iterator[_Plan]:
        for plan in plans():
            recent.append(plan)
            yield plan

    dataset = _clips(source, remembered, shape, num_workers)
    options = tf.data.Options()
    options.deterministic = True
    options.threading.max_intra_op_parallelism = 1
    if num_workers:
        options.threading.private_threadpool_size = num_workers
    dataset = dataset.batch(batch_size).prefetch(PREFETCHED_BATCHES).with_options(options)
    corruption = (tf.errors.DataLossError, tf.errors.InvalidArgumentError)

    def iterate() -> Iterator[Batch]:
        try:
            for batch in dataset.as_numpy_iterator():
                batch["clip_id"] = np.array([name.decode() for name in batch["clip_id"]], object)
                if source.animal_weights is not None:
                    weights = [source.animal_weights[clip_id] for clip_id in batch["clip_id"]]
                    batch["animals"] = np.stack(weights).astype(np.float32)
                yield batch
        except corruption as error:
            rows = [row for plan in recent for row in plan.rows]
            raise DatasetError(_describe_corruption(source, rows, str(error))) from error

    return iterate()


def _describe_corruption(source: _Source, rows: Iterable[int], message: str) -> str:
    """Finds the corrupt record among those that were asked for of late."""
    for row in rows:
        offset, length = source.index.offsets[row], source.index.lengths[row]
        try:
            _read_record(tf.constant(source.path(row)), tf.constant(offset), tf.constant(length))
        except (tf.errors.DataLossError, tf.errors.InvalidArgumentError):
            return (
                f"the record of the clip {source.index.clip_ids[row]!r} at byte {offset} of "
                f"{source.path(row)} is corrupt; restore the file, or convert the dataset again"
            )
    return f"a record of {source.directory} cannot be read: {message}"


def _clips(
    source: _Source,
    plans: Callable[[], Iterator[_Plan]],
    shape: _ClipShape,
    num_workers: int | None,
) -> tf.data.Dataset:
    """Dataset of single clips, as the plans say and in their order."""
    # The accelerator belongs to JAX; TensorFlow would take its memory.
    if tf.config.get_visible_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")
    info, index = source.info, source.index

    def rows() -> Iterator[tuple]:
        for plan in plans():
            yield (
                np.array([source.path(row) for row in plan.rows], object),
                index.offsets[plan.rows],
                index.lengths[plan.rows],
                plan.positions,
                plan.crops,
                plan.flip,
            )

    dataset = tf.data.Dataset.from_generator(
        rows,
        output_signature=(
            tf.TensorSpec((None,), tf.string),
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((None, shape.num_temporal_views, shape.num_frames), tf.int64),
            tf.TensorSpec((None, shape.num_crops, 4), tf.int32),
            tf.TensorSpec((None,), tf.bool),
        ),
    ).unbatch()

    def load(path, offset, length, positions, crops, flip):
        example = _parse(_read_record(path, offset, length))
        frames = _cut_frames(example["frames"], positions, crops, flip, shape.image_size)
        return {
            "frames": tf.ensure_shape(frames, shape.frames),
            "actions": _multi_hot(example["actions"], len(info.action_names)),
            "animals": _multi_hot(example["animals"], len(info.animal_names)),
            "clip_id": example["clip_id"],
            "mask": tf.constant(True),
        }

    parallel = num_workers or tf.data.AUTOTUNE
    return dataset.map(load, num_parallel_calls=parallel, deterministic=True)


def _read_record(path: tf.Tensor, offset: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """One record from the middle of a shard; its checksums are verified."""
    reader = tf.raw_ops.TFRecordDatasetV2(
        filenames=path[None],
        compression_type="",
        buffer_size=length + RECORD_FRAMING,
        byte_offsets=offset[None],
        metadata="",
    )
    records = tf.data.experimental.from_variant(reader, tf.TensorSpec((), tf.string))
    return records.take(1).get_single_element()


def _parse(record: tf.Tensor) -> dict[str, tf.Tensor]:
    example = tf.io.parse_single_example(
        record,
        {
            "clip_id": tf.io.FixedLenFeature((), tf.string),
            "frames": tf.io.VarLenFeature(tf.string),
            "actions": tf.io.VarLenFeature(tf.int64),
            "animals": tf.io.VarLenFeature(tf.int64),
        },
    )
    return {
        "clip_id": example["clip_id"],
        "frames": example["frames"].values,
        "actions": example["actions"].values,
        "animals": example["animals"].values,
    }


def _cut_frames(
    frames: tf.Tensor, positions: tf.Tensor, crops: tf.Tensor, flip: tf.Tensor, size: int
) -> tf.Tensor:
    """Decodes what is needed of the frames sampled: uint8 (V K, T, size, size, 3)."""
    num_views, num_frames = positions.shape
    views = []
    for view in range(num_views):
        for crop in range(crops.shape[0]):
            images = tf.stack(
                [
                    tf.io.decode_and_crop_jpeg(
                        frames[positions[view, step]], crops[crop], channels=3
                    )
                    for step in range(num_frames)
                ]
            )
            resized = tf.image.resize(images, (size, size), method="bilinear")
            views.append(tf.cast(tf.round(resized), tf.uint8))
    clip = tf.stack(views)
    return tf.cond(flip, lambda: tf.reverse(clip, axis=[3]), lambda: clip)


def _multi_hot(labels: tf.Tensor, num_classes: int) -> tf.Tensor:
    return tf.reduce_sum(tf.one_hot(labels, num_classes), axis=0)


def _padded(batch: Batch | None, info: DatasetInfo, shape: _ClipShape, size: int) -> Batch:
    """The batch with rows added up to `size`, which the mask denies; None is a batch of none."""
    found = 0 if batch is None else len(batch["mask"])
    if found == size:
        return batch
    missing = size - found
    padding = {
        "frames": np.zeros((missing, *shape.frames), np.uint8),
        "actions": np.zeros((missing, len(info.action_names)), np.float32),
        "animals": np.zeros((missing, len(info.animal_names)), np.float32),
        "clip_id": np.full((missing,), "", object),
        "mask": np.zeros((missing,), bool),
    }
    if batch is None:
        return padding
    return {name: np.concatenate([values, padding[name]]) for name, values in batch.items()}
