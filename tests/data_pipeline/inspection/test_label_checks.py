"""The checks of annotations, against counts made by hand."""

import pytest
from made_annotations import EIDER, SCRIPT, annotations, clip

from data_pipeline.annotations.record import make_annotations
from data_pipeline.inspection.label_checks import check_labels
from data_pipeline.inspection.odd_names import odd_names
from data_pipeline.inspection.subject import of_annotations


@pytest.fixture(scope="module")
def found():
    subject = of_annotations("csv", "list.csv", annotations(notes=("the column x is not used",)))
    findings = check_labels(subject)
    kinds = [finding.kind for finding in findings]
    assert len(set(kinds)) == len(kinds)
    return {finding.kind: finding for finding in findings}


def rows(finding):
    return [tuple(row.values()) for row in finding.rows]


def test_labels_without_clips(found):
    assert rows(found["actions_without_clips"]) == [("Flying",)]
    assert rows(found["animals_without_clips"]) == [("Bat",)]
    lacking = found["actions_without_training_clips"]
    assert lacking.is_problem and lacking.rows == (
        {"action": "Resting", "train": 0, "test": 1, "val": 0},
    )
    # Five training clips show eating, and none of the test.
    assert rows(found["actions_not_in_test"]) == [("Eating", 4)]
    assert rows(found["animals_not_in_val"]) == [("Fox", 4), ("Boar", 1)]


def test_bouts_of_one_recording_in_two_splits(found):
    shared = found["recordings_in_two_splits"]
    assert shared.is_problem and rows(shared) == [("long.mp4", "train 1, test 1")]


def test_actions_that_are_not_those_of_the_pairs(found):
    disagreement = found["actions_and_pairs_disagree"]
    assert disagreement.is_problem and rows(disagreement) == [("d", "train", "Walking", "Resting")]


def test_what_training_has_not_seen(found):
    assert rows(found["animals_of_test_not_in_training"]) == [(EIDER, 1)]
    assert rows(found["animals_of_val_not_in_training"]) == [(SCRIPT, 1)]
    # A fox walks in training; a boar does not, and the eider is not there.
    assert sorted(rows(found["pairs_of_test_not_in_training"])) == [
        ("Boar", "Walking", 1),
        (EIDER, "Resting", 1),
    ]
    assert "of the 3 in 'test'" in found["pairs_of_test_not_in_training"].summary


def test_what_is_only_to_be_known(found):
    assert rows(found["clips_without_animals"]) == [("c", "train")]
    assert rows(found["repairs"]) == [("a comma too many", 2), ("no label", 1)]
    assert rows(found["notes"]) == [("the column x is not used",)]
    for kind in ("clips_without_animals", "repairs", "notes", "animals_of_test_not_in_training"):
        assert not found[kind].is_problem


def test_odd_names_are_problems_with_a_reason(found):
    assert found["odd_names"].is_problem
    assert {row["name"] for row in found["odd_names"].rows} == {EIDER, SCRIPT}


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (("train", "train"), "all clips are in 'train'"),
        (("test", "val"), "no split 'train', only test, val"),
    ],
)
def test_splits_that_nothing_can_be_trained_or_tested_with(splits, message):
    made = make_annotations(
        [clip(f"{k}.mp4", "Eating", "Fox", split) for k, split in enumerate(splits)],
        roots=["nowhere"],
        multi_label=False,
    )
    findings = check_labels(of_annotations("csv", "list.csv", made))
    assert [message in finding.summary and finding.is_problem for finding in findings] == [True]


def test_nothing_is_found_where_nothing_is_wrong():
    made = make_annotations(
        [clip(f"{split}{k}.mp4", "Eating", "", split) for split in ("train", "test") for k in "12"],
        roots=["nowhere"],
        multi_label=False,
    )
    assert check_labels(of_annotations("csv", "list.csv", made)) == []


@pytest.mark.parametrize(
    ("names", "odd"),
    [
        (("Mouse", "mouse", "Rat"), {"Mouse": "differs from mouse", "mouse": "differs from Mouse"}),
        (("Russell'", 'S Viper"]'), {'S Viper"]': "cut wrongly"}),
        (("Bird (small", "Bird (large)"), {"Bird (small": "cut wrongly"}),
        ((EIDER, "Common Eider"), {EIDER: "U+0421, CYRILLIC CAPITAL LETTER ES"}),
        (("P\u0430nda",), {"P\u0430nda": "U+0430, CYRILLIC SMALL LETTER A"}),
        # Whole words of another script, accents, joined names and Japanese are as they should be.
        (("Лисица (Fox)", "Père David's Deer", "Black-and-white Colobus", "アカギツネ狐"), {}),
        (("Keeping still, alert", "No. 5", "Sniffing/licking", "Attending & eating"), {}),
    ],
)
def test_which_names_are_odd(names, odd):
    found = dict(odd_names(names))
    assert found.keys() == odd.keys()
    for name, reason in odd.items():
        assert reason in found[name]
