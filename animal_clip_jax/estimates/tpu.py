"""TPUs: programs are compiled for them by libtpu, which says how many cycles it expects."""

import dataclasses
import os
import re
from typing import ClassVar

import jax

from animal_clip_jax.errors import UserError, quoted, shortened
from animal_clip_jax.estimates.chips import COMPILER_FLAGS, GIB, Chip
from animal_clip_jax.parallel.hlo import Instruction
from data_pipeline.standard_error import held_standard_error

COMPILER = "libtpu"
_LANES = 8 * 128  # of the vector unit


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tpu(Chip):
    """A kind of TPU.

    Attributes:
        topology: the smallest arrangement of several that can be rented.
    """

    topology: str

    time_note: ClassVar[str] = (
        "The time on a TPU is the sum of the cycles that the compiler expects of each operation, a "
        "loop's as often as it runs, by the clock: an estimate that ranks variants, and no "
        "measurement. It does not know what runs beside something else (copies, collectives). A "
        "fused kernel of ours counts with the roofline of what its author says of it."
    )

    has_one_pool: ClassVar[bool] = True

    def seconds(self, instruction: Instruction) -> float:
        """As the compiler expects it.

        It does not look into a kernel of ours. Such a one takes what its author says of it, one
        after another: products at half of the peak (heads 64 wide fill half of a matrix unit),
        exponentials at one a cycle in each of 1024 lanes, bytes at the memory's bandwidth.
        """
        if instruction.kernel is None:
            return instruction.cycles / self.clock
        return (
            2 * instruction.kernel.flops / self.peak_flops
            + instruction.kernel.transcendentals / (_LANES * self.clock)
            + instruction.kernel.bytes_accessed / self.bandwidth
        )

    def explained(self, seconds: float) -> str:
        """The cycles."""
        return f"{seconds * self.clock / 1e6:,.1f} Mcycles at {self.clock / 1e9:g} GHz"


# A TPU's runtime keeps 0.25 GiB of the memory for itself. The clock of v6e is its peak by its four
# 256 × 256 matrix units.
TPUS = {
    "v5e": Tpu(
        kind="TPU v5 lite", memory=15.75 * GIB, bandwidth=819e9, clock=1.5e9, topology="2x2"
    ),
    "v5p": Tpu(kind="TPU v5", memory=95.74 * GIB, bandwidth=2765e9, clock=1.75e9, topology="2x2x1"),
    "v6e": Tpu(
        kind="TPU v6 lite", memory=31.25 * GIB, bandwidth=1640e9, clock=1.75e9, topology="2x2"
    ),
}


def checked_topology(name: str, topology: str) -> str:
    """The topology, or the smallest of the chip where none is given.

    Args:
        name: of a chip, in `TPUS`.

    Raises:
        UserError: it is none.
    """
    smallest = TPUS[name].topology
    topology = topology or smallest
    axes = smallest.count("x") + 1
    if not re.fullmatch(r"[1-9]\d{0,3}(x[1-9]\d{0,3})" + f"{{{axes - 1}}}", topology):
        raise UserError(
            f"--target: {quoted(topology)} is no topology of {name}, which has {axes} axes; "
            f"expected one such as {smallest}"
        )
    return topology


def devices(name: str, topology: str) -> list[jax.Device]:
    """Stand-ins for TPUs: programs can be compiled for them, and not run.

    Args:
        name: of a chip, in `TPUS`.
        topology: such as "2x2".

    Raises:
        UserError: the compiler knows no such topology.
    """
    # It would look for a TPU, and ask a server of Google's what machine this is.
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    from jax.experimental import topologies

    with held_standard_error(unless=COMPILER_FLAGS):  # it misses the TPU at length
        try:
            found = topologies.get_topology_desc(platform="tpu", topology_name=f"{name}:{topology}")
        except jax.errors.JaxRuntimeError as error:
            refused = error
        else:
            return list(found.devices)
    raise UserError(
        f"--target=tpu:{name}:{topology}: the compiler knows no such topology, and says: "
        f"{shortened(refused)}; {TPUS[name].topology} is the smallest of this chip"
    ) from refused
