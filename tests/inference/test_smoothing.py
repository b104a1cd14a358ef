"""Bouts of windows: against an exhaustive search, and on videos whose cuts are known."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_clip_jax.errors import UserError
from animal_clip_jax.inference.results import Windows
from animal_clip_jax.inference.smoothing import Smoothing, _viterbi, bouts_of, steps_of

ACTIONS, ANIMALS = ("Eating", "Resting", "Running"), ("Fox", "Boar")


def windows(actions, *, window=2.0, stride=1.0, animals=None):
    actions = np.asarray(actions, np.float32)
    starts = np.arange(len(actions)) * stride
    animals = np.zeros((len(actions), 0)) if animals is None else np.asarray(animals)
    return Windows(starts, starts + window, actions, animals)


def bouts(of_windows, smoothing, *, multi_label=False):
    found = bouts_of(of_windows, ACTIONS, ANIMALS, smoothing, multi_label=multi_label)
    return [(bout.start, bout.stop, bout.action) for bout in found]


@given(
    st.integers(1, 3),
    st.integers(1, 6),
    st.floats(0.5, 0.99),
    st.integers(0, 2**31),
)
def test_the_path_is_the_likeliest(states, steps, staying, seed):
    likelihoods = np.random.default_rng(seed).uniform(-4, 0, (steps, states))
    go = (1 - staying) / max(states - 1, 1)

    def probability(path):
        moves = [staying if a == b else go for a, b in itertools.pairwise(path)]
        return sum(np.log(moves)) + sum(likelihoods[k, state] for k, state in enumerate(path))

    if states == 3 and go > staying:
        return
    best = max(itertools.product(range(states), repeat=steps), key=probability)
    assert probability(_viterbi(likelihoods, staying)) == pytest.approx(probability(best))


def test_a_step_has_the_mean_of_the_windows_over_it():
    found = windows([[0], [1], [4]], window=2, stride=1)
    edges, values = steps_of(found, found.actions, 1.0)
    assert edges.tolist() == [0, 1, 2, 3, 4]
    assert values[:, 0].tolist() == [0, 0.5, 2.5, 4]
    edges, values = steps_of(found, found.actions, 3.0)
    assert edges.tolist() == [0, 3, 4]
    assert values[:, 0].tolist() == [0.5, 4]


def test_a_window_alone_against_its_neighbours_is_no_bout():
    eating, running = [0.8, 0.1, 0.1], [0.02, 0.02, 0.96]
    probabilities = [eating] * 6 + [running] + [eating] * 6
    smoothing = Smoothing(step=1, expected_seconds=40)
    assert bouts(windows(probabilities, window=1), smoothing) == [(0, 13, "Eating")]
    assert len(bouts(windows(probabilities, window=1), Smoothing(1, 1.1))) == 3


def test_cuts_are_found():
    eating, resting, running = np.eye(3) * 0.7 + 0.1
    probabilities = [eating] * 5 + [running] * 4 + [resting] * 6
    found = bouts(windows(probabilities, window=1), Smoothing(step=1, expected_seconds=4))
    assert found == [(0, 5, "Eating"), (5, 9, "Running"), (9, 15, "Resting")]


def test_short_bouts_go_to_the_likelier_neighbour():
    eating, resting, running = [0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.1, 0.05, 0.85]
    probabilities = [eating] * 4 + [running] * 1 + [resting] * 4
    loose = Smoothing(step=1, expected_seconds=1.5)
    assert len(bouts(windows(probabilities, window=1), loose)) == 3
    least = Smoothing(step=1, expected_seconds=1.5, least_seconds=2)
    assert bouts(windows(probabilities, window=1), least) == [(0, 5, "Eating"), (5, 9, "Resting")]


def test_bouts_below_the_threshold_are_left_out():
    eating, unsure = [0.9, 0.05, 0.05], [0.05, 0.45, 0.5]
    probabilities = [eating] * 4 + [unsure] * 4
    smoothing = Smoothing(step=1, expected_seconds=4, threshold=0.6)
    assert bouts(windows(probabilities, window=1), smoothing) == [(0, 4, "Eating")]


def test_several_actions_at_a_time():
    both, one, none = [0.9, 0.1, 0.9], [0.9, 0.1, 0.1], [0.1, 0.1, 0.1]
    probabilities = [one] * 4 + [both] * 4 + [none] * 4
    found = bouts(windows(probabilities, window=1), Smoothing(1, 4), multi_label=True)
    assert found == [(0, 8, "Eating"), (4, 8, "Running")]
    found = bouts(
        windows(probabilities, window=1), Smoothing(1, 4, threshold=0.95), multi_label=True
    )
    assert found == []


def test_each_action_has_its_threshold():
    """Of the same probabilities, those above the action's own are shown."""
    probabilities = [[0.3, 0.3, 0.1]] * 4 + [[0.3, 0.6, 0.1]] * 4
    smoothing = Smoothing(1, 4, threshold=(0.2, 0.5, 0.2))
    found = bouts(windows(probabilities, window=1), smoothing, multi_label=True)
    assert found == [(0, 8, "Eating"), (4, 8, "Resting")]
    # Where one action is shown at a time, bouts below their own are left out.
    probabilities = [[0.6, 0.2, 0.2]] * 4 + [[0.2, 0.6, 0.2]] * 4
    smoothing = Smoothing(1, 4, threshold=(0.7, 0.5, 0.2))
    assert bouts(windows(probabilities, window=1), smoothing) == [(4, 8, "Resting")]


@given(st.integers(1, 12), st.integers(0, 2**31), st.floats(0.05, 0.95), st.booleans())
def test_one_threshold_for_all_is_the_same_for_each(count, seed, threshold, multi_label):
    of_windows = windows(np.random.default_rng(seed).dirichlet(np.ones(3), count))
    one, each = (Smoothing(1, 3, threshold=of) for of in (threshold, (threshold,) * 3))
    assert bouts(of_windows, one, multi_label=multi_label) == bouts(
        of_windows, each, multi_label=multi_label
    )


def test_the_likeliest_animal_of_a_bout():
    eating, resting = [0.9, 0.05, 0.05], [0.05, 0.9, 0.05]
    animals = [[0.9, 0.1]] * 4 + [[0.1, 0.6]] * 4
    found = bouts_of(
        windows([eating] * 4 + [resting] * 4, window=1, animals=animals),
        ACTIONS, ANIMALS, Smoothing(1, 4), multi_label=False,
    )  # fmt: skip
    assert [(bout.action, bout.animal) for bout in found] == [
        ("Eating", "Fox"),
        ("Resting", "Boar"),
    ]
    assert found[0].score == pytest.approx(0.9)


@given(st.integers(1, 30), st.integers(0, 2**31), st.floats(0.3, 5), st.floats(0, 4))
def test_bouts_of_one_action_cover_the_video_once(count, seed, expected, least):
    random = np.random.default_rng(seed)
    of_windows = windows(random.dirichlet(np.ones(3), count))
    found = bouts(of_windows, Smoothing(0.5, expected, least))
    assert found[0][0] == 0 and found[-1][1] == of_windows.stops[-1]
    for (_, stop, action), (start, _, other) in itertools.pairwise(found):
        assert stop == start and action != other
    assert len(found) == 1 or all(stop - start >= least - 1e-6 for start, stop, _ in found)


def test_impossible_settings():
    with pytest.raises(UserError, match="found 0, 4 and 0"):
        Smoothing(0, 4)
    for threshold in (1.5, (0.5, 1.5)):
        with pytest.raises(UserError, match="found 1.5"):
            Smoothing(1, 4, threshold=threshold)
