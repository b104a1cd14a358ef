"""How well each class is recognised, as rows of a table."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from animal_clip_jax.evaluation.checks import checked_scores_and_targets, checked_segments
from animal_clip_jax.evaluation.metrics import average_precisions, class_accuracies, segments


def per_class_csv(
    path: str | os.PathLike[str],
    class_names: Sequence[str],
    scores: ArrayLike,
    targets: ArrayLike,
    train_counts: ArrayLike,
    *,
    multi_label: bool,
    class_segments: ArrayLike | None = None,
) -> None:
    """Writes how well each class is recognised: a header and a row a class, in label order.

    The columns are class, segment, training_clips, test_clips and average_precision (multi-label)
    or accuracy (single label: the share of the class's clips with it as the best score). The last
    is empty for a class without a test clip.

    Args:
        path: the file, in a folder that exists; an earlier one is overwritten.
        class_names: (C).
        scores: (n, C).
        targets: multi-hot (n, C).
        train_counts: training clips of each class, (C,).
        multi_label: whether a clip may show several actions.
        class_segments: the dataset's own segment of each class, (C,); None takes
            `animal_clip_jax.evaluation.metrics.segments`.

    Raises:
        ValueError: shapes that disagree, or scores that are not finite numbers.
        OSError: the file cannot be written.
    """
    scores, targets = checked_scores_and_targets(scores, targets)
    classes = scores.shape[1]
    train_counts = np.asarray(train_counts)
    for name, found in (
        ("class_names", (len(class_names),)),
        ("train_counts", train_counts.shape),
    ):
        if found != (classes,):
            raise ValueError(f"{name} has shape {found}, expected ({classes},), one a class")
    class_segments = segments(train_counts) if class_segments is None else class_segments
    values = (average_precisions if multi_label else class_accuracies)(scores, targets)
    columns = zip(
        class_names,
        checked_segments(class_segments, classes).tolist(),
        train_counts.tolist(),
        targets.sum(axis=0).tolist(),
        ["" if np.isnan(value) else f"{value:.6f}" for value in values],
        strict=True,
    )
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        metric = "average_precision" if multi_label else "accuracy"
        writer.writerow(["class", "segment", "training_clips", "test_clips", metric])
        writer.writerows(columns)
