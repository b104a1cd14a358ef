"""Labels that become others, as a file of `from,to` says."""

import pytest

from data_pipeline.annotations.datasets import read_annotations

CLIPS = (
    "video,animals,actions\n"
    "a.mp4,Macaques;Fox,Grooming;grooming\n"
    "b.mp4,Macaque,Running\n"
    "c.mp4,macaque,Walking\n"
)


def read(folder, merges, **arguments):
    (folder / "clips.csv").write_text(CLIPS)
    (folder / "merge.csv").write_text(merges)
    return read_annotations("csv", folder, merge_labels=folder / "merge.csv", **arguments)


def test_actions_and_animals_become_others(tmp_path):
    merges = "from,to\nMacaques,Macaque\nmacaque,Macaque\ngrooming,Grooming\nWalking,Moving\n"
    annotations = read(tmp_path, merges)
    assert annotations.animal_names == ("Fox", "Macaque")
    assert annotations.action_names == ("Grooming", "Running", "Moving")
    first = annotations.clips[0]
    assert (first.actions, first.animals) == (("Grooming",), ("Macaque", "Fox"))
    assert first.performed == (("Macaque", "Grooming"), ("Fox", "Grooming"))
    # Merged, each clip has one action, and the advice is for that.
    assert not annotations.multi_label
    assert any("each clip has one action" in note for note in annotations.notes)
    assert any("'Walking' -> 'Moving'" in note for note in annotations.notes)


def test_a_merged_label_can_be_pinned(tmp_path):
    labels = tmp_path / "actions.csv"
    labels.write_text("id,name\n0,Moving\n1,Running\n2,grooming\n3,Grooming\n")
    annotations = read(tmp_path, "To;From\nMoving;Walking\n", action_labels=labels)
    assert annotations.action_names == ("Moving", "Running", "grooming", "Grooming")
    assert annotations.clips[2].actions == ("Moving",)


@pytest.mark.parametrize(
    ("merges", "message"),
    [
        ("from,to\nMacaqes,Macaque\n", "line 2: .* animal 'Macaqes'; did you mean Macaques?"),
        ("from,to\nFox,Fox\n", "line 2: 'Fox' becomes itself"),
        ("from,to\nFox,Dog\nFox,Cat\n", "line 3: 'Fox' becomes 'Cat' here, and 'Dog' before .*2"),
        ("from,to\nFox,Macaque\nMacaque,Monkey\n", "line 2: .* 'Macaque', which becomes 'Monkey'"),
        ("from,to\nFox,Macaque\nMacaque,Fox\n", "line 2: 'Fox' becomes 'Macaque', which becomes"),
        ("from,to\nFox,\n", "line 2: the name of the label is empty"),
        ("old,new\nFox,Dog\n", "line 1: the columns are 'old,new'; expected from,to"),
        ("from,to\n", "lists no label"),
        ("", "the columns are ''; expected from,to"),
    ],
)
def test_what_cannot_be_merged_is_said(tmp_path, merges, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, merges)


def test_a_file_that_is_not_there(tmp_path):
    (tmp_path / "clips.csv").write_text(CLIPS)
    with pytest.raises(FileNotFoundError, match="--merge_labels: the file .*no.csv does not exist"):
        read_annotations("csv", tmp_path, merge_labels=tmp_path / "no.csv")
