"""Figures within groups of clips, against scikit-learn's on each group by itself."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score

from animal_clip_jax.evaluation.intervals import mean_ap_error, mean_ap_errors
from animal_clip_jax.evaluation.per_group import group_figures, group_mean_ap_errors

RANDOM = np.random.default_rng(3)
SIZES = {"lizard": 30, "water bird": 20, "horse": 9, "": 11}
GROUPS = RANDOM.permutation([name for name, size in SIZES.items() for _ in range(size)])
SCORES = RANDOM.standard_normal((70, 5))
LABELS = RANDOM.integers(0, 5, 70)
SEVERAL = RANDOM.random((70, 5)) < 0.3
SEVERAL[np.arange(70), LABELS] = True
SEVERAL[:, 4] &= GROUPS != "horse"  # a class that one of the groups does not show
SEVERAL[:, 0] |= ~SEVERAL.any(axis=1)


def test_accuracies_are_those_of_each_group_by_itself():
    found = group_figures(SCORES, np.eye(5)[LABELS], tuple(GROUPS), multi_label=False)
    accuracies = {
        name: accuracy_score(LABELS[name == GROUPS], SCORES[name == GROUPS].argmax(axis=1))
        for name in ("lizard", "water bird", "horse")
    }
    assert found == pytest.approx(
        {
            "top1_per_group": np.mean(list(accuracies.values())),
            **{f"top1_group_{name}": value for name, value in accuracies.items()},
            **{f"clips_group_{name}": SIZES[name] for name in accuracies},
        }
    )
    assert [name for name in found if name.startswith("clips")] == [
        "clips_group_lizard",
        "clips_group_water bird",
        "clips_group_horse",
    ]


def test_mean_average_precisions_are_over_the_classes_that_a_group_shows():
    found = group_figures(SCORES, SEVERAL, tuple(GROUPS), multi_label=True)
    expected = {}
    for name in ("lizard", "water bird", "horse"):
        inside = name == GROUPS
        expected[name] = np.mean(
            [
                average_precision_score(SEVERAL[inside, label], SCORES[inside, label])
                for label in range(5)
                if SEVERAL[inside, label].any()
            ]
        )
        assert found[f"mAP_group_{name}"] == pytest.approx(expected[name])
    assert not SEVERAL[GROUPS == "horse", 4].any()
    assert found["mAP_per_group"] == pytest.approx(np.mean(list(expected.values())))


def test_without_groups_there_is_nothing():
    none = ("",) * 70
    assert group_figures(SCORES, np.eye(5)[LABELS], none, multi_label=False) == {}
    assert group_mean_ap_errors(SCORES, SEVERAL, none) == {}


def test_errors_of_groups_are_those_of_their_clips_alone():
    found = group_mean_ap_errors(SCORES, SEVERAL, tuple(GROUPS))
    horse = GROUPS == "horse"
    alone = mean_ap_errors(SCORES[horse], SEVERAL[horse], np.array(["head"] * 5))
    assert found["mAP_group_horse_error"] == pytest.approx(alone["mAP_error"])
    assert mean_ap_error(SCORES[horse], SEVERAL[horse]) == pytest.approx(alone["mAP_error"])
    variances = [found[f"mAP_group_{name}_error"] ** 2 for name in SIZES if name]
    assert found["mAP_per_group_error"] == pytest.approx(np.sqrt(sum(variances)) / 3)
    assert len(found) == 4


def test_groups_that_do_not_fit():
    with pytest.raises(ValueError, match=r"groups has shape \(2,\), expected \(70,\): one a clip"):
        group_figures(SCORES, SEVERAL, ("a", "b"), multi_label=True)
