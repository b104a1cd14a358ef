"""Carrying a plan out with TensorFlow: records read at random, frames decoded when sampled."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from etils import epath

from animal_clip_jax.errors import shortened
from animal_clip_jax.files import as_path
from data_pipeline.batches.plan import Plan
from data_pipeline.clip_index import RECORD_FRAMING, ClipIndex, check_shards, load_index
from data_pipeline.dataset import DatasetInfo, load_info
from data_pipeline.dataset_files import DatasetError
from data_pipeline.tensorflow_import import tf

Batch = dict[str, np.ndarray]

PREFETCHED_BATCHES = 2
# What TensorFlow raises of a shard that is damaged, gone or not readable any more.
CORRUPTION = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.OutOfRangeError,
    tf.errors.PermissionDeniedError,
    tf.errors.UnknownError,
)


@dataclass(frozen=True)
class Source:
    """Clips of a split of a dataset, which is found to be whole as far as its files tell."""

    directory: epath.Path
    info: DatasetInfo
    index: ClipIndex
    animal_weights: Mapping[str, np.ndarray] | None

    @classmethod
    def open(
        cls,
        directory: str | os.PathLike,
        split: str,
        animal_weights: Mapping[str, np.ndarray] | None = None,
        rows: np.ndarray | None = None,
    ) -> "Source":
        directory = as_path(directory)
        info, index = load_info(directory), load_index(directory, split)
        check_shards(directory, index)
        if rows is not None:
            index = index.take(rows)
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
        return os.fspath(self.directory / self.index.shards[row])

    def stored_frames(self, row: int) -> list[bytes]:
        """JPEG files of all frames stored of a clip, which can be decoded.

        Raises:
            DatasetError: its record is corrupt.
        """
        offset, length = self.index.offsets[row], self.index.lengths[row]
        try:
            example = stored_example(self.path(row), offset, length)
            frames = list(example["frames"].numpy())
            for frame in frames:
                tf.io.decode_jpeg(frame, channels=3)
        except CORRUPTION as error:
            raise self._corrupt(row) from error
        if len(frames) != self.index.num_frames[row]:
            raise self._corrupt(row)
        self.check_is_clip(
            row, example["clip_id"].numpy(), example["actions"].numpy(), example["animals"].numpy()
        )
        return frames

    def check_is_clip(
        self, row: int, clip_id: bytes, actions: np.ndarray, animals: np.ndarray
    ) -> None:
        """Makes sure that a record is that of a clip of the index: a whole shard of another
        conversion may have the same size.

        Args:
            row: of the clip.
            clip_id, actions, animals: of the record; label ids.

        Raises:
            DatasetError: it is another.
        """
        expected = self.index.clip_ids[row], self.index.actions[row], self.index.animals[row]
        name = clip_id.decode(errors="backslashreplace")
        if (name, *map(_sorted, (actions, animals))) != (expected[0], *map(_sorted, expected[1:])):
            other = "with other labels" if name == expected[0] else f"that of the clip {name!r}"
            raise DatasetError(
                f"the record at byte {self.index.offsets[row]} of {self.path(row)} should be that "
                f"of the clip {expected[0]!r}, and is {shortened(other)}: the file is of another "
                "conversion; restore it, or delete it and run the conversion again"
            )

    def _corrupt(self, row: int) -> DatasetError:
        return DatasetError(
            f"the record of the clip {self.index.clip_ids[row]!r} at byte "
            f"{self.index.offsets[row]} of {self.path(row)} is corrupt; restore the file, or "
            "delete it and run the conversion again"
        )


def _sorted(labels: Iterable[int]) -> list[int]:
    return sorted({int(label) for label in labels})


@dataclass(frozen=True)
class ClipShape:
    """What is cut out of a clip: views along time, crops of each, frames and their size."""

    num_temporal_views: int
    num_crops: int
    num_frames: int
    image_size: int

    @property
    def frames(self) -> tuple[int, ...]:
        views = self.num_temporal_views * self.num_crops
        return (views, self.num_frames, self.image_size, self.image_size, 3)


def batches_of(
    source: Source,
    plans: Callable[[], Iterator[Plan]],
    shape: ClipShape,
    batch_size: int,
    num_workers: int | None,
) -> Iterator[Batch]:
    """Carries the plans out, in their order, in batches of `batch_size` clips."""
    num_workers = num_workers or os.cpu_count() or 1
    # The clips that are planned and not yet given out, to look for a corrupt one among them.
    # TensorFlow plans in a thread of its own, which goes on while this one looks.
    waiting: deque[int] = deque()
    lock = threading.Lock()

    def remembered() -> Iterator[Plan]:
        for plan in plans():
            with lock:
                waiting.extend(plan.rows)
            yield plan

    dataset = _clips(source, remembered, shape, num_workers)
    options = tf.data.Options()
    options.deterministic = True
    options.threading.max_intra_op_parallelism = 1
    options.threading.private_threadpool_size = num_workers
    dataset = dataset.batch(batch_size).prefetch(PREFETCHED_BATCHES).with_options(options)

    def iterate() -> Iterator[Batch]:
        try:
            for batch in dataset.as_numpy_iterator():
                with lock:
                    rows = [waiting.popleft() for _ in batch["mask"]]
                for place, row in enumerate(rows):
                    labels = (np.flatnonzero(batch[kind][place]) for kind in ("actions", "animals"))
                    source.check_is_clip(row, batch["clip_id"][place], *labels)
                batch["clip_id"] = np.array([name.decode() for name in batch["clip_id"]], object)
                if source.animal_weights is not None:
                    weights = [source.animal_weights[clip_id] for clip_id in batch["clip_id"]]
                    batch["animal_weights"] = np.stack(weights).astype(np.float32)
                yield batch
        except CORRUPTION as error:
            with lock:
                suspected = tuple(waiting)
            for row in suspected:
                source.stored_frames(row)  # names the corrupt record
            reason = shortened(" ".join(str(error).split()))
            raise DatasetError(
                f"a record of {source.directory} cannot be read: {reason}"
            ) from error

    return iterate()


def _clips(
    source: Source,
    plans: Callable[[], Iterator[Plan]],
    shape: ClipShape,
    num_workers: int,
) -> tf.data.Dataset:
    """Dataset of single clips, as the plans say and in their order."""
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

    return dataset.map(load, num_parallel_calls=num_workers, deterministic=True)


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


def stored_example(path: str | os.PathLike, offset: int, length: int) -> dict[str, tf.Tensor]:
    """A record of a shard, with the frames as JPEG files.

    Raises:
        tf.errors.OpError: it is damaged.
    """
    record = _read_record(
        tf.constant(os.fspath(path)), tf.constant(offset, tf.int64), tf.constant(length, tf.int64)
    )
    return _parse(record)


def _parse(record: tf.Tensor) -> dict[str, tf.Tensor]:
    example = tf.io.parse_single_example(
        record,
        {
            "clip_id": tf.io.FixedLenFeature((), tf.string),
            "frames": tf.io.VarLenFeature(tf.string),
            "frame_indices": tf.io.VarLenFeature(tf.int64),
            "actions": tf.io.VarLenFeature(tf.int64),
            "animals": tf.io.VarLenFeature(tf.int64),
        },
    )
    return {
        "clip_id": example["clip_id"],
        "frames": example["frames"].values,
        "frame_indices": example["frame_indices"].values,
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
