"""What animals take over from those with similar texts."""

import numpy as np
import pytest
import small_tower
import tiny
from hypothesis import given
from hypothesis import strategies as st

from animal_clip_jax.classes.context import text_tower
from animal_clip_jax.classes.similarity import own_edges, said_of, with_similar
from animal_clip_jax.classes.vocabulary import Labels, context_of_labels
from animal_clip_jax.models.class_context import ClassContext

RANDOM = np.random.default_rng(0)


NOBODY_ELSE = np.eye(6, dtype=bool)


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A relation of 4 actions and 6 animals, and features; the last animal does nothing."""
    random = np.random.default_rng(seed)
    relation = (random.random((4, 6)) < 0.4).astype(np.float32)
    relation[:, -1] = 0
    return relation, random.normal(size=(6, 8)).astype(np.float32)


@given(st.integers(0, 200), st.sampled_from([0.01, 0.1, 1.0, 100.0]))
def test_what_is_taken_over_is_a_mean_over_animals_that_do_something(seed, temperature):
    relation, features = drawn(seed)
    found = with_similar(relation, features, relation, features, NOBODY_ELSE, temperature)
    features = np.float64(features)
    for animal in range(6):
        weights = {}
        for other in range(6):
            if other != animal and relation[:, other].any():
                lengths = np.linalg.norm(features[animal]) * np.linalg.norm(features[other])
                cosine = float(features[animal] @ features[other]) / lengths
                weights[other] = np.exp((cosine - 1) / temperature)
        for action in range(4):
            expected = relation[action, animal]
            if weights:
                mean = sum(weights[b] * relation[action, b] for b in weights)
                expected = max(expected, mean / sum(weights.values()))
            assert found[action, animal] == pytest.approx(expected, rel=1e-4, abs=1e-6)


@given(st.integers(0, 200), st.sampled_from([1e-6, 0.05, 1e6]))
def test_what_is_known_can_be_told_from_what_is_taken_over(seed, temperature):
    relation, features = drawn(seed)
    relation[0, :-1] = 1  # all do it: nothing less than 1 would be a mean
    found = with_similar(relation, features, relation, features, NOBODY_ELSE, temperature)
    assert found.dtype == np.float32 and found.min() >= 0 and found.max() <= 1
    np.testing.assert_array_equal(own_edges(found), relation)
    # So taking over again, from what is known, is the same.
    known = own_edges(found)
    again = with_similar(known, features, known, features, NOBODY_ELSE, temperature)
    np.testing.assert_array_equal(again, found)
    assert "1 animals without edges of their own" in said_of(found)


def test_the_most_similar_decides_where_it_is_cold():
    relation, features = drawn(1)
    features[-1] = 3 * features[1]
    relation[:, 1] = [0, 1, 0, 1]
    found = with_similar(relation, features, relation, features, NOBODY_ELSE, 1e-3)
    np.testing.assert_allclose(found[:, -1], relation[:, 1], atol=1e-6)
    # And of animal 1 the last one would, if it did anything: now it is another.
    others = [animal for animal in range(6) if animal != 1 and relation[:, animal].any()]
    cosines = features @ features[1] / np.linalg.norm(features, axis=1)
    nearest = max(others, key=lambda animal: cosines[animal])
    expected = np.maximum(relation[:, 1], relation[:, nearest])
    np.testing.assert_allclose(found[:, 1], expected, atol=1e-6)


def test_an_animal_without_any_other_takes_over_nothing():
    relation = np.array([[1], [0]], np.float32)
    found = with_similar(relation, np.ones((1, 3)), relation, np.ones((1, 3)), np.eye(1) > 0, 0.1)
    np.testing.assert_array_equal(found, relation)


def test_where_nobody_does_anything_nothing_is_taken_over():
    for animals in (3, 0):
        nothing = np.zeros((2, animals), np.float32)
        features = np.ones((animals, 4), np.float32)
        np.testing.assert_array_equal(
            with_similar(nothing, features, nothing, features, np.eye(animals, dtype=bool), 1.0),
            nothing,
        )


NAMES = {"actions": "names", "animals": "names"}
TRAINED_LABELS = Labels(("Walking", "Eating"), ("Zebra", "Fox", "Owl"))
FEATURES = RANDOM.normal(size=(3, tiny.EMBED)).astype(np.float32)
KNOWN = np.array([[1, 1, 0], [0, 1, 0]], np.float32)
TRAINED = ClassContext(
    action_features=RANDOM.normal(size=(2, tiny.EMBED)).astype(np.float32),
    animal_features=FEATURES,
    relation=with_similar(KNOWN, FEATURES, KNOWN, FEATURES, np.eye(3, dtype=bool), 0.3),
)


def test_other_labels_take_over_from_the_animals_of_the_training():
    """Also from those that are not among the labels, and by the known edges alone."""
    tower = text_tower(small_tower.ARCHITECTURE, small_tower.model()[1])

    def made(labels: Labels, **arguments) -> ClassContext:
        return context_of_labels(
            tower,
            TRAINED,
            TRAINED_LABELS,
            labels,
            sources=NAMES,
            trained_sources=NAMES,
            **arguments,
        )

    np.testing.assert_array_equal(made(TRAINED_LABELS, similarity=0.3).relation, TRAINED.relation)
    np.testing.assert_array_equal(made(TRAINED_LABELS).relation, KNOWN)
    labels = Labels(("Grooming", "Walking"), ("Okapi", "Zebra"))
    found = made(labels, similarity=0.3)
    expected = with_similar(
        np.float32([[0, 0], [0, 1]]),
        found.animal_features,
        np.float32([[0, 0, 0], [1, 1, 0]]),
        FEATURES,
        np.array([[False] * 3, [True, False, False]]),
        0.3,
    )
    np.testing.assert_array_equal(found.relation, expected)
    assert not found.relation[0].any() and 0 < found.relation[1, 0] < 1
    given_edges = np.float32([[0, 1], [0, 0]])
    found = made(labels, similarity=0.3, relation=given_edges)
    np.testing.assert_allclose(found.relation, [[1, 1], [0, 0]], atol=1e-6)
    assert own_edges(found.relation).tolist() == given_edges.tolist()
