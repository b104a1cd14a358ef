"""Which clips the synthetic world has: what training withholds, and what each test asks."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from data_pipeline.synthetic.animals import NAMED, UNSEEN
from data_pipeline.synthetic.motions import ACTIONS, PAIR_OF, PAIRS
from data_pipeline.synthetic.plan import (
    UNSEEN_ACTION,
    UNSEEN_PAIRS,
    favourite_scene,
    plan,
    plan_unseen_action,
)

TESTS = {"test", "test_unseen_pairs", "test_unseen_animals", "test_shifted"}
SEEN = {"test", "test_shifted"}


@pytest.fixture(scope="module")
def clips():
    return plan(1600, 16, 0)


@pytest.fixture(scope="module")
def of_unseen_action():
    return plan_unseen_action(16, 0)


def pairs(clips, *splits: str) -> set[tuple[str, str]]:
    """Animals and actions in the splits."""
    return {(clip.animal, clip.action) for clip in clips if clip.split in splits}


def test_sizes(clips, of_unseen_action):
    counts = Counter(clip.split for clip in clips)
    assert counts.keys() == {"train", *TESTS}
    assert counts["train"] == pytest.approx(1600, rel=0.05)
    assert counts["test_unseen_animals"] >= 400
    assert min(counts[split] for split in TESTS) >= 300
    asked = Counter(PAIR_OF[clip.action].name == UNSEEN_ACTION for clip in of_unseen_action)
    assert asked[True] >= 200 and asked[False] >= 200


def test_every_clip_is_another(clips, of_unseen_action):
    paths = [clip.path for clip in clips + of_unseen_action]
    assert len(set(paths)) == len({path.casefold() for path in paths}) == len(paths)
    seeds = {clip.seed(of_set) for clip in clips + of_unseen_action for of_set in (0, 1)}
    assert len(seeds) == 2 * len(paths)


def test_unseen_pairs_are_of_seen_animals_and_seen_actions(clips):
    train, withheld = pairs(clips, "train"), pairs(clips, "test_unseen_pairs")
    assert withheld == {
        (animal, action)
        for animal, name in UNSEEN_PAIRS
        for action in (name, PAIR_OF[name].reverse)
    }
    assert not withheld & train
    assert {animal for animal, _ in withheld} <= {animal for animal, _ in train}
    assert {action for _, action in withheld} <= {action for _, action in train}


def test_unseen_animals_do_what_training_shows_others_do(clips):
    train, asked = pairs(clips, "train"), pairs(clips, "test_unseen_animals")
    assert {animal for animal, _ in asked} == set(UNSEEN)
    assert not set(UNSEEN) & {animal for animal, _ in train}
    assert {action for _, action in asked} <= {action for _, action in train}


def test_the_other_tests_are_of_what_training_shows(clips):
    train = pairs(clips, "train")
    assert pairs(clips, "test") == pairs(clips, "test_shifted") == train


def test_an_action_is_withheld_with_its_reverse(clips):
    for split in ("train", *TESTS):
        found = pairs(clips, split)
        assert all(
            (animal, PAIR_OF[action].name) in found and (animal, PAIR_OF[action].reverse) in found
            for animal, action in found
        )


def test_the_unseen_action_is_among_all_others_of_seen_pairs(clips, of_unseen_action):
    train, asked = pairs(clips, "train"), pairs(of_unseen_action, "test_unseen_action")
    new = {UNSEEN_ACTION, PAIR_OF[UNSEEN_ACTION].reverse}
    assert not new & {clip.action for clip in clips}
    assert {pair for pair in asked if pair[1] not in new} <= train
    assert {action for _, action in asked} == set(ACTIONS)
    assert not set(UNSEEN) & {animal for animal, _ in asked}
    able = {animal for animal, action in asked if action in new}
    for animal in able:
        assert len({action for name, action in asked if name == animal}) > 2, animal


def test_nobody_does_what_its_body_is_not_able_to(clips, of_unseen_action):
    for animal, action in pairs(clips + of_unseen_action, "train", "test_unseen_action", *TESTS):
        assert PAIR_OF[action].suits(NAMED[animal])


def test_training_has_a_long_tail(clips):
    counts = np.sort(
        list(Counter((c.animal, c.action) for c in clips if c.split == "train").values())
    )
    assert counts[-len(counts) // 10 :].mean() > 5 * counts[: len(counts) // 10].mean()
    assert gini(counts) > 0.3
    of_animals = np.sort(list(Counter(c.animal for c in clips if c.split == "train").values()))
    assert of_animals[-1] > 5 * of_animals[0]
    # An action is as frequent as its reverse, or a frame would say which is likelier.
    actions = Counter(c.action for c in clips if c.split == "train")
    for pair in PAIRS:
        assert actions[pair.name] == actions[pair.reverse]


def gini(counts: np.ndarray) -> float:
    """Half the mean difference of two, over the mean."""
    return float(np.abs(counts[:, None] - counts).mean() / 2 / counts.mean())


def test_scenes_go_with_actions_but_not_in_the_shifted_test(clips):
    share = defaultdict(list)
    for clip in clips:
        share[clip.split].append(clip.scene == favourite_scene(PAIR_OF[clip.action]))
    assert not any(share["test_shifted"])
    for split in ("train", *TESTS - {"test_shifted"}):
        assert 0.4 < np.mean(share[split]) < 0.75, split  # 0.58; 0.17 by chance
    # Every scene that is shifted to is one that training shows with that action, too, but rarely.
    train = Counter((c.action, c.scene) for c in clips if c.split == "train")
    shifted = {(c.action, c.scene) for c in clips if c.split == "test_shifted"}
    assert sum(train[pair] > 0 for pair in shifted) > 0.9 * len(shifted)


def test_the_seed_decides_on_all_of_it():
    assert plan(200, 2, 3) == plan(200, 2, 3) != plan(200, 2, 4)
    assert plan_unseen_action(2, 3) == plan_unseen_action(2, 3) != plan_unseen_action(2, 4)


def test_no_test_is_empty_in_the_smallest_set():
    smallest = plan(1, 1, 0)
    assert {clip.split for clip in smallest} == {"train", *TESTS}
    assert pairs(smallest, "train") == pairs(plan(1600, 16, 0), "train")
    assert {clip.action for clip in plan_unseen_action(1, 0)} == set(ACTIONS)
