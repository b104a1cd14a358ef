import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import (
    average_precision_score,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from animal_clip_jax.evaluation import metrics

# Few distinct values: ties everywhere.
TIED = st.integers(-2, 2).map(lambda value: value / 4)
FINITE = st.floats(-1e6, 1e6, allow_nan=False)


@st.composite
def scores_and_targets(draw, elements=TIED | FINITE, min_classes=1, labelled=False):
    clips = draw(st.integers(1, 12))
    classes = draw(st.integers(min_classes, 8))
    scores = draw(arrays.arrays(np.float64, (clips, classes), elements=elements))
    targets = draw(arrays.arrays(np.int64, (clips, classes), elements=st.integers(0, 1)))
    if labelled:
        labels = draw(st.lists(st.integers(0, classes - 1), min_size=clips, max_size=clips))
        targets[np.arange(clips), labels] = 1
    return scores, targets


def one_hot(labels, classes):
    return np.eye(classes, dtype=np.int64)[np.asarray(labels)]


def random_split(seed, clips=60, classes=9, animals=4, multi_label=True):
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((clips, classes))
    actions = one_hot(rng.integers(classes, size=clips), classes)
    if multi_label:
        actions |= rng.random((clips, classes)) < 0.15
    return scores, actions, one_hot(rng.integers(animals, size=clips), animals)


# --- Average precision


@given(scores_and_targets())
@settings(max_examples=200)
def test_average_precisions_equal_scikit_learn_also_with_ties(split):
    scores, targets = split
    found = metrics.average_precisions(scores, targets)
    for label, value in enumerate(found):
        if targets[:, label].any():
            expected = average_precision_score(targets[:, label], scores[:, label])
            assert value == pytest.approx(expected, abs=1e-12)
        else:
            assert np.isnan(value)


def test_mean_average_precision_equals_scikit_learn_over_the_classes_with_a_positive():
    scores, targets, _ = random_split(0)
    targets[:, 4] = 0
    present = np.arange(9) != 4
    expected = average_precision_score(targets[:, present], scores[:, present], average="macro")
    assert metrics.mean_average_precision(scores, targets) == pytest.approx(expected, abs=1e-12)


def test_average_precision_of_equal_scores_is_the_share_of_positives():
    targets = np.array([[1, 0], [0, 1], [0, 1], [0, 1]])
    np.testing.assert_allclose(
        metrics.average_precisions(np.zeros((4, 2)), targets), [0.25, 0.75], atol=1e-15
    )


@given(scores_and_targets(), st.randoms(use_true_random=False))
def test_average_precision_depends_neither_on_order_nor_on_scale(split, random):
    scores, targets = split
    order = list(range(len(scores)))
    random.shuffle(order)
    np.testing.assert_allclose(
        metrics.average_precisions(scores[order] * 4, targets[order]),
        metrics.average_precisions(scores, targets),
        atol=1e-12,
    )


def test_scores_in_half_precision_are_ranked_as_they_are():
    scores, targets, _ = random_split(1)
    half = scores.astype(np.float16)
    assert metrics.mean_average_precision(half, targets) == metrics.mean_average_precision(
        half.astype(np.float64), targets
    )


def test_animal_kingdom_takes_less_than_a_second():
    rng = np.random.default_rng(0)
    scores, targets = rng.random((6096, 140)), rng.random((6096, 140)) < 0.02
    start = time.process_time()
    metrics.average_precisions(scores, targets)
    assert time.process_time() - start < 1


def test_no_positive_at_all_is_refused():
    with pytest.raises(ValueError, match="none of the classes has a positive clip"):
        metrics.mean_average_precision(np.zeros((2, 3)), np.zeros((2, 3)))


# --- Accuracy


@pytest.mark.parametrize("k", [1, 3, 5])
def test_top_k_accuracy_of_single_labels_equals_scikit_learn(k):
    scores, targets, _ = random_split(2, multi_label=False)
    expected = top_k_accuracy_score(targets.argmax(axis=1), scores, k=k, labels=range(9))
    assert metrics.top_k_accuracy(scores, targets, k) == pytest.approx(expected, abs=1e-15)


@given(scores_and_targets(labelled=True), st.data())
def test_top_k_accuracy_by_counting_the_classes_that_stand_before_a_label(split, data):
    scores, targets = split
    k = data.draw(st.integers(1, scores.shape[1]))
    hits = 0
    for row, labels in zip(scores, targets, strict=True):
        hits += any(
            sum(other > row[label] for other in row) + sum(row[:label] == row[label]) < k
            for label in np.flatnonzero(labels)
        )
    assert metrics.top_k_accuracy(scores, targets, k) == pytest.approx(hits / len(scores))


@given(scores_and_targets(elements=TIED))
def test_the_best_class_is_that_of_argmax(split):
    scores, _ = split
    np.testing.assert_array_equal(metrics.top_k(scores, 1)[:, 0], scores.argmax(axis=1))


@given(scores_and_targets(labelled=True))
def test_top_k_accuracy_grows_with_k_to_one(split):
    scores, targets = split
    values = [metrics.top_k_accuracy(scores, targets, k + 1) for k in range(scores.shape[1])]
    assert values == sorted(values)
    assert values[-1] == 1


@pytest.mark.parametrize("k", [0, 4])
def test_k_outside_the_classes_is_refused(k):
    with pytest.raises(ValueError, match=f"k is {k}, expected 1 to 3"):
        metrics.top_k(np.zeros((2, 3)), k)


def test_class_accuracies_are_the_recalls_of_scikit_learn():
    scores, targets, _ = random_split(3, multi_label=False)
    _, recall, _, _ = precision_recall_fscore_support(
        targets.argmax(axis=1), scores.argmax(axis=1), labels=range(9), zero_division=0
    )
    np.testing.assert_allclose(metrics.class_accuracies(scores, targets), recall, atol=1e-15)
    empty = metrics.class_accuracies(scores, np.where(np.arange(9) == 2, 0, targets))
    assert np.isnan(empty[2])
    assert not np.isnan(np.delete(empty, 2)).any()


# --- Precision, recall, F1


def sklearn_at_k(scores, targets, k, per_class):
    predicted = np.zeros_like(targets)
    for row, best in zip(predicted, np.argsort(-scores, axis=1, kind="stable"), strict=True):
        row[best[:k]] = 1
    labels = np.flatnonzero(targets.any(axis=0)) if per_class else None
    return precision_recall_fscore_support(
        targets,
        predicted,
        labels=labels,
        average="macro" if per_class else "micro",
        zero_division=0,
    )[:3]


@given(scores_and_targets(min_classes=5, elements=TIED), st.sampled_from([3, 5]), st.booleans())
@settings(max_examples=150)
def test_precision_recall_and_f1_equal_scikit_learn(split, k, per_class):
    scores, targets = split
    assume(targets.any())
    found = metrics.precision_recall_f1_at_k(scores, targets, k, per_class=per_class)
    np.testing.assert_allclose(found, sklearn_at_k(scores, targets, k, per_class), atol=1e-12)


def test_overall_and_per_class_figures_by_hand():
    scores = np.array([[4, 3, 2, 1], [4, 3, 2, 1]])
    targets = np.array([[1, 0, 0, 1], [0, 1, 0, 0]])
    # Predicted at 3: classes 0, 1, 2 of both clips. Labels of classes 0, 1, 3; class 2 has none.
    overall = metrics.precision_recall_f1_at_k(scores, targets, 3)
    np.testing.assert_allclose(overall, (2 / 6, 2 / 3, 4 / 9))
    per_class = metrics.precision_recall_f1_at_k(scores, targets, 3, per_class=True)
    np.testing.assert_allclose(per_class, (1 / 3, 2 / 3, 4 / 9))


@given(scores_and_targets(min_classes=5, labelled=True))
def test_nothing_given_is_modified(split):
    scores, targets = split
    before = scores.copy(), targets.copy()
    animals = np.ones((len(scores), 2), dtype=np.int64)
    relation = np.ones((2, scores.shape[1]), dtype=np.int64)
    metrics.summarise(scores, targets, animals, relation, targets.sum(axis=0), multi_label=True)
    np.testing.assert_array_equal(scores, before[0])
    np.testing.assert_array_equal(targets, before[1])


# --- Segments


def test_metrics_of_segments():
    scores, targets, _ = random_split(4)
    names = np.array(["head"] * 3 + ["tail"] * 6)
    found = metrics.segment_metrics(scores, targets, names, multi_label=True)
    assert list(found) == ["head", "tail"]
    expected = average_precision_score(targets[:, 3:], scores[:, 3:], average="macro")
    assert found["tail"] == pytest.approx(expected, abs=1e-12)

    scores, targets, _ = random_split(5, multi_label=False)
    found = metrics.segment_metrics(scores, targets, names, multi_label=False)
    labels, best = targets.argmax(axis=1), scores.argmax(axis=1)
    assert found["head"] == pytest.approx(np.mean(labels[labels < 3] == best[labels < 3]))


def test_unknown_segment_is_refused():
    with pytest.raises(ValueError, match="class_segments holds 'Head'"):
        metrics.segment_metrics(np.eye(2), np.eye(2), ["Head", "tail"], multi_label=True)


# --- Animals


def test_inconsistency_by_brute_force():
    scores, _, animals = random_split(6)
    rng = np.random.default_rng(6)
    animals[:10, 0] = 1  # Some clips now have two animals.
    animals[10:15] = 0
    relation = rng.integers(0, 2, size=(4, 9)) * rng.integers(1, 50, size=(4, 9))
    relation[3] = 0  # The graph knows nothing of the last animal.
    denied = []
    for row, present in zip(scores, animals, strict=True):
        if present.sum() == 1 and present[3] == 0:
            allowed = relation[list(present).index(1)]
            denied += [allowed[label] == 0 for label in sorted(range(9), key=lambda i: -row[i])[:5]]
    assert metrics.inconsistency(scores, animals, relation) == pytest.approx(np.mean(denied))


def test_inconsistency_bounds():
    scores, animals = np.eye(3, 6), np.eye(3, dtype=int)
    assert metrics.inconsistency(scores, animals, np.ones((3, 6))) == 0
    only_the_last = np.zeros((3, 6))
    only_the_last[:, 5] = 1
    assert metrics.inconsistency(scores, animals, only_the_last) == 1
    assert metrics.inconsistency(scores, np.ones((3, 3)), np.ones((3, 6))) is None
    assert metrics.inconsistency(scores, animals, np.zeros((3, 6))) is None


def test_accuracy_per_animal_by_brute_force():
    scores, actions, animals = random_split(7)
    animals[:20, 1] = 1
    animals[:, 3] = 0
    hits = [actions[clip, best] for clip, best in enumerate(scores.argmax(axis=1))]
    means = [
        np.mean([hit for hit, present in zip(hits, column, strict=True) if present])
        for column in animals.T
        if column.any()
    ]
    assert len(means) == 3
    assert metrics.accuracy_per_animal(scores, actions, animals) == pytest.approx(np.mean(means))
    assert metrics.accuracy_per_animal(scores, actions, np.zeros_like(animals)) is None


def test_novelty_of_clips_with_one_animal():
    #                    eats runs
    relation = np.array([[3, 0], [1, 2], [0, 0]])
    actions = np.array([[1, 0], [0, 1], [1, 1], [1, 1], [1, 0], [1, 0]])
    animals = one_hot([0, 0, 0, 1, 2, 0], 3)
    animals[5] = 0
    assert metrics.novelty_groups(actions, animals, relation).tolist() == [
        "seen_pair", "unseen_pair", "unseen_pair", "seen_pair", "unseen_animal", "no_animal",
    ]  # fmt: skip


def test_novelty_where_all_actions_are_new():
    """The first animal did something else in training, the second was never there."""
    relation, actions, animals = np.zeros((2, 2)), one_hot([0, 1], 2), one_hot([0, 1], 2)
    assert metrics.novelty_groups(actions, animals, relation, [7, 0]).tolist() == [
        "unseen_pair", "unseen_animal",
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"seen_animals has shape \(3,\), expected \(2,\)"):
        metrics.novelty_groups(actions, animals, relation, [1, 1, 1])


def test_novelty_of_clips_with_several_animals():
    #                 hunts flees rests
    relation = np.array([[5, 0, 1], [0, 7, 0], [0, 0, 0]])
    cheetah_and_gazelle, with_a_stranger = [1, 1, 0], [1, 0, 1]
    actions = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 1], [1, 0, 0]])
    animals = np.array([cheetah_and_gazelle] * 4 + [with_a_stranger])
    assert metrics.novelty_groups(actions, animals, relation).tolist() == [
        "seen_pair", "unseen_pair", "seen_pair", "unseen_pair", "unseen_animal",
    ]  # fmt: skip


