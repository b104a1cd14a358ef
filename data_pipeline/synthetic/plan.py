"""Which clips the synthetic world has, for training and for each question that is asked in tests.

The tests, as splits:

- `test`: new clips of animals and actions that training shows together;
- `test_unseen_pairs`: training shows the animal, and the action in other animals;
- `test_unseen_animals`: training shows nothing of the animal;
- `test_unseen_action`: of an action that training does not know even by name, among others;
- `test_shifted`: as `test`, in scenes that training shows with other actions.

An action and its reverse are withheld together: were one of them left in training, a single frame
of it would give away its label.
"""

import hashlib
import itertools
from typing import NamedTuple

import numpy as np

from data_pipeline.synthetic.animals import ANIMALS, UNSEEN, Animal
from data_pipeline.synthetic.motions import PAIRS, Action
from data_pipeline.synthetic.scenes import SCENES

UNSEEN_ACTION = "Climbing"
UNSEEN_PAIRS: frozenset[tuple[str, str]] = frozenset(
    {
        ("Elephant", "Walking"),
        ("Fox", "Standing up"),
        ("Cow", "Approaching"),
        ("Giraffe", "Lowering the head"),
        ("Heron", "Flying up"),
        ("Trout", "Diving"),
        ("Kangaroo", "Jumping"),
        ("Python", "Coiling"),
        ("Penguin", "Walking"),
        ("Tiger", "Lowering the head"),
    }
)
# How often an animal is put into the scene that goes with what it does; else into any.
_FAVOURED = 0.5


class Clip(NamedTuple):
    """One video. What it shows depends on these fields and on the set's seed alone."""

    split: str
    animal: str
    action: str
    scene: str
    number: int  # among the clips of the same split, animal and action

    @property
    def path(self) -> str:
        """Where the video lies, as annotations name it."""
        folder = "".join(word.capitalize() for word in self.action.split())
        return f"{folder}/{self.animal}_{self.split}_{self.number:03d}.mp4"

    def seed(self, of_set: int) -> int:
        """A seed for `render_clip` that no other clip of the set has, but for chance."""
        key = hashlib.blake2b(f"{of_set} {self.path}".encode(), digest_size=8)
        return int.from_bytes(key.digest(), "little")


def favourite_scene(pair: Action) -> str:
    """The scene that goes with an action and its reverse in training."""
    return SCENES[PAIRS.index(pair) % len(SCENES)]


def training_counts(total: int, rng: np.random.Generator) -> dict[tuple[str, str], int]:
    """How many clips of each animal and pair of actions training has: few have many, many few.

    Args:
        total: of all clips, about: an action has as many as its reverse, and each has one.
        rng: decides which are frequent.
    """
    pairs = [
        (animal, pair)
        for animal, pair in itertools.product(ANIMALS, PAIRS)
        if _role(animal, pair) == "test"
    ]
    ranks = dict(zip((a.name for a in ANIMALS), rng.permutation(len(ANIMALS)), strict=True))
    shares = np.array([(1 + ranks[animal.name]) ** -0.5 for animal, _ in pairs])
    shares *= (1 + rng.permutation(len(pairs)) % 5) ** -0.8
    counts = np.maximum(1, np.rint(total / 2 * shares / shares.sum())).astype(int)
    return {
        (animal.name, pair.name): int(n) for (animal, pair), n in zip(pairs, counts, strict=True)
    }


def _role(animal: Animal, pair: Action) -> str:
    """The test in which an animal and a pair of actions is; "" where they are in none."""
    if not pair.suits(animal):
        return ""
    if pair.name == UNSEEN_ACTION:
        # One thing is new to each test: an unseen animal's unseen action is in none.
        return "" if animal.name in UNSEEN else "test_unseen_action"
    if animal.name in UNSEEN:
        return "test_unseen_animals"
    return "test_unseen_pairs" if (animal.name, pair.name) in UNSEEN_PAIRS else "test"


# Test clips of an animal and an action, for each of an unseen pair.
_SHARES = {
    "test": 1 / 8,
    "test_unseen_pairs": 1,
    "test_unseen_animals": 1 / 2,
    "test_unseen_action": 5 / 4,
    "test_shifted": 1 / 8,
}
# The same of the seen pairs that stand beside the unseen action.
_SHARE_OF_ABLE, _SHARE_OF_OTHERS = 1 / 2, 1 / 8


def _number(test_clips: int, share: float) -> int:
    return max(1, round(test_clips * share))


def plan(train_clips: int, test_clips: int, seed: int) -> list[Clip]:
    """Every clip of the set, training first, without those of the unseen action.

    Args:
        train_clips: of training, about.
        test_clips: of each unseen pair of an animal and an action; the other tests have theirs in
            proportion.
        seed: decides which pairs are frequent, and on the scenes.
    """
    rng = np.random.default_rng([seed, 1])
    counts = training_counts(train_clips, rng)
    train: list[Clip] = []
    test: list[Clip] = []
    for animal, pair in itertools.product(ANIMALS, PAIRS):
        role = _role(animal, pair)
        if role in ("", "test_unseen_action"):
            continue
        splits = {role: _number(test_clips, _SHARES[role])}
        if role == "test":
            splits["train"] = counts[animal.name, pair.name]
            splits["test_shifted"] = _number(test_clips, _SHARES["test_shifted"])
        for split, number in splits.items():
            clips = _clips(split, animal, pair, number, rng)
            (train if split == "train" else test).extend(clips)
    return train + test


def plan_unseen_action(test_clips: int, seed: int) -> list[Clip]:
    """The clips that ask which of all actions is shown, one of which training does not know.

    They show the animals that are able to it: that action, and what training shows them do. Of the
    actions that none of these is able to, there are a few clips of others, so that each has some.
    """
    rng = np.random.default_rng([seed, 2])
    split = "test_unseen_action"
    able = {
        animal for animal, pair in itertools.product(ANIMALS, PAIRS) if _role(animal, pair) == split
    }
    clips = []
    for animal, pair in itertools.product(ANIMALS, PAIRS):
        role, share = _role(animal, pair), 0.0
        if role == split:
            share = _SHARES[split]
        elif role == "test" and animal in able:
            share = _SHARE_OF_ABLE
        elif role == "test" and not any(map(pair.suits, able)):
            share = _SHARE_OF_OTHERS
        if share:
            clips += _clips(split, animal, pair, _number(test_clips, share), rng)
    return clips


def _clips(
    split: str, animal: Animal, pair: Action, number: int, rng: np.random.Generator
) -> list[Clip]:
    return [
        Clip(split, animal.name, action, _scene(split, pair, rng), index)
        for action, index in itertools.product((pair.name, pair.reverse), range(number))
    ]


def _scene(split: str, pair: Action, rng: np.random.Generator) -> str:
    favourite = favourite_scene(pair)
    others = [scene for scene in SCENES if scene != favourite]
    if split == "test_shifted":
        return str(rng.choice(others))
    return favourite if rng.random() < _FAVOURED else str(rng.choice(SCENES))
