"""Confusions and mistakes against scikit-learn and brute force."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from animal_clip_jax.evaluation.mistakes import (
    confusion_counts,
    predicted_actions,
    worst_mistakes,
)


def _single(clips: int = 200, classes: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    scores = random.random((clips, classes)).round(1)  # with ties
    labels = random.integers(0, classes - 1, clips)  # the last class has no clip
    return scores, np.eye(classes, dtype=int)[labels], labels


def _several() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    targets = (random.random((60, 6)) < 0.3).astype(int)
    targets[0] = 0
    targets[1] = 1
    return random.random((60, 6)), targets


def test_confusions_of_single_labels_are_scikit_learns():
    scores, targets, labels = _single()
    expected = confusion_matrix(labels, scores.argmax(axis=1), labels=range(7))
    np.testing.assert_array_equal(confusion_counts(scores, targets), expected)


def test_as_many_actions_are_predicted_as_a_clip_is_annotated_with():
    scores, targets = _several()
    predicted = predicted_actions(scores, targets)
    for of_clip, shown, found in zip(scores, targets, predicted, strict=True):
        best = sorted(range(6), key=lambda action: -of_clip[action])[: shown.sum()]
        assert set(np.flatnonzero(found)) == set(best)


def test_co_occurrences_are_counted_pair_by_pair():
    scores, targets = _several()
    predicted = predicted_actions(scores, targets)
    counts = confusion_counts(scores, targets)
    for annotated in range(6):
        for other in range(6):
            pairs = sum(
                bool(shown[annotated]) and bool(found[other])
                for shown, found in zip(targets, predicted, strict=True)
            )
            assert counts[annotated, other] == pairs


@pytest.mark.parametrize("number", [0, 5, 1000])
def test_the_worst_mistakes_are_those_of_a_search_through_all_clips(number):
    scores, targets = _several()
    predicted = predicted_actions(scores, targets)
    found = []
    for clip in range(len(scores)):
        wrong = [
            (scores[clip, action], action)
            for action in range(6)
            if predicted[clip, action] and not targets[clip, action]
        ]
        if wrong:
            score, action = max(wrong)
            found.append((score, clip, action))
    expected = [(clip, action, score) for score, clip, action in sorted(found, reverse=True)]
    assert worst_mistakes(scores, targets, number) == expected[:number]


def test_no_clip_of_single_labels_that_is_right_is_a_mistake():
    scores, targets, labels = _single()
    mistakes = worst_mistakes(scores, targets, 1000)
    wrong = np.flatnonzero(scores.argmax(axis=1) != labels)
    assert sorted(mistake.clip for mistake in mistakes) == wrong.tolist()
    assert worst_mistakes(targets.astype(float), targets, 10) == []