@given(st.data())
def test_a_clip_is_seen_when_some_of_its_seen_pairs_cover_it(data):
    bits = st.integers(0, 1)
    relation = data.draw(arrays.arrays(np.int64, (3, 3), elements=bits))
    actions = data.draw(arrays.arrays(np.int64, (1, 3), elements=bits))
    animals = data.draw(arrays.arrays(np.int64, (1, 3), elements=bits))
    assume(actions.any() and animals.any())
    shown = [
        (animal, action)
        for animal in np.flatnonzero(animals[0])
        for action in np.flatnonzero(actions[0])
    ]
    # Whatever was performed, if all of it occurred in training, lies within these pairs.
    occurred = [pair for pair in shown if relation[pair]]
    covers = {animal for animal, _ in occurred} == set(np.flatnonzero(animals[0])) and {
        action for _, action in occurred
    } == set(np.flatnonzero(actions[0]))
    group = metrics.novelty_groups(actions, animals, relation)[0]
    assert (group == "seen_pair") == covers
    if len(occurred) == len(shown):
        assert group == "seen_pair"
    stranger = any(not relation[animal].any() for animal in np.flatnonzero(animals[0]))
    assert (group == "unseen_animal") == stranger


# --- Everything together


def test_summary_of_a_multi_label_split():
    scores, actions, animals = random_split(8)
    relation = np.random.default_rng(8).integers(0, 2, size=(4, 9))
    relation[3] = 0
    counts = np.array([600, 550, 100, 300, 5, 6, 7, 499, 500])
    summary = metrics.summarise(scores, actions, animals, relation, counts, multi_label=True)
    at_k = [
        f"{name}_at_{k}{suffix}"
        for k in (3, 5)
        for suffix in ("", "_per_class")
        for name in ("precision", "recall", "f1")
    ]
    groups = ["seen_pairs", "unseen_pairs", "unseen_animals"]
    assert sorted(summary) == sorted(
        ["clips", "top1", "top5", "mAP", "mAP_head", "mAP_middle", "mAP_tail", "top1_per_animal"]
        + ["inconsistency", "chance", "chance_mAP", *at_k]
        + [f"{name}_{group}" for name in ("top1", "clips") for group in groups]
    )
    assert summary["clips"] == 60
    assert summary["mAP"] == pytest.approx(average_precision_score(actions, scores), abs=1e-12)
    assert summary["f1_at_3"] == pytest.approx(sklearn_at_k(scores, actions, 3, False)[2])
    assert summary["recall_at_5_per_class"] == pytest.approx(
        sklearn_at_k(scores, actions, 5, True)[1]
    )
    assert summary["chance_mAP"] == pytest.approx(
        average_precision_score(actions, np.zeros_like(scores))
    )
    # The groups divide the clips, so top-1 is their weighted mean.
    assert sum(summary[f"clips_{group}"] for group in groups) == 60
    assert sum(
        summary[f"clips_{group}"] * summary[f"top1_{group}"] for group in groups
    ) == pytest.approx(60 * summary["top1"])
    assert summary["clips_unseen_animals"] == animals[:, 3].sum()


