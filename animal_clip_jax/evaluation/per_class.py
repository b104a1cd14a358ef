"""How well each class is recognised, as rows of a table."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from animal_clip_jax.evaluation.checks import (
    checked_scores_and_targets,
    checked_segments,
    require_shape,
)
from animal_clip_jax.evaluation.metrics import average_precisions, class_accuracies
from data_pipeline.long_tail import segments


def per_class_rows(
    class_names: Sequence[str],
    scores: ArrayLike,
    targets: ArrayLike,
    train_counts: ArrayLike,
    *,
    multi_label: bool,
    class_segments: ArrayLike | None = None,
) -> list[dict[str, Any]]:
    """How well each class is recognised, a row a class, in label order.

    The columns are class, segment, training_clips, test_clips and average_precision (multi-label)
    or accuracy (single label: the share of the class's clips with it as the best score). The last
    is None for a class without a test clip.

    Args:
        class_names: (C).
        scores: (n, C).
        targets: multi-hot (n, C).
        train_counts: training clips of each class, (C,).
        multi_label: whether a clip may show several actions.
        class_segments: "head", "middle" or "tail" of each class, (C,); None goes by
            `train_counts`.

    Raises:
        ValueError: shapes that disagree, or scores that are not finite numbers.
    """
    scores, targets = checked_scores_and_targets(scores, targets)
    train_counts = np.asarray(train_counts)
    one_a_class = (scores.shape[1],)
    require_shape("class_names", np.asarray(class_names), one_a_class, "one a class")
    require_shape("train_counts", train_counts, one_a_class, "one a class")
    if class_segments is None:
        class_segments = segments(train_counts)
    values = (average_precisions if multi_label else class_accuracies)(scores, targets)
    metric = "average_precision" if multi_label else "accuracy"
    columns = zip(
        class_names,
        checked_segments(class_segments, scores.shape[1]).tolist(),
        train_counts.tolist(),
        targets.sum(axis=0).tolist(),
        (None if np.isnan(value) else float(value) for value in values),
        strict=True,
    )
    return [
        {
            "class": name,
            "segment": segment,
            "training_clips": training_clips,
            "test_clips": test_clips,
            metric: value,
        }
        for name, segment, training_clips, test_clips, value in columns
    ]
