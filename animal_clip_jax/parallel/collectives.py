"""What the devices tell each other in a compiled program, read from its text."""

import dataclasses
import math
import re

_ITEM_BYTES = {
    "pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "f16": 2, "bf16": 2,
    "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8,
}  # fmt: skip
_KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.-]+) .*\{$")
_COLLECTIVE = re.compile(rf" = (.*?) ({'|'.join(_KINDS)})\(")
_CALLED = re.compile(r"\b(?:body|calls|to_apply)=%?([\w.-]+)")
_BRANCHES = re.compile(r"\bbranch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


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
    entry = ""
    operations: dict[str, list[tuple[str, int]]] = {}
    calls: dict[str, list[tuple[str, int]]] = {}
    name = ""
    for line in hlo.splitlines():
        if header := _COMPUTATION.match(line):
            name = header[2]
            operations[name], calls[name] = [], []
            entry = name if header[1] else entry
            continue
        trips = _TRIPS.search(line)
        called = _CALLED.findall(line)
        for branches in _BRANCHES.findall(line):
            called += re.findall(r"[\w.-]+", branches)
        calls.setdefault(name, []).extend(
            (child, int(trips[1]) if trips else 1) for child in called
        )
        if found := _COLLECTIVE.search(line):
            operations[name].append((found[2], _bytes_of(found[1])))

    traffic: dict[str, Traffic] = {}

    def visit(computation: str, times: int) -> None:
        for kind, size in operations.get(computation, ()):
            before = traffic.get(kind, Traffic())
            traffic[kind] = Traffic(before.count + times, before.result_bytes + times * size)
        for child, trips in calls.get(computation, ()):
            visit(child, times * trips)

    visit(entry, 1)
    return {kind: traffic[kind] for kind in _KINDS if kind in traffic}


def _bytes_of(result: str) -> int:
    """Of a result's type, e.g. "(f32[8,4]{1,0}, s32[])"."""
    return sum(
        _ITEM_BYTES[dtype] * math.prod(int(size) for size in shape.split(",") if size)
        for dtype, shape in re.findall(r"\b([a-z]+\d*)\[([\d,]*)\]", result)
    )
