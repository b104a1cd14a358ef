import csv

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from animal_clip_jax.evaluation.per_class import per_class_csv
from animal_clip_jax.tables import format_table

NAMES = ["Walking", "Carrying, in mouth", 'The "zoomies"', "Mürrisch"]
SCORES = np.random.default_rng(0).standard_normal((20, 4))
TARGETS = np.random.default_rng(1).integers(0, 2, size=(20, 4))
TARGETS[:, 3] = 0
COUNTS = np.array([500, 100, 99, 0])


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_csv_of_average_precisions(tmp_path):
    path = tmp_path / "per_class.csv"
    per_class_csv(path, NAMES, SCORES, TARGETS, COUNTS, multi_label=True)
    rows = read(path)
    assert [row["class"] for row in rows] == NAMES
    assert [row["segment"] for row in rows] == ["head", "middle", "tail", "tail"]
    assert [int(row["training_clips"]) for row in rows] == COUNTS.tolist()
    assert [int(row["test_clips"]) for row in rows] == TARGETS.sum(axis=0).tolist()
    for label in range(3):
        assert float(rows[label]["average_precision"]) == pytest.approx(
            average_precision_score(TARGETS[:, label], SCORES[:, label]), abs=1e-6
        )
    assert rows[3]["average_precision"] == ""


def test_csv_of_accuracies(tmp_path):
    path = tmp_path / "per_class.csv"
    labels = np.arange(20) % 3
    per_class_csv(
        path,
        NAMES,
        SCORES,
        np.eye(4)[labels],
        COUNTS,
        multi_label=False,
        class_segments=["tail"] * 4,
    )
    rows = read(path)
    assert list(rows[0]) == ["class", "segment", "training_clips", "test_clips", "accuracy"]
    for label in range(3):
        hits = SCORES[labels == label].argmax(axis=1) == label
        assert float(rows[label]["accuracy"]) == pytest.approx(hits.mean(), abs=1e-6)
        assert rows[label]["segment"] == "tail"
    assert rows[3]["accuracy"] == ""


def test_csv_refuses_names_that_do_not_fit_and_writes_nothing(tmp_path):
    path = tmp_path / "per_class.csv"
    with pytest.raises(ValueError, match=r"class_names has shape \(3,\), expected \(4,\)"):
        per_class_csv(path, NAMES[:3], SCORES, TARGETS, COUNTS, multi_label=True)
    with pytest.raises(ValueError, match=r"train_counts has shape \(2,\), expected \(4,\)"):
        per_class_csv(path, NAMES, SCORES, TARGETS, COUNTS[:2], multi_label=True)
    assert not path.exists()


def test_table_of_one_result():
    lines = format_table({"clips": 6096, "mAP": 0.305512}, title="test").splitlines()
    assert lines[0] == "test"
    cells = [line.split() for line in lines]
    assert ["metric", "value"] in cells
    assert ["clips", "6096"] in cells
    assert ["mAP", "0.3055"] in cells
    assert lines[-1].index("0.3055") + 6 == lines[-2].index("6096") + 4  # Flush right.


def test_table_of_several_results():
    lines = format_table([{"run": "a", "top1": 0.5}, {"run": "b", "top5": np.float32(1)}])
    cells = [line.split() for line in lines.splitlines()]
    assert cells[0] == ["run", "top1", "top5"]
    assert cells[-2:] == [["a", "0.5000"], ["b", "1.0000"]]


def test_table_shows_names_as_they_are_and_in_full():
    name = "[bold]lion[/bold] :smile: " + "x" * 300
    text = format_table([{"class": name, "AP": float("nan")}])
    assert name in text
    assert "nan" not in text
    assert "\x1b" not in text


def test_empty_table_is_refused():
    with pytest.raises(ValueError, match="no values"):
        format_table({})
