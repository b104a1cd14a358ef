"""Which part of the model an instruction of a compiled program comes from, and what a part costs.

The model and the training step name their parts with `jax.named_scope`. A name stands in the origin
of every instruction, wrapped in what was done to the function around it:

    jit(step)/transpose(jvp(block))/attention/dot_general

is attention in the backward pass.
"""

import dataclasses
import re
from collections.abc import Callable

from animal_clip_jax.parallel.hlo import Instruction, instructions

# The outermost of them decides: the layer norms of the integration are integration.
PARTS = (
    "attention",
    "batch_norm",
    "colour_jitter",
    "convolution",
    "cosines",
    "decoder",
    "embedding",
    "gate",
    "gather_parameters",
    "graph",
    "integration",
    "layer_norm",
    "loss",
    "message_attention",
    "mix",
    "mlp",
    "motion",
    "normalise",
    "optimizer",
    "pool",
    "projection",
    "prompts",
    "squeeze_excitation",
    "sum_gradients",
    "text_tower",
)
# A transformer block, and what is in it and in none of the parts.
_BLOCK, _OF_A_BLOCK = "block", "residual"
OTHER = "other"

FORWARD, BACKWARD, AGAIN = "forward", "backward", "forward again"
_AROUND = re.compile(r"^(?:jvp|transpose|vmap|checkpoint|remat|rematted_computation)\((.*)\)$")


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one part of the model takes in one pass.

    Attributes:
        part: one of `PARTS`, "residual", or "other"; words instead of underscores.
        direction: "forward", "backward", or "forward again" where that is computed a second time in
            the backward pass (rematerialised).
        seconds: that its operations take one after another.
        bytes_accessed: that its operations read and write, of any memory.
    """

    part: str
    direction: str
    seconds: float
    bytes_accessed: int


def part_of(origin: str) -> tuple[str, str]:
    """The part and the direction of an instruction, from its origin ("" is in the part "other").

    Where the compiler joined several into one, it names several, and the first counts.
    """
    scopes = [_unwrapped(scope) for scope in origin.split(";")[0].split("/")]
    part = next((scope for scope in scopes if scope in PARTS), None)
    if part is None:
        part = _OF_A_BLOCK if _BLOCK in scopes else OTHER
    if "rematted_computation" in scopes:
        direction = AGAIN
    else:
        direction = BACKWARD if "transpose(" in origin else FORWARD
    return part.replace("_", " "), direction


def _unwrapped(scope: str) -> str:
    while found := _AROUND.match(scope):
        scope = found[1]
    return scope


# They name what is there already, or hand over to others that are counted.
_MOVE_NOTHING = frozenset(
    ("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "while", "conditional")
    + ("call", "after-all", "partition-id", "replica-id", "iota")
)
_READ_WHAT_THEY_GIVE = frozenset(("slice", "dynamic-slice", "gather"))


def costs_by_part(hlo: str, seconds: Callable[[Instruction], float] = lambda _: 0.0) -> list[Cost]:
    """What the parts of a compiled program take.

    Args:
        hlo: the text of a compiled program (`compiled.as_text()`).
        seconds: that an instruction takes.

    Returns:
        the largest first, by time, then by bytes. The costs of all add up to the program's.
    """
    sums: dict[tuple[str, str], Cost] = {}
    for instruction, times, is_part in instructions(hlo):
        if is_part or (instruction.opcode in _MOVE_NOTHING and not instruction.cycles):
            continue
        key = part_of(instruction.origin)
        before = sums.get(key, Cost(*key, 0.0, 0))
        sums[key] = dataclasses.replace(
            before,
            seconds=before.seconds + times * seconds(instruction),
            bytes_accessed=before.bytes_accessed + times * bytes_accessed(instruction),
        )
    return sorted(sums.values(), key=lambda cost: (-cost.seconds, -cost.bytes_accessed))


def bytes_accessed(instruction: Instruction) -> int:
    """Bytes that an instruction reads and writes, of any memory."""
    # What runs beside others is counted where it is started.
    if instruction.opcode in _MOVE_NOTHING or instruction.opcode.endswith(("-done", "-update")):
        return 0
    if instruction.opcode.removesuffix("-start") in _READ_WHAT_THEY_GIVE:
        return 2 * instruction.result_bytes
    return instruction.operand_bytes + instruction.result_bytes
