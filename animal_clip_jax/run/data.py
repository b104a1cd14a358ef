"""The clips that a run is trained, validated and tested on."""

import dataclasses

import numpy as np
from ml_collections import ConfigDict

from animal_clip_jax.run.config import check_data, check_directory, selection
from data_pipeline.batches.validation import validation_rows
from data_pipeline.clip_index import ClipIndex, load_index
from data_pipeline.dataset import DatasetInfo, load_info


@dataclasses.dataclass(frozen=True)
class ClipSet:
    """Some clips of a data set.

    Attributes:
        name: what a person calls them: the split's name, or "validation" for a share of it.
        split: the split of the data set that they are in.
        rows: int64 (N), their positions in the split's index; None for all of it.
        index: of these clips alone.
    """

    name: str
    split: str
    rows: np.ndarray | None
    index: ClipIndex


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """What a run is trained on, and how it is judged.

    Attributes:
        info: of the data set; its `relation_counts` count the clips in `train` only.
        train: the clips that are trained on.
        test: the clips that the result is tested on.
        validation: the clips that the best checkpoint is chosen on, None if none is chosen.
    """

    info: DatasetInfo
    train: ClipSet
    test: ClipSet
    validation: ClipSet | None

    def action_clips(self) -> np.ndarray:
        """(actions,) training clips of each action."""
        return clips_of_labels(self.train.index.actions, len(self.info.action_names))


def clips_of_labels(labels: tuple[tuple[int, ...], ...], num_labels: int) -> np.ndarray:
    """How many clips have each label, (num_labels,) int64."""
    return np.bincount([label for clip in labels for label in clip], minlength=num_labels)


def whole_split(directory: str, split: str) -> ClipSet:
    """All clips of a split."""
    return ClipSet(split, split, None, load_index(directory, split))


def open_training_data(config: ConfigDict) -> TrainingData:
    """The data of `config.data`, with its clips dealt out to training, validation and test.

    Raises:
        UserError: there is no such data, or it does not fit the configuration.
    """
    check_directory(config)
    directory, options = config.data.directory, config.data
    info = load_info(directory)
    check_data(config, info)
    train, test = (
        whole_split(directory, split) for split in (options.train_split, options.test_split)
    )
    validation = None
    if options.validation_share:
        held_out = validation_rows(
            train.index, options.validation_share, multi_label=info.multi_label
        )
        inside, outside = np.flatnonzero(held_out), np.flatnonzero(~held_out)
        validation = ClipSet("validation", options.train_split, inside, train.index.take(inside))
        train = ClipSet(
            options.train_split, options.train_split, outside, train.index.take(outside)
        )
        info = dataclasses.replace(info, relation_counts=_observed(info, train.index))
    elif options.validation_split:
        validation = whole_split(directory, options.validation_split)
    elif selection(config).on == "test_as_published":
        validation = test
    return TrainingData(info, train, test, validation)


def _observed(info: DatasetInfo, index: ClipIndex) -> np.ndarray:
    """How many clips show an animal and an action, for the pairs that the whole split shows.

    Which of a clip's animals does which of its actions is recorded for the split, not for the clip.
    """
    counts = np.zeros_like(info.relation_counts)
    for animals, actions in zip(index.animals, index.actions, strict=True):
        counts[np.ix_(animals, actions)] += 1
    return np.where(info.relation_counts > 0, counts, 0)
