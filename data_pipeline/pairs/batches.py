"""Batches of image–text pairs, read at random with TensorFlow.

Which pairs a batch has, in which order, how their pictures are cut and which of their texts they
come with: all of it is a function of (seed, epoch, pair), whatever reads it.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from animal_clip_jax.errors import DamagedError, UserError, shortened
from data_pipeline.batches.reading import CORRUPTION, elements_of, read_record
from data_pipeline.pairs.index import PairIndex
from data_pipeline.tensorflow_import import as_written, tf

# Of the short side of a picture, what is cut out of it: 32 of 36 pixels, 224 of 252.
_CROP = 8 / 9
_PREFETCHED = 2


class PairBatch(NamedTuple):
    """Some pairs.

    Attributes:
        images: uint8 (b, S, S, 3), RGB.
        texts: one of each picture's.
        rows: int64 (b), positions of the pairs in the index.
    """

    images: np.ndarray
    texts: tuple[str, ...]
    rows: np.ndarray


class _Plan(NamedTuple):
    """What is read and cut out, one row a pair.

    Attributes:
        rows: int64 (n), positions in the index.
        crops: int32 (n, 3): top, left and side of a square.
        mirrored: bool (n).
        texts: int64 (n), which of the texts.
    """

    rows: np.ndarray
    crops: np.ndarray
    mirrored: np.ndarray
    texts: np.ndarray

    def part(self, start: int, stop: int) -> "_Plan":
        return _Plan(*(column[start:stop] for column in self))


def check_batch_size(pairs: int, batch_size: int) -> None:
    """Raises UserError unless a batch has two pairs, and no more than there are."""
    if batch_size < 2:
        raise UserError(
            f"a batch of {batch_size} has nothing to tell a pair from; expected two pairs or more"
        )
    if batch_size > pairs:
        raise UserError(
            f"there are {pairs} pairs to train on, fewer than a batch of {batch_size}; choose a "
            "smaller batch"
        )


def training_batches(
    index: PairIndex,
    *,
    image_size: int,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    mirror: bool = False,
    num_workers: int | None = None,
) -> Iterator[PairBatch]:
    """Training batches without end.

    Every epoch has each pair at most once, in an order of its own; those that fill no batch sit it
    out. Of each picture a square of 8/9 of its short side is taken, at random, and brought to
    `image_size`; of its texts one.

    Args:
        image_size: S.
        start_step: the first batch is this one of the run.
        mirror: mirror half of the pictures.
        num_workers: threads that decode; None uses all cores.

    Returns:
        batches of `batch_size` pairs. A record that turns out to be damaged raises DamagedError,
        which names its file.

    Raises:
        UserError: a batch of fewer than two pairs, or of more than there are.
    """
    check_batch_size(len(index), batch_size)
    steps = len(index) // batch_size

    def plans() -> Iterator[_Plan]:
        epoch, step = divmod(start_step, steps)
        while True:
            plan = _training_plan(index, seed, epoch, mirror=mirror)
            for number in range(step, steps):
                yield plan.part(number * batch_size, (number + 1) * batch_size)
            epoch, step = epoch + 1, 0

    return _batches(index, plans, image_size, batch_size, num_workers)


def all_batches(
    index: PairIndex, *, image_size: int, batch_size: int, num_workers: int | None = None
) -> Iterator[PairBatch]:
    """All pairs once, in stored order: the square in the middle, and the first text.

    Args:
        image_size, num_workers: as for `training_batches`.
        batch_size: the last one may have fewer.
    """
    shape = len(index), 2
    plan = _Plan(
        rows=np.arange(len(index)),
        crops=_crops(index.heights, index.widths, np.full(shape, 0.5)),
        mirrored=np.zeros(len(index), bool),
        texts=np.zeros(len(index), np.int64),
    )

    def plans() -> Iterator[_Plan]:
        for start in range(0, len(index), batch_size):
            yield plan.part(start, start + batch_size)

    return _batches(index, plans, image_size, batch_size, num_workers)


def _training_plan(index: PairIndex, seed: int, epoch: int, *, mirror: bool) -> _Plan:
    order, drawing = np.random.SeedSequence((seed, epoch)).spawn(2)
    rows = np.random.default_rng(order).permutation(len(index))
    uniforms = np.random.default_rng(drawing).random((len(index), 4))[rows]
    return _Plan(
        rows=rows,
        crops=_crops(index.heights[rows], index.widths[rows], uniforms[:, :2]),
        mirrored=(uniforms[:, 2] < 0.5) & mirror,
        texts=(uniforms[:, 3] * index.texts[rows]).astype(np.int64),
    )


def _crops(heights: np.ndarray, widths: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Squares, each at a share (from 0 to below 1, downwards and to the right) of its ways."""
    sides = np.maximum(np.round(_CROP * np.minimum(heights, widths)), 1).astype(np.int64)
    top = (where[:, 0] * (heights - sides + 1)).astype(np.int64)
    left = (where[:, 1] * (widths - sides + 1)).astype(np.int64)
    return np.stack([top, left, sides], axis=1).astype(np.int32)


