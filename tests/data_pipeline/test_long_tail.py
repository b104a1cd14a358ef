"""Frequent and rare classes."""

import pytest

from data_pipeline.long_tail import segments


def test_segments_at_their_thresholds():
    found = segments([500, 499, 100, 99, 0, 24004])
    assert found.tolist() == ["head", "middle", "middle", "tail", "tail", "head"]
    assert segments([9, 5, 1], head=9, tail=2).tolist() == ["head", "middle", "tail"]


def test_segments_refuse_thresholds_that_cross_and_counts_that_are_none():
    with pytest.raises(ValueError, match="head is 5 and tail 10"):
        segments([1], head=5, tail=10)
    with pytest.raises(ValueError, match=r"train_counts holds -3 at \(1,\)"):
        segments([1, -3])