def test_segments_of_the_data_come_before_those_by_counts():
    scores, actions, animals = random_split(8)
    own = np.array(["tail"] * 2 + ["middle"] * 7)
    summary = metrics.summarise(
        scores, actions, animals, np.ones((4, 9)), np.full(9, 600), True, class_segments=own
    )
    assert summary["mAP_tail"] == pytest.approx(
        average_precision_score(actions[:, :2], scores[:, :2], average="macro")
    )
    assert "mAP_head" not in summary


def test_summary_of_a_single_label_split_leaves_out_what_it_cannot_say():
    actions, animals = one_hot([0, 1, 2, 0], 4), np.zeros((4, 2), dtype=int)
    summary = metrics.summarise(
        np.eye(4), actions, animals, np.ones((2, 4)), [700, 5, 9, 0], multi_label=False
    )
    assert summary["top1"] == 0.75
    assert summary["chance"] == 0.25
    assert summary["top1_head"] == 0.5
    assert summary["top1_tail"] == 1
    assert not summary.keys() & {
        "top5", "f1_at_5", "inconsistency", "top1_middle", "mAP_head", "top1_per_animal",
        "top1_seen_pairs", "clips_seen_pairs",
    }  # fmt: skip
    assert not np.isnan(list(summary.values())).any()


