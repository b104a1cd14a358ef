"""Splits that are made: by recording, of every action, whatever the order; and unseen animals."""

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_clip_jax.errors import UserError
from data_pipeline.annotations.record import make_annotations, make_clip
from data_pipeline.annotations.splits import Shares, advice, names_of, with_splits


def annotations_of(clips):
    """Clips of (recording, number of the bout, actions, animals); all in the split train."""
    return make_annotations(
        [
            make_clip(
                path, actions=actions, animals=animals, split="train", source="", start=bout,
                stop=bout + 0.5,
            )
            for path, bout, actions, animals in clips
        ],
        roots=["videos"],
        multi_label=True,
    )  # fmt: skip


def split_of(annotations):
    """The split of every recording, checked to be one."""
    found = {}
    for clip in annotations.clips:
        assert found.setdefault(clip.path, clip.split) == clip.split
    return found


names = st.integers(0, 12).map("rec{}".format)
some_clips = st.lists(
    st.tuples(
        names,
        st.integers(0, 20),
        st.sets(st.sampled_from("ABCD"), min_size=1).map(sorted),
        st.just(["Fox"]),
    ),
    min_size=4,
    max_size=60,
    unique_by=lambda clip: clip[:2],
).filter(lambda clips: len({clip[0] for clip in clips}) > 3)


@given(some_clips, st.floats(0.05, 0.6), st.floats(0, 0.3), st.randoms())
def test_every_recording_is_in_one_split_and_every_action_is_trained_on(
    clips, test, validation, random
):
    shares = Shares(test=test, validation=validation)
    of_action = {}
    for path, _, actions, _ in clips:
        for name in actions:
            of_action.setdefault(name, set()).add(path)
    needed = {min(paths) for paths in of_action.values() if len(paths) == 1}
    try:
        found = split_of(with_splits(annotations_of(clips), shares))
    except UserError as error:
        assert "can be spared" in str(error)
        # Those that are the only ones with an action: all of them, where none can be tested on.
        assert "--validation_share" in str(error) or needed == {path for path, *_ in clips}
        return
    random.shuffle(clips)
    assert split_of(with_splits(annotations_of(clips), shares)) == found
    for paths in of_action.values():
        assert "train" in {found[path] for path in paths}


@given(
    st.dictionaries(st.text("abcdef", min_size=1, max_size=6), st.sampled_from("AB"), min_size=5),
    st.floats(0.01, 0.6),
)
def test_with_one_clip_a_recording_the_shares_are_exact(actions, share):
    clips = [(path, 0, [name], []) for path, name in actions.items()]
    if all(count < 2 for count in Counter(actions.values()).values()):
        return
    found = split_of(with_splits(annotations_of(clips), Shares(test=share)))
    for name, count in Counter(actions.values()).items():
        paths = [path for path, other in actions.items() if other == name]
        tested = {path for path in paths if found[path] == "test"}
        wanted = max(int(share * count + 0.5), 1) if count > 1 else 0
        assert len(tested) == min(wanted, count - 1)
        # By sha256sum of the paths.
        ordered = sorted(paths, key=lambda path: hashlib.sha256(path.encode()).hexdigest())
        assert tested == set(ordered[: len(tested)])


def test_rare_actions_are_tested_and_shares_are_near():
    clips = [
        (f"rec{number}", bout, ["Common"] if bout else ["Rare" if number < 2 else "Common"], [])
        for number in range(20)
        for bout in range(number % 4 + 1)
    ]
    annotations = with_splits(annotations_of(clips), Shares(test=0.2, validation=0.1))
    count = Counter(clip.split for clip in annotations.clips)
    assert abs(count["test"] - 10) <= 2 and abs(count["val"] - 5) <= 2
    rare = Counter(clip.split for clip in annotations.clips if "Rare" in clip.actions)
    assert rare == {"train": 1, "test": 1}
    (note,) = [note for note in annotations.notes if "splits by recording" in note]
    assert f"test: {count['test']} clips of " in note and f"val: {count['val']} clips" in note


def test_an_action_of_one_recording_is_trained_on_and_said():
    clips = [("a", 0, ["Once"], []), ("b", 0, ["Run"], []), ("c", 0, ["Run"], [])]
    annotations = with_splits(annotations_of(clips), Shares(test=0.2))
    assert split_of(annotations)["a"] == "train"
    assert any("not tested" in note and "Once" in note for note in annotations.notes)


def test_held_out_animals_are_all_tested_on_with_their_recordings():
    clips = [
        ("a", 0, ["Run"], ["Fox"]),
        ("a", 1, ["Run"], ["Boar"]),
        ("b", 0, ["Run"], ["Boar"]),
        ("c", 0, ["Run"], ["Red Deer", "Boar"]),
        ("d", 0, ["Run"], []),
    ]
    shares = Shares(animals=names_of("Fox, Red Deer"))
    annotations = with_splits(annotations_of(clips), shares)
    assert split_of(annotations) == {"a": "test", "b": "train", "c": "test", "d": "train"}
    assert any("1 clip of other animals" in note for note in annotations.notes)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        (Shares(animals=("Foxx",)), "there is no animal 'Foxx'; did you mean Fox?"),
        (Shares(animals=("Fox",)), "no clip would be left to train on"),
        (Shares(test=1.0), "--test_share is 1.0; expected a share from 0 to below 1"),
        (Shares(test=-0.1), "--test_share is -0.1"),
        (Shares(validation=float("nan")), "--validation_share is nan"),
        (Shares(test=0.5, validation=0.5), "leave nothing to train on"),
        (Shares(test=0.5, animals=("Fox",)), "give one of them"),
    ],
)
def test_impossible_shares(shares, message):
    annotations = annotations_of([("a", 0, ["Run"], ["Fox"]), ("b", 0, ["Run"], ["Fox"])])
    with pytest.raises(UserError, match=message):
        with_splits(annotations, shares)


def test_splits_that_are_there_are_not_made_again():
    clips = [
        make_clip(name, actions=["Run"], animals=[], split=split, source="")
        for name, split in (("a", "train"), ("b", "test"))
    ]
    annotations = make_annotations(clips, roots=["videos"], multi_label=False)
    with pytest.raises(UserError, match=r"have splits already .train: 1, test: 1."):
        with_splits(annotations, Shares(test=0.5))
    assert not any("test_share" in note for note in advice(annotations))


def test_a_share_that_nothing_can_be_spared_for():
    clips = [(f"rec{k}", 0, [action], ["Fox"]) for k, action in enumerate("ABCD")]
    for shares, flag in ((Shares(test=0.25), "test"), (Shares(validation=0.25), "validation")):
        with pytest.raises(UserError, match=f"--{flag}_share: none of the 4 recordings can be"):
            with_splits(annotations_of(clips), shares)
