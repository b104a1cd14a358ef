"""Relation files: `animal<TAB>[action ids]<TAB>count`."""

from pathlib import Path

import numpy as np
import pytest

from data_pipeline.annotations.label_files import read_labels
from data_pipeline.annotations.record import AnnotationError
from data_pipeline.annotations.relation_file import read_relation

ACTIONS = ("eats", "sleeps", "runs")
ANIMALS = ("lion", "Russell's Viper", "fish")
HEAD = Path(__file__).parents[4] / "shared" / "annotations"


def test_lines_become_rows_of_the_matrix(tmp_path):
    path = tmp_path / "relation.txt"
    path.write_text("\ufeffRussell's Viper\t[2, 0]\t2\r\nLion\t[]\t0\n\n", encoding="utf-8")
    relation = read_relation(path, ACTIONS, ANIMALS)
    np.testing.assert_array_equal(relation, [[0, 0, 0], [1, 0, 1], [0, 0, 0]])
    assert relation.dtype == np.int64


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lion [0]\t1", "line 1: expected `animal<TAB>"),
        ("lion\t[0]\t2", "line 1: 1 actions are listed, 2 are announced"),
        ("lion\t[3]\t1", "line 1: the action id 3 is unknown"),
        ("tiger\t[0]\t1", "line 1: the animal 'tiger' is not among the 3"),
        ("lion\t[0]\t1\nlion\t[1]\t1", "line 2: the animal 'lion' has a line before"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, message):
    path = tmp_path / "relation.txt"
    path.write_text(line + "\n")
    with pytest.raises(AnnotationError, match=message):
        read_relation(path, ACTIONS, ANIMALS)


@pytest.mark.skipif(not HEAD.is_dir(), reason="the heads of the published files are not here")
def test_published_lines():
    actions = read_labels(HEAD / "behavior_to_id.csv")
    animals = read_labels(HEAD / "genus_to_id.csv")
    relation = read_relation(HEAD / "mammalnet_relation_head.txt", actions, animals)
    lines = (HEAD / "mammalnet_relation_head.txt").read_text().splitlines()
    assert relation.sum() == sum(int(line.split("\t")[2]) for line in lines if line.strip())