def test_chance_is_the_accuracy_of_random_scores():
    rng = np.random.default_rng(0)
    _, actions, animals = random_split(10, clips=20_000)
    scores = rng.random(actions.shape)
    summary = metrics.summarise(scores, actions, animals, np.ones((4, 9)), np.ones(9), True)
    assert summary["top1"] == pytest.approx(summary["chance"], abs=0.015)
    assert summary["mAP"] == pytest.approx(summary["chance_mAP"], abs=0.015)


@pytest.mark.parametrize("classes", [2, 3, 4, 5])
def test_figures_at_k_need_k_classes(classes):
    scores, actions, animals = random_split(11, classes=classes)
    relation, counts = np.ones((4, classes)), np.ones(classes)
    summary = metrics.summarise(scores, actions, animals, relation, counts, True)
    assert ("f1_at_3" in summary) == (classes >= 3)
    for name in ("top5", "f1_at_5", "inconsistency"):
        assert (name in summary) == (classes >= 5)


def test_chance_of_map_leaves_out_classes_without_a_positive():
    actions = one_hot([0, 1, 1, 1], 4)
    summary = metrics.summarise(
        np.eye(4), actions, np.zeros((4, 1)), np.ones((1, 4)), np.ones(4), False
    )
    assert summary["chance"] == 0.25
    assert summary["chance_mAP"] == 0.5


