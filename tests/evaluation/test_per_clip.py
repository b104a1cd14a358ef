"""What was said of each clip, as rows."""

import numpy as np
import pytest

from animal_clip_jax.evaluation.metrics import top_k_accuracy
from animal_clip_jax.evaluation.per_clip import per_clip_rows

NAMES = ("Running", "Resting", "Flying")


def test_rows():
    scores = [[0.5, 0.2, 0.3], [0.1, 0.4, 0.4], [0.0, 0.1, 0.9]]
    targets = [[1, 0, 0], [0, 0, 1], [1, 0, 1]]
    assert per_clip_rows(["a", "b", "c"], NAMES, scores, targets) == [
        {"clip": "a", "actions": "Running", "best": "Running", "score": 0.5, "is_right": 1},
        {"clip": "b", "actions": "Flying", "best": "Resting", "score": 0.4, "is_right": 0},
        {"clip": "c", "actions": "Running;Flying", "best": "Flying", "score": 0.9, "is_right": 1},
    ]


def test_the_share_that_is_right_is_the_accuracy():
    rng = np.random.default_rng(0)
    scores, targets = rng.random((50, 3)), np.eye(3, dtype=int)[rng.integers(0, 3, 50)]
    rows = per_clip_rows([str(k) for k in range(50)], NAMES, scores, targets)
    expected = top_k_accuracy(scores, targets, 1)
    assert np.mean([row["is_right"] for row in rows]) == pytest.approx(expected)


def test_shapes_that_disagree():
    with pytest.raises(ValueError, match="clip_ids"):
        per_clip_rows(["a"], NAMES, np.zeros((2, 3)), np.zeros((2, 3), int))
