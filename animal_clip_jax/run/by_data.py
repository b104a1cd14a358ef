"""Fields of a configuration that are left to the data, as 0 or "": batch, epochs, loss, and the
classes of a model that has a classifier.

They are closed once, when a training begins, and recorded so; a run that goes on takes them from
its record.
"""

import math

from ml_collections import ConfigDict

from animal_clip_jax.models.description import CLASSIFIERS
from animal_clip_jax.run.fields import FIELDS
from animal_clip_jax.run.schema import flat_config
from data_pipeline.batches.plan import steps_per_epoch

LEFT_TO_DATA = tuple(name for name, field in FIELDS.items() if field.accepts.is_by_data)
_CLASSES = "model.num_classes"
_LARGEST_BATCH, _SMALLEST_BATCH = 64, 4
_STEPS_AN_EPOCH = 8  # at least, where the data has clips for it
_STEPS = 1200  # in all, where that takes no more epochs than the most
_FEWEST_EPOCHS, _MOST_EPOCHS = 30, 100
_MICRO_BATCH = 16  # clips on a device at a time


def left_to_data(config: ConfigDict) -> tuple[str, ...]:
    """The fields of `LEFT_TO_DATA` that a configuration leaves to the data."""
    flat = flat_config(config)
    fixed = () if flat["model.family"] in CLASSIFIERS else (_CLASSES,)
    return tuple(name for name in LEFT_TO_DATA if not flat[name] and name not in fixed)


def following(
    config: ConfigDict, *, clips: int, actions: int, multi_label: bool, shares: int
) -> tuple[ConfigDict, str]:
    """A copy in which nothing is left to the data.

    Batches are as large as published, 64 clips, or halved until an epoch has 8 steps or a batch 4
    clips. Epochs are as many as make 1200 steps, from 30 to 100. Clips of several actions are
    trained on with a loss that judges each action by itself.

    Args:
        clips: that are trained on.
        actions: of the data.
        multi_label: whether a clip may have several actions.
        shares: of how many devices a batch is divided over.

    Returns:
        the configuration; and what a person should know of it, "" if nothing was left.

    Raises:
        UserError: there are fewer clips than a batch has.
    """
    names = left_to_data(config)
    config = config.copy_and_resolve_references()
    if _CLASSES in names:
        config.model.num_classes = actions
        names = tuple(name for name in names if name != _CLASSES)
    if "batch_size" in names:
        config.batch_size = _batch_size(clips, shares)
    if "accumulation" in names:
        config.accumulation = _accumulation(config.batch_size, shares)
    if "epochs" in names:
        steps = steps_per_epoch(clips, config.batch_size)
        config.epochs = min(_MOST_EPOCHS, max(_FEWEST_EPOCHS, math.ceil(_STEPS / steps)))
    if "loss" in names:
        config.loss = "binary_cross_entropy" if multi_label else "cross_entropy"
    if not names:
        return config, ""
    flat = flat_config(config)
    each = "some with several actions" if multi_label else "each with one action"
    chosen = ", ".join(f"{name} {flat[name]}" for name in names)
    return config, f"by the data ({clips} clips to train on, {each}): {chosen}"


def _batch_size(clips: int, shares: int) -> int:
    size = _LARGEST_BATCH
    while size > _SMALLEST_BATCH and size * _STEPS_AN_EPOCH > clips:
        size //= 2
    return max(min(size, clips) // shares, 1) * shares


def _accumulation(batch_size: int, shares: int) -> int:
    """The fewest micro-batches of a batch that a device can be expected to hold."""
    for number in range(1, batch_size + 1):
        if batch_size % (number * shares) == 0 and batch_size <= number * shares * _MICRO_BATCH:
            return number
    return 1
