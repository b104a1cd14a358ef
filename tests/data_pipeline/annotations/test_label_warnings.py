"""What is said of labels that are probably not meant."""

from data_pipeline.annotations.label_warnings import MOST_WARNINGS, label_warnings
from data_pipeline.annotations.record import make_annotations, make_clip


def test_look_alikes_and_classes_without_training_clips_are_named():
    clips = [
        make_clip(name, actions=actions, animals=animals, split=split, source="")
        for name, actions, animals, split in (
            ("a", ["Grooming", "Stand up"], ["Macaque"], "train"),
            ("b", ["grooming"], ["Macaques"], "train"),
            ("c", ["Stand-up", "Urinating"], ["Panda"], "test"),
        )
    ]
    annotations = make_annotations(clips, roots=["videos"], multi_label=True)
    lines = list(label_warnings(annotations))
    assert [line for line in lines if "look like one" in line] == [
        "the actions 'Grooming', 'grooming' look like one, and each is a class of its own; "
        "--merge_labels=FILE makes one of them",
        "the actions 'Stand up', 'Stand-up' look like one, and each is a class of its own; "
        "--merge_labels=FILE makes one of them",
        "the animals 'Macaque', 'Macaques' look like one, and each is a class of its own; "
        "--merge_labels=FILE makes one of them",
    ]
    assert "2 of 5 actions are in no training clip: 'Stand-up', 'Urinating'" in lines
    assert "1 of 3 animals are in no training clip: 'Panda'" in lines


def test_clean_labels_are_passed_over_and_many_warnings_are_counted():
    clip = make_clip("a", actions=["Run"], animals=["Fox", "Wolf"], split="train", source="")
    annotations = make_annotations([clip], roots=["videos"], multi_label=False)
    assert not list(label_warnings(annotations))
    pairs = [f"{word}{number}" for number in range(MOST_WARNINGS + 3) for word in ("Run", "run")]
    clip = make_clip("a", actions=pairs, animals=[], split="train", source="")
    lines = list(label_warnings(make_annotations([clip], roots=["videos"], multi_label=True)))
    assert len(lines) == MOST_WARNINGS + 1 and lines[-1] == "and 3 more of such actions"
