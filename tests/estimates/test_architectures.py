"""How many clips the table over architectures says would fit."""

from benchmarks.architectures import largest_batch


def test_the_largest_batch_is_the_last_that_fits():
    """16 GB with 2 of state and 1 of gradients; a clip takes 0.05: of 260, the multiples of 16."""
    found = largest_batch(memory=16e9, state=2e9, gradients=1e9, beside=3.2e9, clips=64, step=16)
    fitting = [clips for clips in range(0, 1000, 16) if 3e9 + clips * 0.05e9 <= 16e9]
    assert found == fitting[-1] == 256


def test_nothing_fits_beside_a_state_that_fills_the_memory():
    assert largest_batch(memory=2e9, state=2e9, gradients=1e9, beside=1e9, clips=64, step=16) == 0
