"""The search for the largest batch that fits."""

import pytest

from benchmarks.architectures import largest_batch


def searched(needed, *, memory: float, guess: int) -> tuple[int, int, list[int]]:
    """What is found in sixteens, and what was compiled for it."""
    compiled: list[int] = []

    def compile_for(clips: int) -> float:
        assert clips not in compiled and clips > 0
        compiled.append(clips)
        return needed(clips)

    fit, do_not = largest_batch(compile_for, memory=memory, guess=guess, multiple=16)
    return fit, do_not, compiled


@pytest.mark.parametrize("guess", [1, 100, 250, 256, 300, 1000])
def test_one_more_step_does_not_fit(guess):
    """3 GB and 0.05 a clip are 16 GB at 260."""
    fit, do_not, compiled = searched(lambda clips: 3 + 0.05 * clips, memory=16, guess=guess)
    assert 0 < fit <= 260 < do_not
    assert do_not - fit <= max(guess / 10, 16)
    assert fit % 16 == do_not % 16 == 0
    assert {fit, do_not} <= set(compiled)


def test_a_good_guess_is_compiled_twice():
    assert searched(lambda clips: 3 + 0.05 * clips, memory=16, guess=258)[2] == [256, 272]


def test_nothing_fits_beside_a_state_that_fills_the_memory():
    assert searched(lambda clips: 20, memory=16, guess=32) == (0, 16, [32, 16])
