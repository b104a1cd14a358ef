"""Compiled programs, read; the one that is read is written by hand."""

from collections import Counter

import pytest
from made_program import CYCLES, PROGRAM

from animal_clip_jax.parallel.collectives import Traffic, collective_traffic
from animal_clip_jax.parallel.hlo import instructions


def test_a_loop_counts_as_often_as_it_runs_and_a_fusion_once():
    cycles: Counter[str] = Counter()
    for instruction, times, is_part in instructions(PROGRAM):
        if not is_part:
            cycles[instruction.opcode] += times * instruction.cycles
    assert {opcode: total for opcode, total in cycles.items() if total} == CYCLES


def test_collectives_that_run_beside_others_count_what_comes_out_of_them():
    assert collective_traffic(PROGRAM) == {
        "all-reduce": Traffic(3, 3 * 2 * 8 * 4),
        "all-gather": Traffic(1, 4 * 16 * 4),
    }


@pytest.mark.parametrize(
    ("opcode", "operands", "result"),
    [("fusion", 64, 64), ("convolution", 256, 128), ("all-gather-start", 128, 256)],
)
def test_bytes_in_and_out(opcode, operands, result):
    found = {instruction.opcode: instruction for instruction, _, _ in instructions(PROGRAM)}
    assert (found[opcode].operand_bytes, found[opcode].result_bytes) == (operands, result)


def test_a_fusion_without_an_origin_has_that_of_what_it_is_made_of():
    found = {instruction.opcode: instruction for instruction, _, _ in instructions(PROGRAM)}
    assert found["fusion"].origin == "jit(step)/jvp(block)/mlp/mul"
    assert found["while"].origin in ("", "jit(step)/while")
