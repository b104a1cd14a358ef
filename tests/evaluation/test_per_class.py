import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from animal_clip_jax.evaluation.per_class import per_class_rows

NAMES = ["Walking", "Carrying, in mouth", 'The "zoomies"', "Mürrisch"]
SCORES = np.random.default_rng(0).standard_normal((20, 4))
TARGETS = np.random.default_rng(1).integers(0, 2, size=(20, 4))
TARGETS[:, 3] = 0
COUNTS = np.array([500, 100, 99, 0])


def test_rows_of_average_precisions():
    rows = per_class_rows(NAMES, SCORES, TARGETS, COUNTS, multi_label=True)
    columns = ["class", "segment", "training_clips", "test_clips", "average_precision"]
    assert [list(row) for row in rows] == [columns] * 4
    assert [row["class"] for row in rows] == NAMES
    assert [row["segment"] for row in rows] == ["head", "middle", "tail", "tail"]
    assert [row["training_clips"] for row in rows] == COUNTS.tolist()
    assert [row["test_clips"] for row in rows] == TARGETS.sum(axis=0).tolist()
    for label in range(3):
        assert rows[label]["average_precision"] == pytest.approx(
            average_precision_score(TARGETS[:, label], SCORES[:, label])
        )
    assert rows[3]["average_precision"] is None


def test_rows_of_accuracies():
    labels = np.arange(20) % 3
    rows = per_class_rows(NAMES, SCORES, np.eye(4)[labels], COUNTS, multi_label=False)
    assert list(rows[0]) == ["class", "segment", "training_clips", "test_clips", "accuracy"]
    for label in range(3):
        hits = SCORES[labels == label].argmax(axis=1) == label
        assert rows[label]["accuracy"] == pytest.approx(hits.mean())
    assert rows[3]["accuracy"] is None


def test_segments_of_the_data_come_before_those_by_counts():
    own = ["tail", "tail", "middle", "head"]
    rows = per_class_rows(NAMES, SCORES, TARGETS, COUNTS, multi_label=True, class_segments=own)
    assert [row["segment"] for row in rows] == own


def test_names_and_counts_that_do_not_fit():
    with pytest.raises(ValueError, match=r"class_names has shape \(3,\), expected \(4,\)"):
        per_class_rows(NAMES[:3], SCORES, TARGETS, COUNTS, multi_label=True)
    with pytest.raises(ValueError, match=r"train_counts has shape \(2,\), expected \(4,\)"):
        per_class_rows(NAMES, SCORES, TARGETS, COUNTS[:2], multi_label=True)
