"""What every clip of an epoch goes through, decided ahead of any reading.

Whole numbers and random ones from (seed, epoch, position of the clip in the index): no worker,
process or resumption can change them.
"""

from dataclasses import dataclass

import numpy as np

from animal_clip_jax.errors import UserError
from data_pipeline.batches.crops import evaluation_crops, multi_scale_crops
from data_pipeline.batches.sampling import evaluation_positions, training_positions
from data_pipeline.clip_index import ClipIndex


@dataclass(frozen=True)
class Plan:
    """What to read and cut out, one row a clip.

    Attributes:
        rows: int64 (n), position of the clip in the index.
        positions: int64 (n, V, T), among the stored frames of the clip.
        crops: int32 (n, K, 4): top, left, height, width.
        flip: bool (n), whether to mirror it.
    """

    rows: np.ndarray
    positions: np.ndarray
    crops: np.ndarray
    flip: np.ndarray

    def __getitem__(self, rows: slice) -> "Plan":
        return Plan(self.rows[rows], self.positions[rows], self.crops[rows], self.flip[rows])


def steps_per_epoch(num_clips: int, batch_size: int) -> int:
    """Whole batches in an epoch of training: floor(num_clips / batch_size).

    The clips that are left over sit this epoch out; the next one is shuffled anew.

    Raises:
        UserError: there are fewer clips than a batch has.
    """
    if num_clips < batch_size:
        raise UserError(
            f"there are {num_clips} clips to train on, fewer than a batch of {batch_size}; "
            "choose a smaller batch"
        )
    return num_clips // batch_size


def evaluation_steps(num_clips: int, batch_size: int) -> int:
    """Batches that cover all clips once, the last one padded: ceil(num_clips / batch_size)."""
    return -(-num_clips // batch_size)


def training_plan(
    index: ClipIndex,
    num_frames: int,
    seed: int,
    epoch: int,
    *,
    multi_scale_crop: bool,
    flip: bool,
) -> Plan:
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
    return Plan(
        rows=rows,
        positions=training_positions(index.num_frames[rows], uniforms[:, 3:])[:, None],
        crops=crops,
        flip=(uniforms[:, 2] < 0.5) & flip,
    )


def evaluation_plan(
    index: ClipIndex, num_frames: int, num_temporal_views: int, num_crops: int
) -> Plan:
    """Every clip once, in stored order."""
    return Plan(
        rows=np.arange(len(index)),
        positions=evaluation_positions(index.num_frames, num_frames, num_temporal_views),
        crops=evaluation_crops(index.heights, index.widths, num_crops),
        flip=np.zeros(len(index), bool),
    )


def first_uses(positions: np.ndarray) -> np.ndarray:
    """Where a clip's frame is used for the first time: all other places show a frame once more.

    Args:
        positions: int64 (n, V, T), the views one after the other.

    Returns:
        bool (n, V, T).
    """
    flat = positions.reshape(len(positions), np.prod(positions.shape[1:]))
    order = np.argsort(flat, axis=1, kind="stable")
    ordered = np.take_along_axis(flat, order, axis=1)
    found = np.ones(flat.shape, bool)
    np.put_along_axis(found, order[:, 1:], ordered[:, 1:] != ordered[:, :-1], axis=1)
    return found.reshape(positions.shape)
