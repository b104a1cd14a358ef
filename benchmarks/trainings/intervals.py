"""How sure a difference between two ways of training is: a paired bootstrap over clips."""

from typing import NamedTuple

import numpy as np

_RESAMPLES = 10_000
_SEED = 0


class Difference(NamedTuple):
    """A difference of two accuracies, in points of a hundred, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """What can be said of it in words."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no difference shown"


def paired_difference(ours: np.ndarray, theirs: np.ndarray) -> Difference:
    """By how much one way of training is right more often than another.

    Clips and seeds are both drawn with replacement, the same ones for the two, so that what is hard
    for both does not count, and luck with a seed does.

    Args:
        ours, theirs: 0/1 (seeds, clips), of the same clips and the same seeds.

    Raises:
        ValueError: the shapes differ.
    """
    if ours.shape != theirs.shape or ours.ndim != 2:
        raise ValueError(f"expected two arrays (seeds, clips); found {ours.shape}, {theirs.shape}")
    difference = 100.0 * (ours.astype(np.float64) - theirs)
    seeds, clips = difference.shape
    rng = np.random.default_rng(_SEED)
    drawn = np.empty(_RESAMPLES)
    for k in range(_RESAMPLES):
        of_clips = rng.multinomial(clips, np.full(clips, 1 / clips)) / clips
        of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds)) / seeds
        drawn[k] = of_seeds @ difference @ of_clips
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Difference(float(difference.mean()), float(low), float(high))
