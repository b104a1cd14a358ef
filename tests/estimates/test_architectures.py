"""The search for the largest batch that fits."""

import pytest

from benchmarks.architectures import largest_batch


def searched(needed, *, memory: float, guess: int) -> tuple[int, int, list[int]]:
    """What is found in sixteens after 64 clips, and what was compiled for it."""
    compiled: list[int] = []

    def compile_for(clips: int) -> float:
        assert clips not in (64, *compiled) and clips > 0
        compiled.append(clips)
        return needed(clips)

    fit, do_not = largest_batch(
        compile_for, memory=memory, known={64: needed(64)}, guess=guess, multiple=16
    )
    return fit, do_not, compiled


NEEDS = {
    "in proportion": lambda clips: 3 + 0.05 * clips,
    "more slowly where there is little left": lambda clips: (
        3 + 0.05 * min(clips, 200) + 0.01 * clips
    ),
    "at once": lambda clips: 4 if clips <= 320 else 20,
    "little": lambda clips: 3 + 0.001 * clips,
    "much": lambda clips: 3 + 0.5 * clips,
}


@pytest.mark.parametrize("needed", NEEDS.values(), ids=NEEDS)
@pytest.mark.parametrize("guess", [1, 100, 250, 300, 5000])
def test_what_fits_is_bracketed(needed, guess):
    fit, do_not, compiled = searched(needed, memory=16, guess=guess)
    assert needed(fit) <= 16 < needed(do_not)
    assert do_not - fit <= max(fit / 8, 16)
    assert fit % 16 == do_not % 16 == 0
    assert {fit, do_not} <= {0, 64, *compiled}
    assert len(compiled) <= 12


def test_where_memory_grows_in_proportion_few_are_compiled():
    """16 GB are 260 clips."""
    assert searched(lambda clips: 3 + 0.05 * clips, memory=16, guess=150)[2] == [144, 256, 288]


def test_nothing_fits_beside_a_state_that_fills_the_memory():
    assert searched(lambda clips: 20, memory=16, guess=32) == (0, 16, [32, 16])
