"""How sure a difference between two ways of training is: a paired bootstrap over clips."""

import functools
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
    drawn = [
        of_seeds @ difference @ of_clips
        for of_seeds, of_clips in zip(*_resamples(*difference.shape), strict=True)
    ]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Difference(float(difference.mean()), float(low), float(high))


# A page is of many differences of as many seeds and clips, and drawing takes most of the time.
@functools.lru_cache(maxsize=4)
def _resamples(seeds: int, clips: int) -> tuple[np.ndarray, np.ndarray]:
    """The weights of seeds (resamples, seeds) and of clips (resamples, clips)."""
    rng = np.random.default_rng(_SEED)
    of_seeds, of_clips = np.empty((_RESAMPLES, seeds)), np.empty((_RESAMPLES, clips))
    for k in range(_RESAMPLES):
        of_clips[k] = rng.multinomial(clips, np.full(clips, 1 / clips)) / clips
        of_seeds[k] = rng.multinomial(seeds, np.full(seeds, 1 / seeds)) / seeds
    return of_seeds, of_clips
