"""What was said of each clip, as rows of a table."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from animal_clip_jax.evaluation.checks import checked_scores_and_targets, require_shape


def per_clip_rows(
    clip_ids: Sequence[str],
    class_names: Sequence[str],
    scores: ArrayLike,
    targets: ArrayLike,
) -> list[dict[str, Any]]:
    """What was said of each clip, a row a clip, in their order.

    The columns are clip, actions (the annotated ones, separated by ";"), best (the one with the
    highest score; the first of several), its score, and is_right, 1 where it is an annotated one,
    else 0.

    Args:
        clip_ids: (n).
        class_names: (C).
        scores: (n, C).
        targets: multi-hot (n, C).

    Raises:
        ValueError: shapes that disagree, or scores that are not finite numbers.
    """
    scores, targets = checked_scores_and_targets(scores, targets)
    require_shape("clip_ids", np.asarray(clip_ids), (len(scores),), "one a clip")
    require_shape("class_names", np.asarray(class_names), (scores.shape[1],), "one a class")
    best = scores.argmax(axis=1).tolist()
    return [
        {
            "clip": clip_id,
            "actions": ";".join(class_names[k] for k in np.flatnonzero(target).tolist()),
            "best": class_names[k],
            "score": float(score[k]),
            "is_right": int(target[k]),
        }
        for clip_id, k, score, target in zip(clip_ids, best, scores, targets, strict=True)
    ]
