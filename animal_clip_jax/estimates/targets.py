"""The devices that a step can be compiled for without having them."""

import dataclasses
import os
import re

import jax

from animal_clip_jax.command_line import need, one_of
from animal_clip_jax.errors import UserError, quoted, shortened
from animal_clip_jax.parallel.accelerator import peak_flops_of
from animal_clip_jax.parallel.hlo import Instruction
from data_pipeline.standard_error import held_standard_error

GIB = 2**30
_LANES = 8 * 128  # of a TPU's vector unit


@dataclasses.dataclass(frozen=True)
class Chip:
    """What a kind of device is capable of, from its maker's data sheet.

    Attributes:
        kind: as its driver names it.
        memory: bytes that programs can have.
        bandwidth: bytes a second to and from that memory.
        clock: cycles a second.
        topology: the smallest arrangement of several that can be rented.
    """

    kind: str
    memory: float
    bandwidth: float
    clock: float
    topology: str

    @property
    def peak_flops(self) -> float:
        """FLOP/s in bfloat16 at best."""
        peak = peak_flops_of(self.kind)
        assert peak is not None
        return peak

    def seconds(self, instruction: Instruction) -> float:
        """How long an instruction takes, as the compiler for TPUs expects it.

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


# A TPU's runtime keeps 0.25 GiB of the memory for itself. The clock of v6e is its peak by its four
# 256 × 256 matrix units.
_TPUS = {
    "v5e": Chip("TPU v5e", 15.75 * GIB, bandwidth=819e9, clock=1.5e9, topology="2x2"),
    "v5p": Chip("TPU v5p", 95.74 * GIB, bandwidth=2765e9, clock=1.75e9, topology="2x2x1"),
    "v6e": Chip("TPU v6e", 31.25 * GIB, bandwidth=1640e9, clock=1.75e9, topology="2x2"),
}
CPU = "cpu"


@dataclasses.dataclass(frozen=True)
class Target:
    """What a step is compiled for.

    Attributes:
        name: as it is written, with its topology.
        chip: None for the processor of this machine.
        topology: such as "2x2".
    """

    name: str
    chip: Chip | None = None
    topology: str = ""


def parse_target(text: str) -> Target:
    """Reads "cpu", "tpu:v5e" or "tpu:v5e:2x2".

    Raises:
        UserError: there is no such target; offers the nearest.
    """
    platform, _, rest = text.strip().partition(":")
    if platform == CPU and not rest:
        return Target(CPU)
    if platform != "tpu" or not rest:
        known = [CPU, *(f"tpu:{name}:{chip.topology}" for name, chip in _TPUS.items())]
        one_of(text, known, what="target")
    name, _, topology = rest.partition(":")
    one_of(name, _TPUS, what="TPU")
    chip = _TPUS[name]
    topology = topology or chip.topology
    axes = chip.topology.count("x") + 1
    if not re.fullmatch(r"[1-9]\d{0,3}(x[1-9]\d{0,3})" + f"{{{axes - 1}}}", topology):
        raise UserError(
            f"--target: {quoted(topology)} is no topology of {name}, which has {axes} axes; "
            f"expected one such as {chip.topology}"
        )
    return Target(f"tpu:{name}:{topology}", chip, topology)


def check_compiler(target: Target) -> None:
    """Raises ModuleNotFoundError if the compiler for a target is not installed."""
    if target.chip:
        need("libtpu")


def devices_of(target: Target) -> list[jax.Device]:
    """Stand-ins for the devices of a TPU target: programs can be compiled for them, and not run.

    Raises:
        ModuleNotFoundError: its compiler is not installed.
        UserError: the compiler knows no such topology.
    """
    check_compiler(target)
    # It would look for a TPU, and ask a server of Google's what machine this is.
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    from jax.experimental import topologies

    name = target.name.removeprefix("tpu:")
    with held_standard_error():  # it misses the TPU at length
        try:
            topology = topologies.get_topology_desc(platform="tpu", topology_name=name)
        except jax.errors.JaxRuntimeError as error:
            refused = error
        else:
            return list(topology.devices)
    assert target.chip is not None
    raise UserError(
        f"--target={target.name}: the compiler knows no such topology, and says: "
        f"{shortened(refused)}; {target.chip.topology} is the smallest of this chip"
    ) from refused