# --- Bad input


def valid():
    return dict(
        scores=np.zeros((3, 5)),
        actions=one_hot([0, 1, 2], 5),
        animals=one_hot([0, 1, 1], 2),
        relation_counts=np.ones((2, 5)),
        train_counts=np.ones(5),
        multi_label=False,
    )


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("scores", np.zeros((3, 4)), r"targets has shape \(3, 5\), expected \(3, 4\)"),
        ("scores", np.zeros((0, 5)), r"scores have shape \(0, 5\)"),
        ("scores", np.zeros(5), r"scores have shape \(5,\), expected \(clips, classes\)"),
        (
            "scores",
            np.where(np.arange(15).reshape(3, 5) == 7, np.nan, 0),
            "1 of 15 scores are not finite, the first at clip 1, class 2: nan",
        ),
        ("scores", np.full((3, 5), np.inf), "15 of 15 scores are not finite"),
        ("actions", np.full((3, 5), 0.5), "hold 0.5 at clip 0, label 0; expected 0 or 1"),
        ("actions", np.eye(3, 5) * np.nan, "hold nan at clip 0, label 0"),
        ("actions", np.zeros((3, 5)), "clip 0 has 0 labels, expected exactly one"),
        ("actions", np.ones((3, 5)), "clip 0 has 5 labels, expected exactly one"),
        ("animals", np.zeros((4, 2)), r"animals have shape \(4, 2\), expected \(3, labels\)"),
        ("relation_counts", np.ones((5, 2)), r"shape \(5, 2\), expected \(2, 5\)"),
        ("relation_counts", -np.ones((2, 5)), r"holds -1.0 at \(0, 0\)"),
        ("relation_counts", np.full((2, 5), np.nan), r"holds nan at \(0, 0\)"),
        ("train_counts", np.ones(4), r"train_counts has shape \(4,\), expected \(5,\)"),
    ],
)
def test_bad_input_is_named(field, value, message):
    with pytest.raises(ValueError, match=message) as error:
        metrics.summarise(**{**valid(), field: value})
    assert "\n" not in str(error.value)


def test_clip_without_a_label_is_refused_for_multi_label_too():
    actions = valid()["actions"]
    actions[1] = 0
    with pytest.raises(ValueError, match=r"clip 1 has 0 labels, expected at least one \(1 of 3"):
        metrics.summarise(**{**valid(), "actions": actions, "multi_label": True})
