"""Clips that are held out: the right number of every action, whoever asks and in which order."""

import dataclasses
import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_clip_jax.errors import UserError
from data_pipeline.batches.validation import validation_rows
from data_pipeline.clip_index import ClipIndex


def index_of(clips):
    """An index of the clips {name: actions}; what else it says of them does not matter."""
    zeros = np.zeros(len(clips), np.int64)
    return ClipIndex(
        clip_ids=tuple(clips),
        videos=tuple(clips),
        shards=("",) * len(clips),
        offsets=np.arange(len(clips)),
        lengths=zeros,
        num_frames=zeros,
        heights=zeros,
        widths=zeros,
        original_num_frames=zeros,
        frame_rates=zeros.astype(float),
        original_heights=zeros,
        original_widths=zeros,
        actions=tuple(clips.values()),
        animals=((),) * len(clips),
        starts=zeros.astype(float),
        stops=zeros.astype(float),
        individuals=("",) * len(clips),
        groups=("",) * len(clips),
    )


def held_out(clips, share, *, multi_label=False):
    index = index_of(clips)
    mask = validation_rows(index, share, multi_label=multi_label)
    assert (mask.shape, mask.dtype) == ((len(clips),), bool)
    return {index.clip_ids[row] for row in np.flatnonzero(mask)}


clip_names = st.text(min_size=1, max_size=8)
one_action = st.dictionaries(clip_names, st.tuples(st.integers(0, 3)), max_size=60)
some_actions = st.dictionaries(clip_names, st.lists(st.integers(0, 3)).map(tuple), max_size=60)
shares = st.floats(0, 1, exclude_max=True)


@given(one_action, shares)
def test_every_action_gives_its_share_and_keeps_a_clip(clips, share):
    chosen = held_out(clips, share)
    given_up = Counter(clips[name] for name in chosen)
    for action, number in Counter(clips.values()).items():
        assert abs(given_up[action] - share * number) <= 1
        assert given_up[action] < number


@given(some_actions, shares)
def test_clips_of_several_actions_give_their_share_together(clips, share):
    chosen = held_out(clips, share, multi_label=True)
    assert abs(len(chosen) - share * len(clips)) <= 1
    assert len(chosen) < len(clips) or not clips


@given(some_actions, shares, st.booleans(), st.randoms())
def test_the_order_of_the_clips_does_not_matter(clips, share, multi_label, random):
    items = list(clips.items())
    random.shuffle(items)
    first, second = (
        held_out(some, share, multi_label=multi_label) for some in (clips, dict(items))
    )
    assert first == second


@given(some_actions, shares, shares, st.booleans())
def test_a_larger_share_holds_out_the_clips_of_a_smaller_one(clips, one, other, multi_label):
    smaller, larger = (
        held_out(clips, share, multi_label=multi_label) for share in sorted((one, other))
    )
    assert smaller <= larger


@given(one_action, st.dictionaries(clip_names, st.just((9,)), max_size=20), shares)
def test_clips_of_other_actions_do_not_matter(clips, others, share):
    others = {name: actions for name, actions in others.items() if name not in clips}
    assert held_out({**clips, **others}, share) & clips.keys() == held_out(clips, share)


def test_those_with_the_smallest_hash_go_first():
    clips = {f"Fox{k}": (k % 2,) for k in range(20)}
    for action in (0, 1):
        names = [name for name, actions in clips.items() if actions == (action,)]
        ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
        assert held_out(clips, 0.25) & set(names) == set(ordered[:3])  # 2.5, rounded up


def test_the_choice_stays_what_it_was():
    """By sha256sum; a run that goes on later must not train on what its model was chosen by."""
    clips = {f"clip{k}": (0,) for k in range(8)}
    assert held_out(clips, 0.25) == {"clip3", "clip6"}


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, float("nan")])
def test_impossible_shares(share):
    with pytest.raises(UserError, match=f"the share of clips for validation is {share}"):
        validation_rows(index_of({"a": (0,)}), share, multi_label=False)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), max_size=60), shares, st.booleans()
)
def test_bouts_of_a_recording_stay_together(bouts, share, multi_label):
    index = dataclasses.replace(
        index_of({f"clip{k}": (action,) for k, (_, action) in enumerate(bouts)}),
        videos=tuple(f"rec{recording}" for recording, _ in bouts),
    )
    mask = validation_rows(index, share, multi_label=multi_label)
    inside = {index.videos[row] for row in np.flatnonzero(mask)}
    outside = {index.videos[row] for row in np.flatnonzero(~mask)}
    assert not inside & outside and (outside or not bouts)
    # Every action that is validated on is trained on as well.
    kept = {index.actions[row] for row in np.flatnonzero(~mask)}
    assert multi_label or {index.actions[row] for row in np.flatnonzero(mask)} <= kept


def test_a_share_of_recordings_is_near_the_share_of_clips():
    bouts = [(f"rec{k % 17}", k % 3) for k in range(300)]
    index = dataclasses.replace(
        index_of({f"clip{k}": (action,) for k, (_, action) in enumerate(bouts)}),
        videos=tuple(recording for recording, _ in bouts),
    )
    mask = validation_rows(index, 0.2, multi_label=False)
    for action in range(3):
        chosen = sum(mask[row] for row, (_, other) in enumerate(bouts) if other == action)
        assert 15 <= chosen <= 25
