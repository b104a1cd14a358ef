import collections

import pytest
from made_program import CYCLES, PROGRAM

from animal_clip_jax.estimates.parts import PARTS, costs_by_part, part_of
from animal_clip_jax.parallel.hlo import Instruction


@pytest.mark.parametrize(
    ("origin", "part", "direction"),
    [
        ("jit(step)/jvp(block)/attention/dot_general", "attention", "forward"),
        ("jit(step)/transpose(jvp(block))/attention/dot_general", "attention", "backward"),
        ("jit(step)/while/body/transpose(jvp(mlp))/dot_general", "mlp", "backward"),
        ("jit(step)/jvp(block)/message_attention/layer_norm/mul", "message attention", "forward"),
        ("jit(step)/jvp(integration)/block/mlp/dot_general", "integration", "forward"),
        ("jit(step)/jvp(block)/add", "residual", "forward"),
        (
            "jit(step)/transpose(jvp(checkpoint))/rematted_computation/block/mlp/mul",
            "mlp",
            "forward again",
        ),
        ("jit(step)/optimizer/mul", "optimizer", "forward"),
        # A function that is called like a part is none.
        ("jit(mix)/mul", "other", "forward"),
        ("jit(step)/add;jit(step)/jvp(mlp)/add", "other", "forward"),
        ("", "other", "forward"),
    ],
)
def test_where_an_instruction_comes_from(origin, part, direction):
    assert part_of(origin) == (part, direction)


def cycles(instruction: Instruction) -> float:
    """At a cycle a second."""
    return instruction.cycles


def test_time_and_bytes_by_part():
    costs = {(cost.part, cost.direction): cost for cost in costs_by_part(PROGRAM, cycles)}
    assert {key: cost.seconds for key, cost in costs.items() if cost.seconds} == {
        ("mlp", "forward"): CYCLES["fusion"],
        ("attention", "backward"): CYCLES["copy"],
        ("sum gradients", "forward"): CYCLES["all-reduce"],
        ("other", "forward"): CYCLES["negate"],
        ("optimizer", "forward"): CYCLES["convolution"],
    }
    # A value of 8 × 4: 64 bytes in bfloat16, 128 in float32.
    moved = {key: cost.bytes_accessed for key, cost in costs.items() if cost.bytes_accessed}
    assert moved == {
        ("mlp", "forward"): 15 * (64 + 64),
        ("attention", "backward"): 3 * (64 + 64),
        ("sum gradients", "forward"): 3 * (64 + 64),
        # The negation, and the condition of the inner loop: two int32 to a truth value.
        ("other", "forward"): 128 + 128 + 15 * (4 + 4 + 1),
        ("optimizer", "forward"): 2 * 128 + 128,
        ("gather parameters", "forward"): 128 + 256,
    }


def test_the_parts_add_up_and_the_largest_is_first():
    costs = costs_by_part(PROGRAM, cycles)
    assert sum(cost.seconds for cost in costs) == sum(CYCLES.values())
    seconds = [cost.seconds for cost in costs]
    assert seconds == sorted(seconds, reverse=True)
    assert not [part for part, count in collections.Counter(PARTS).items() if count > 1]
