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


# As compilers for TPUs and GPUs write that each of four devices keeps a part of a sum.
_SCATTERED = """\
HloModule scattered

%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%a, %b)
}

%all-reduce-scatter.3.clone (input: f32[8,4]) -> f32[2,4] {
  %input = f32[8,4]{1,0} parameter(0)
  %all-reduce.1 = f32[8,4]{1,0} all-reduce(%input), replica_groups={{0,1,2,3}}, to_apply=%add
  ROOT %part = f32[2,4]{1,0} dynamic-slice(%all-reduce.1), dynamic_slice_sizes={2,4}
}

ENTRY %main (x: f32[8,4]) -> f32[2,4] {
  %x = f32[8,4]{1,0} parameter(0)
  %start = (f32[8,4]{1,0}, f32[2,4]{1,0}) reduce-scatter-start(%x), dimensions={0}, to_apply=%add
  %done = f32[2,4]{1,0} reduce-scatter-done(%start)
  ROOT %fusion = f32[2,4]{1,0} fusion(%x), kind=kCustom, calls=%all-reduce-scatter.3.clone
}
"""


def test_what_each_device_keeps_a_part_of_counts_as_that_part():
    assert collective_traffic(_SCATTERED) == {"reduce-scatter": Traffic(2, 2 * 2 * 4 * 4)}


# As a TPU's compiler writes a gather that runs beside the products of two fusions.
_SPREAD = """\
HloModule spread

%first (input: f32[2,4]) -> f32[8,4] {
  %input = f32[2,4]{1,0} parameter(0)
  ROOT %all-gather.1 = f32[8,4]{1,0} all-gather(%input), channel_id=7, dimensions={0}
}

%second (input.2: f32[2,4]) -> f32[8,4] {
  %input.2 = f32[2,4]{1,0} parameter(0)
  ROOT %all-gather.2 = f32[8,4]{1,0} all-gather(%input.2), channel_id=7, dimensions={0}
}

ENTRY %main (x: f32[2,4]) -> f32[8,4] {
  %x = f32[2,4]{1,0} parameter(0)
  %begun = f32[8,4]{1,0} fusion(%x), kind=kCustom, calls=%first
  ROOT %ended = f32[8,4]{1,0} fusion(%x), kind=kCustom, calls=%second
}
"""


def test_an_exchange_that_is_spread_over_fusions_is_one():
    assert collective_traffic(_SPREAD) == {"all-gather": Traffic(1, 8 * 4 * 4)}
