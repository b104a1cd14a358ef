"""What the devices tell each other in a compiled program, read from its text."""

import dataclasses

from animal_clip_jax.parallel import hlo as hlo_lib

_KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


@dataclasses.dataclass(frozen=True)
class Traffic:
    """Collective operations of one kind, in one run of a program.

    Attributes:
        count: operations; one in a loop counts as often as it runs.
        result_bytes: what comes out of them on each device. What passes over the wires is of this
            order; how much exactly depends on how the devices are connected.
    """

    count: int = 0
    result_bytes: int = 0


def collective_traffic(hlo: str) -> dict[str, Traffic]:
    """Counts the collective operations of a compiled program.

    Args:
        hlo: the text of a compiled program (`compiled.as_text()`).

    Returns:
        by kind ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute"),
        those that occur. A loop whose length the compiler does not know counts once.
    """
    traffic: dict[str, Traffic] = {}
    in_parts: set[str] = set()
    for instruction, times, is_part in hlo_lib.instructions(hlo):
        # One that runs beside others is started here, and waited for elsewhere.
        kind = instruction.opcode.removesuffix("-start")
        if kind in _KINDS and is_part and instruction.channel:
            # A TPU's compiler spreads one over several fusions, each of which has all of it.
            if instruction.channel in in_parts:
                continue
            in_parts.add(instruction.channel)
        if kind in _KINDS:
            before = traffic.get(kind, Traffic())
            traffic[kind] = Traffic(
                before.count + times, before.result_bytes + times * instruction.result_bytes
            )
    return {kind: traffic[kind] for kind in _KINDS if kind in traffic}
