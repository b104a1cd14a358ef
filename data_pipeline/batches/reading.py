"""Records of a converted dataset, read at random with TensorFlow."""

import atexit
import os
import weakref
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from etils import epath

from animal_clip_jax.errors import shortened
from animal_clip_jax.files import as_path
from data_pipeline.batches.freed_memory import keep_freed_memory
from data_pipeline.clip_index import RECORD_FRAMING, ClipIndex, check_shards, load_index
from data_pipeline.dataset import DatasetInfo, load_info
from data_pipeline.dataset_files import DatasetError
from data_pipeline.tensorflow_import import tf

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


# Of all that is being read.
_open: weakref.WeakSet[Generator[Any, None, None]] = weakref.WeakSet()


def elements_of(dataset: tf.data.Dataset, num_workers: int) -> Iterator[Any]:
    """Its elements as arrays, in their order, read by so many threads and no more."""
    keep_freed_memory()
    elements = _elements(dataset.with_options(_options(num_workers)))
    _open.add(elements)
    return elements


def _elements(dataset: tf.data.Dataset) -> Generator[Any, None, None]:
    yield from dataset.as_numpy_iterator()


@atexit.register
def _close_all() -> None:
    """Threads of TensorFlow ask Python for the plan. If Python ended meanwhile, they would wait for
    an answer, and the end of the process for them, for ever."""
    for elements in list(_open):
        elements.close()


def _options(num_workers: int) -> tf.data.Options:
    chosen = tf.data.Options()
    chosen.deterministic = True
    chosen.threading.max_intra_op_parallelism = 1
    chosen.threading.private_threadpool_size = num_workers
    # There is nothing to tune, and the end of an iterator waits for the thread that would do it,
    # for as long as that sleeps: 11 seconds after 30 were seen, and it may be a minute.
    chosen.autotune.enabled = False
    return chosen


def read_record(path: tf.Tensor, offset: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """One record from the middle of a shard; its checksums are verified."""
    # Of a file of this machine, a buffer would be another copy. From elsewhere, it makes one
    # request of three.
    is_remote = tf.strings.regex_full_match(path, r"\w+://.*")
    reader = tf.raw_ops.TFRecordDatasetV2(
        filenames=path[None],
        compression_type="",
        buffer_size=tf.where(is_remote, length + RECORD_FRAMING, 0),
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
    record = read_record(
        tf.constant(os.fspath(path)), tf.constant(offset, tf.int64), tf.constant(length, tf.int64)
    )
    return parse(record)


def parse(record: tf.Tensor) -> dict[str, tf.Tensor]:
    """Its fields, the frames as JPEG files."""
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
