"""The text of a compiled program, read into its instructions and how often each runs."""

import dataclasses
import math
import re
from collections.abc import Iterator

from animal_clip_jax.parallel.hlo_products import ARRAY, Product, product_of, without_scratch

_ITEM_BYTES = {
    "pred": 1, "s4": 1, "u4": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "f16": 2, "bf16": 2,
    "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8,
}  # fmt: skip
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.-]+) .*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = (.*?) ([a-z][\w-]*)\((.*)$")
_RUN = re.compile(r"\b(?:body|condition)=%?([\w.-]+)")
_APPLIED = re.compile(r"\bto_apply=%?([\w.-]+)")
_MADE_OF = re.compile(r"\bcalls=%?([\w.-]+)")
_BRANCHES = re.compile(r"\bbranch_computations=\{([^}]*)\}")
_TWO_BRANCHES = re.compile(r"\b(?:true|false)_computation=%?([\w.-]+)")
_CONDITION = re.compile(r"\bcondition=%?([\w.-]+)")
_CONSTANT = re.compile(r" (%[\w.-]+) = s32\[\]\S* constant\((\d+)\)")
_BELOW = re.compile(r"^ +ROOT .* compare\((?:[^%]*%[\w.-]+), [^%]*(%[\w.-]+)\), direction=LT")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CHANNEL = re.compile(r"\bchannel_id=(\d+)")
_ORIGIN = re.compile(r'\bop_name="([^"]*)"')
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
# What the author of a kernel says of it (`pl.CostEstimate`).
_KERNEL = re.compile(
    r'"cost_estimate": ?\{"flops": ?"?(\d+)"?, ?"transcendentals": ?"?(\d+)"?, ?'
    r'"bytes_accessed": ?"?(\d+)'
)
# Calls that compute nothing: memory set aside, and parts that lie beside each other already.
_NAMES_ONLY = re.compile(r'\bcustom_call_target="(?:AllocateBuffer|ConcatBitcast)"')
# So a TPU's compiler calls what each device keeps a part of: a fusion of a sum over all devices and
# a slice of it.
_SCATTERED = "all-reduce-scatter"
# The results of these hold their operands too, and scalars by which the work is known.
_WITH_OPERANDS = (
    ("all-gather-start", "reduce-scatter-start", "collective-permute-start")
    + ("copy-start", "async-start")
    + ("slice-start", "dynamic-slice-start")
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Kernel:
    """What one of our own kernels takes, which compilers do not look into, by its author.

    Attributes:
        flops: of its products.
        transcendentals: exponentials, logarithms and the like.
        bytes_accessed: of the device's memory.
    """

    flops: int
    transcendentals: int
    bytes_accessed: int


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of a computation.

    Attributes:
        opcode: such as "fusion" or "all-reduce".
        result_bytes: of what it computes.
        operand_bytes: of what it is given.
        origin: where in the traced program it comes from, "jit(step)/…/dot_general", "" if that is
            not written down.
        cycles: that the TPU's compiler expects it to take; 0 where there is no such figure.
        kernel: None unless it is one of our own.
        products: of matrices, in it or in a fusion's parts; not those of programs for TPUs.
        channel: of an exchange between devices, by which its parts are known; "" without one.
        trips: how often a loop runs its body; 1 for all else, and where it is not known.
        runs: computations that it hands over to: a loop's body, a branch, a function.
        made_of: computations that say what it does: those of a fusion, or of a sum.
    """

    opcode: str
    result_bytes: int
    operand_bytes: int
    origin: str
    cycles: int
    kernel: Kernel | None
    products: tuple[Product, ...]
    channel: str
    trips: int
    runs: tuple[str, ...]
    made_of: tuple[str, ...]


def instructions(hlo: str) -> Iterator[tuple[Instruction, int, bool]]:
    """The instructions of a compiled program that run.

    Args:
        hlo: the text of a compiled program (`compiled.as_text()`).

    Yields:
        an instruction, how often it runs in one run of the program, and whether it is a part of
        another, of a fusion say, whose cost has it in. A loop whose length the compiler does not
        know counts once, and every branch of a choice.
    """
    entry, computations = _read(hlo)

    def visit(name: str, times: int, is_part: bool) -> Iterator[tuple[Instruction, int, bool]]:
        for instruction in computations.get(name, ()):
            yield _with_its_parts(instruction, computations), times, is_part
            for inner in instruction.runs:
                yield from visit(inner, times * instruction.trips, is_part)
            for inner in instruction.made_of:
                yield from visit(inner, times, True)

    yield from visit(entry, 1, False)


def product_flops(hlo: str) -> int:
    """Operations of all products of matrices that a program for NVIDIA's GPUs runs."""
    return sum(
        times * sum(product.flops for product in instruction.products)
        for instruction, times, is_part in instructions(hlo)
        if not is_part
    )


def _with_its_parts(
    instruction: Instruction, computations: dict[str, list[Instruction]]
) -> Instruction:
    """Itself, with the products in it; where it is from, if it does not say so, says its last part
    that does."""
    if not instruction.made_of:
        return instruction
    parts = [part for name in instruction.made_of for part in computations.get(name, ())]
    # A constant is of the part of the model that was first to need it.
    origins = [part.origin for part in parts if part.origin and part.opcode != "constant"]
    return dataclasses.replace(
        instruction,
        origin=instruction.origin or (origins[-1] if origins else ""),
        products=instruction.products + tuple(of for part in parts for of in part.products),
    )


def _read(hlo: str) -> tuple[str, dict[str, list[Instruction]]]:
    """The name of the computation that is run first, and all computations by name."""
    entry = name = ""
    # What a counter is compared with that starts at 0, by the name of a loop's condition: not all
    # compilers write down how often a loop runs.
    limits: dict[str, int] = {}
    constants: dict[str, int] = {}
    loops: list[tuple[str, int, str]] = []
    computations: dict[str, list[Instruction]] = {}
    results: dict[str, str] = {}
    for line in hlo.splitlines():
        if header := _COMPUTATION.match(line):
            name = header[2]
            computations[name], results, constants = [], {}, {}
            entry = name if header[1] else entry
        elif found := _INSTRUCTION.match(line):
            own_name, result, opcode, rest = found.groups()
            operands = _up_to_closing(rest)
            given = [results.get(operand, "") for operand in re.findall(r"%([\w.-]+)", operands)]
            results[own_name] = result
            attributes = rest[len(operands) :]
            computations[name].append(_instruction(opcode, result, given, attributes))
            if (tested := _CONDITION.search(attributes)) and not _TRIPS.search(attributes):
                loops.append((name, len(computations[name]) - 1, tested[1]))
            if constant := _CONSTANT.search(line):
                constants[constant[1]] = int(constant[2])
            elif (below := _BELOW.match(line)) and below[1] in constants:
                limits[name] = constants[below[1]]
    for name, place, condition in loops:
        loop = computations[name][place]
        computations[name][place] = dataclasses.replace(loop, trips=limits.get(condition, 1))
    return entry, computations


def _instruction(opcode: str, result: str, operands: list[str], attributes: str) -> Instruction:
    origin, cycles, trips, kernel, channel = (
        pattern.search(attributes) for pattern in (_ORIGIN, _CYCLES, _TRIPS, _KERNEL, _CHANNEL)
    )
    applied = _APPLIED.findall(attributes)
    runs = _RUN.findall(attributes) + _TWO_BRANCHES.findall(attributes)
    for branches in _BRANCHES.findall(attributes):
        runs += re.findall(r"[\w.-]+", branches)
    product = product_of(result, operands, attributes)
    operand_bytes = sum(map(_bytes_of, operands))
    result_bytes = _bytes_of(without_scratch(result, attributes))
    if opcode in _WITH_OPERANDS:
        scalars = 4 * len(re.findall(r"\b[us]32\[\]", result))
        result_bytes = max(result_bytes - operand_bytes - scalars, 0)
    is_call = opcode == "call"
    made_of = _MADE_OF.findall(attributes) + ([] if is_call else applied)
    if any(name.startswith(_SCATTERED) for name in made_of):
        opcode, made_of = "reduce-scatter", []
    if _NAMES_ONLY.search(attributes):
        opcode = "bitcast"
    return Instruction(
        opcode=opcode,
        result_bytes=result_bytes,
        operand_bytes=operand_bytes,
        origin=origin[1] if origin else "",
        cycles=int(cycles[1]) if cycles else 0,
        kernel=Kernel(*map(int, kernel.groups())) if kernel else None,
        products=(product,) if product else (),
        channel=channel[1] if channel else "",
        trips=int(trips[1]) if trips else 1,
        runs=tuple(runs + (applied if is_call else [])),
        made_of=tuple(made_of),
    )


def _up_to_closing(text: str) -> str:
    """What stands before the bracket that closes one opened before `text`."""
    depth = 1
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return text[:place]
    return text


def _bytes_of(result: str) -> int:
    """Of a result's type, e.g. "(f32[8,4]{1,0}, s32[])"; types without a size count nothing."""
    return sum(
        _ITEM_BYTES.get(dtype, 0) * math.prod(int(size) for size in shape.split(",") if size)
        for dtype, shape in ARRAY.findall(result)
    )
