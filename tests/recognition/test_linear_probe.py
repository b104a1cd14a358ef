"""The learned head against scikit-learn, and what it must not see."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from animal_clip_jax.recognition.linear_probe import (
    FOLDS,
    AnimalHead,
    fit_head,
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
    found = fit_head(seen, animals, NAMES, l2=L2).probabilities(seen)
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
    head = fit_head(more, np.concatenate([animals, np.zeros((50, 4), bool)]), NAMES, l2=L2)
    expected = fit_head(seen, animals, NAMES, l2=L2).probabilities(seen)
    np.testing.assert_allclose(head.probabilities(seen), expected, atol=2e-3)
    with pytest.raises(ValueError, match="no clip that it may learn from has one"):
        fit_head(seen, np.zeros_like(animals), NAMES, l2=L2)


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


def test_the_parts_are_alike_in_size():
    sizes = np.bincount([fold_of(f"AAA{index}") for index in range(5000)], minlength=FOLDS)
    assert len(sizes) == FOLDS and sizes.min() > 850


def test_other_labels(clips):
    seen, animals = clips
    head = fit_head(seen, animals, NAMES, l2=L2)
    found = head.for_animals(("Zebra", "Owl", "Fox")).probabilities(seen)
    zebra, fox = (head.probabilities(seen)[:, column] for column in (2, 0))
    assert not found[:, 1].any()
    np.testing.assert_allclose(found[:, 0] / found[:, 2], zebra / fox, rtol=1e-4)
    for unknown in ("Owl", "Bear"):  # a label that no clip shows is not known either
        with pytest.raises(ValueError, match=f"knows none of the 1 animals \\({unknown}, ...\\)"):
            head.for_animals((unknown,))


def test_it_comes_back_from_a_file(clips, tmp_path):
    head = fit_head(*clips, NAMES, l2=L2, settings="abc")
    head.save(tmp_path / "head.npz")
    found = AnimalHead.load(tmp_path / "head.npz")
    assert found[2:] == (NAMES, "abc")
    np.testing.assert_array_equal(found.kernel, head.kernel)
    assert [path.name for path in tmp_path.iterdir()] == ["head.npz"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"text"])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "head.npz").write_bytes(content)
    with pytest.raises(ValueError, match=f"{tmp_path}/head.npz: no head .* delete it"):
        AnimalHead.load(tmp_path / "head.npz")
