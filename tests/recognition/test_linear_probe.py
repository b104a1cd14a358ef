"""The linear probe against scikit-learn, and what it must not see."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from animal_clip_jax.errors import UserError
from animal_clip_jax.recognition.linear_probe import (
    FOLDS,
    LinearProbe,
    fit_linear_probe,
    fold_of,
    held_out_probabilities,
)

CLIPS, WIDTH, NAMES, L2 = 300, 8, ("Fox", "Crane", "Zebra", "Bear"), 1e-2


@pytest.fixture(scope="module")
def clips() -> tuple[np.ndarray, np.ndarray]:
    """Features of unit length, and animals: some clips have two, none has a bear."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, CLIPS)
    seen = random.normal(size=(4, WIDTH))[labels] + random.normal(size=(CLIPS, WIDTH))
    seen = (seen / np.linalg.norm(seen, axis=1, keepdims=True)).astype(np.float32)
    animals = np.eye(4, dtype=bool)[labels]
    animals[::7, 0] = True
    return seen, animals


def test_it_is_scikit_learns_softmax_regression(clips):
    seen, animals = clips
    found = fit_linear_probe(seen, animals, NAMES, l2=L2).probabilities(seen)
    centred = seen - seen.mean(axis=0)
    centred /= np.sqrt(np.mean(centred**2))
    rows, labels = np.nonzero(animals)
    theirs = LogisticRegression(C=1 / (CLIPS * L2), tol=1e-8, max_iter=5000)
    theirs.fit(centred[rows], labels, sample_weight=1 / animals.sum(axis=1)[rows])
    np.testing.assert_allclose(found[:, :3], theirs.predict_proba(centred), atol=2e-3)
    assert not found[:, 3].any()  # never shown
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_clips_without_an_animal_are_left_out(clips):
    seen, animals = clips
    more = np.concatenate([seen, seen[:50] * 0 + 1]).astype(np.float32)
    probe = fit_linear_probe(more, np.concatenate([animals, np.zeros((50, 4), bool)]), NAMES, l2=L2)
    expected = fit_linear_probe(seen, animals, NAMES, l2=L2).probabilities(seen)
    np.testing.assert_allclose(probe.probabilities(seen), expected, atol=2e-3)
    with pytest.raises(ValueError, match="no clip that it may learn from has one"):
        fit_linear_probe(seen, np.zeros_like(animals), NAMES, l2=L2)


def test_what_is_held_out_does_not_depend_on_the_clips_own_labels(clips):
    seen, animals = clips
    names = [f"clip {index}" for index in range(CLIPS)]
    before = held_out_probabilities(seen, animals, names, NAMES, l2=L2)
    inside = np.array([fold_of(name) == 2 for name in names])
    changed = animals.copy()
    changed[inside] = np.roll(animals[inside], 1, axis=1)
    after = held_out_probabilities(seen, changed, names, NAMES, l2=L2)
    np.testing.assert_array_equal(after[inside], before[inside])
    assert np.abs(after - before).max() > 0.01


def test_what_is_held_out_is_scikit_learns_softmax_regression_of_the_other_parts(clips):
    seen, animals = clips
    names = [f"clip {index}" for index in range(CLIPS)]
    found = held_out_probabilities(seen, animals, names, NAMES, l2=L2)
    parts = np.array([fold_of(name) for name in names])
    for part in range(FOLDS):
        others = parts != part
        centre = seen[others].mean(axis=0)
        scale = np.sqrt(np.mean((seen[others] - centre) ** 2))
        rows, labels = np.nonzero(animals[others])
        theirs = LogisticRegression(C=1 / (others.sum() * L2), tol=1e-8, max_iter=5000)
        theirs.fit(
            ((seen[others] - centre) / scale)[rows],
            labels,
            sample_weight=1 / animals[others].sum(axis=1)[rows],
        )
        expected = theirs.predict_proba((seen[~others] - centre) / scale)
        np.testing.assert_allclose(found[~others, :3], expected, atol=2e-3)
    assert not found[:, 3].any()  # never shown


@pytest.mark.parametrize("top_k", [1, 2])
def test_what_is_held_out_is_shared_among_the_likeliest_animals(clips, top_k):
    seen, animals = clips
    names = [f"clip {index}" for index in range(CLIPS)]
    of_all = held_out_probabilities(seen, animals, names, NAMES, l2=L2).astype(np.float64)
    expected = np.zeros_like(of_all)
    for row, probabilities in enumerate(of_all):
        best = sorted(range(4), key=lambda animal: -probabilities[animal])[:top_k]
        expected[row, best] = probabilities[best] / probabilities[best].sum()
    found = held_out_probabilities(seen, animals, names, NAMES, l2=L2, top_k=top_k)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_the_parts_are_alike_in_size():
    sizes = np.bincount([fold_of(f"AAA{index}") for index in range(5000)], minlength=FOLDS)
    assert len(sizes) == FOLDS and sizes.min() > 850


def test_other_labels(clips):
    seen, animals = clips
    probe = fit_linear_probe(seen, animals, NAMES, l2=L2)
    found = probe.for_animals(("Zebra", "Owl", "Fox")).probabilities(seen)
    zebra, fox = (probe.probabilities(seen)[:, column] for column in (2, 0))
    assert not found[:, 1].any()
    np.testing.assert_allclose(found[:, 0] / found[:, 2], zebra / fox, rtol=1e-4)
    for unknown in ("Owl", "Bear"):  # a label that no clip shows is not known either
        with pytest.raises(ValueError, match=f"knows none of the 1 animals \\({unknown}, ...\\)"):
            probe.for_animals((unknown,))


def test_it_comes_back_from_its_bytes(clips):
    probe = fit_linear_probe(*clips, NAMES, l2=L2, settings="abc")
    found = LinearProbe.from_bytes(probe.to_bytes(), "probe.npz")
    assert found[2:] == (NAMES, "abc")
    np.testing.assert_array_equal(found.kernel, probe.kernel)
    np.testing.assert_array_equal(found.bias, probe.bias)
    assert found.kernel.dtype == found.bias.dtype == np.float32


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"text"])
def test_a_damaged_file_is_named(content):
    with pytest.raises(UserError, match="some/probe.npz: no linear probe .* delete it"):
        LinearProbe.from_bytes(content, "some/probe.npz")


def test_a_file_that_is_cut_short_or_not_whole_is_named(clips):
    probe = fit_linear_probe(*clips, NAMES, l2=L2)
    content = probe.to_bytes()
    with pytest.raises(UserError, match="some/probe.npz: no linear probe .* delete it"):
        LinearProbe.from_bytes(content[: len(content) // 2], "some/probe.npz")
    for damaged in (
        probe._replace(bias=probe.bias[:3]),
        probe._replace(kernel=probe.kernel[:, :3]),
        probe._replace(animal_names=NAMES[:3]),
    ):
        with pytest.raises(UserError, match="some/probe.npz: kernel .* do not fit each other"):
            LinearProbe.from_bytes(damaged.to_bytes(), "some/probe.npz")