def _batches(
    index: PairIndex,
    plans: Callable[[], Iterator[_Plan]],
    image_size: int,
    batch_size: int,
    num_workers: int | None,
) -> Iterator[PairBatch]:
    num_workers = num_workers or os.cpu_count() or 1
    # Planned and not yet given out: TensorFlow plans ahead, in a thread of its own.
    waiting: deque[int] = deque()

    def planned() -> Iterator[tuple]:
        for plan in plans():
            waiting.extend(plan.rows)
            paths = np.array([index.path(row) for row in plan.rows], object)
            yield (paths, index.offsets[plan.rows], index.lengths[plan.rows], *plan[1:])

    columns = (tf.string, tf.int64, tf.int64, tf.int32, tf.bool, tf.int64)
    shapes = [(None,)] * 3 + [(None, 3)] + [(None,)] * 2
    signature = tuple(map(tf.TensorSpec, shapes, columns))

    @as_written
    def read(path, offset, length, crop, mirrored, text):
        image, texts = _parsed(read_record(path, offset, length))
        return _cut(image, crop, mirrored, image_size), texts[text]

    dataset = tf.data.Dataset.from_generator(planned, output_signature=signature).unbatch()
    dataset = dataset.map(read, num_workers, deterministic=True)
    elements = elements_of(dataset.batch(batch_size).prefetch(_PREFETCHED), num_workers)
    while True:
        try:
            images, texts = next(elements)
        except StopIteration:
            return
        except CORRUPTION as error:
            raise _damaged(index, list(waiting.copy()), error) from error
        rows = np.array([waiting.popleft() for _ in texts])
        yield PairBatch(images, tuple(text.decode() for text in texts), rows)


def _parsed(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The file of a picture, and its texts."""
    example = tf.io.parse_single_example(
        record,
        {
            "image/encoded": tf.io.FixedLenFeature((), tf.string),
            "texts": tf.io.VarLenFeature(tf.string),
        },
    )
    return example["image/encoded"], example["texts"].values


def _cut(image: tf.Tensor, crop: tf.Tensor, mirrored: tf.Tensor, size: int) -> tf.Tensor:
    """A square of a picture, uint8 (size, size, 3)."""
    pixels = tf.io.decode_image(image, channels=3, expand_animations=False)
    square = tf.slice(pixels, [crop[0], crop[1], 0], [crop[2], crop[2], 3])

    def resized():
        small = tf.image.resize(square, (size, size), method="bilinear", antialias=True)
        return tf.cast(tf.round(small), tf.uint8)

    square = tf.cond(crop[2] == size, lambda: square, resized)
    square = tf.cond(mirrored, lambda: tf.reverse(square, axis=[1]), lambda: square)
    return tf.ensure_shape(square, (size, size, 3))


def _damaged(index: PairIndex, suspected: list[int], error: Exception) -> DamagedError:
    """An error that names the damaged record, which is one of those that are suspected."""
    for row in suspected:
        try:
            place = tf.constant(index.path(row)), index.offsets[row], index.lengths[row]
            image, texts = _parsed(read_record(*place))
            tf.io.decode_image(image, channels=3, expand_animations=False)
            is_whole = len(texts) == index.texts[row]
        except CORRUPTION:
            is_whole = False
        if not is_whole:
            return DamagedError(
                f"the record at byte {index.offsets[row]} of {index.path(row)} is damaged; restore "
                "the file, or convert the pairs again"
            )
    reason = shortened(" ".join(str(error).split()))
    return DamagedError(f"a record of {index.directory} cannot be read: {reason}")
