"""What kinds of devices are capable of, and how long an instruction takes each."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import ClassVar

from animal_clip_jax.parallel.accelerator import peak_flops_of
from animal_clip_jax.parallel.hlo import Instruction

GIB = 2**30
# Where users set flags of the compilers.
COMPILER_FLAGS = ("XLA_FLAGS", "LIBTPU_INIT_ARGS")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chip(abc.ABC):
    """One kind of device that programs can be compiled for, from its maker's data sheet.

    Attributes:
        kind: as its driver names it.
        memory: bytes that programs can have.
        bandwidth: bytes a second to and from that memory.
        clock: cycles a second.
        time_note: what its estimates of time and memory are worth.
        compiler_options: with which programs are compiled for it.
        has_one_pool: whether all of a program's memory is planned as one, so that it takes what is
            needed at the peak, and not the sum of its parts.
    """

    kind: str
    memory: float
    bandwidth: float
    clock: float

    time_note: ClassVar[str]
    compiler_options: ClassVar[Mapping[str, str | bool]] = {}
    has_one_pool: ClassVar[bool] = False

    @property
    def peak_flops(self) -> float:
        """FLOP/s in bfloat16 at best."""
        peak = peak_flops_of(self.kind)
        assert peak is not None
        return peak

    @abc.abstractmethod
    def seconds(self, instruction: Instruction) -> float:
        """How long an instruction of a program that was compiled for it takes."""

    @abc.abstractmethod
    def explained(self, seconds: float) -> str:
        """Where an estimate of time comes from, for the brackets behind it."""
