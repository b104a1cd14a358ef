"""A compiled program, for devices that need not be there, and what it needs of one."""

import dataclasses
import math
import re

import jax
import numpy as np

from animal_clip_jax.estimates.chips import COMPILER_FLAGS, Chip
from animal_clip_jax.estimates.parts import Cost, costs_by_part
from animal_clip_jax.parallel.collectives import Traffic, collective_traffic
from animal_clip_jax.parallel.hlo import product_flops
from data_pipeline.standard_error import held_standard_error

# How the compiler for TPUs says that a program does not fit. What the second calls temporaries is
# all that lies in memory: arguments, and results that take no argument's place, too.
_TOO_LARGE = re.compile(
    r"(?:Used |required for HLO temporaries \()([\d.]+)([KMGT]?)"
    r"(?: of [\d.]+[KMGT]? hbm|\) exceeds)"
)
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class TooLargeError(Exception):
    """The compiler refuses a program that needs more memory than a device has.

    Attributes:
        needed: bytes.
    """

    def __init__(self, needed: float):
        super().__init__(f"needs {needed:.0f} bytes")
        self.needed = needed


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What one run of a program needs of one device.

    Attributes:
        parameters: bytes of all parameters, trained (and their averages) and frozen.
        optimizer: bytes of the optimizer's state; none in a prediction.
        inputs: bytes of the batch and the class context.
        temporaries: bytes of activations, gradients and all else that lives within a run.
        total: bytes of all these, or those at the peak of a device that has one pool for all.
        flops: floating-point operations as the compiler counts them, of a GPU those of products.
        model_flops: those of the model on paper (`estimates.theory`): nothing computed twice.
        collectives: what the devices tell each other, by kind.
        costs: what each part of the model takes; of a CPU without the time.
    """

    parameters: int
    optimizer: int
    inputs: int
    temporaries: int
    total: int
    flops: float
    model_flops: float
    collectives: dict[str, Traffic]
    costs: list[Cost]

    @property
    def bytes_accessed(self) -> int:
        """Bytes that its operations read and write, of any memory."""
        return sum(cost.bytes_accessed for cost in self.costs)

    @property
    def seconds(self) -> float:
        """Of its operations one after another; 0 for a CPU, for which nobody expects any."""
        return sum(cost.seconds for cost in self.costs)


def bytes_per_device(shapes, shardings) -> int:
    """Bytes of a tree of arrays, or of shapes with dtypes, that lie on one device.

    Args:
        shardings: in the same structure.
    """
    sizes = jax.tree.map(
        lambda leaf, sharding: (
            math.prod(sharding.shard_shape(leaf.shape)) * np.dtype(leaf.dtype).itemsize
        ),
        shapes,
        shardings,
    )
    return sum(jax.tree.leaves(sizes))


def estimate_program(
    lowered: jax.stages.Lowered,
    chip: Chip | None,
    *,
    parameters: int,
    optimizer: int,
    inputs: int | None = None,
    model_flops: float,
    repeats: int = 1,
) -> Estimate:
    """Compiles a program, without running it.

    Args:
        lowered: traced for some devices.
        chip: what they are; None for CPUs, of which there is no time.
        parameters, optimizer: bytes of these that lie on a device.
        inputs: bytes of these; None if the program uses all of its arguments, which says it.
        model_flops: of the model on paper, a device.
        repeats: how often the loop runs that is all of the program, of which the compiler counts
            the operations once.

    Raises:
        TooLargeError: the compiler says that it does not fit.
    """
    compiled = _compiled(lowered, chip)
    memory, cost, text = (
        compiled.memory_analysis(),
        compiled.cost_analysis(),
        compiled.as_text(),
    )
    assert memory is not None and text is not None
    # The next state takes the place of the state; only what has no such place comes on top.
    results = memory.output_size_in_bytes - memory.alias_size_in_bytes
    temporaries = memory.temp_size_in_bytes + results
    if inputs is None:
        inputs = memory.argument_size_in_bytes - parameters - optimizer
    given = parameters + optimizer + inputs
    total = given + temporaries
    if chip and chip.has_one_pool:
        # What a program has no use for, such as a prediction for texts, lies there beside it.
        total = memory.peak_memory_in_bytes + given - memory.argument_size_in_bytes
    return Estimate(
        parameters=parameters,
        optimizer=optimizer,
        inputs=inputs,
        temporaries=temporaries,
        total=total,
        # That for GPUs counts nothing.
        flops=cost["flops"] * repeats if cost else product_flops(text),
        model_flops=model_flops,
        collectives=collective_traffic(text),
        costs=costs_by_part(text, chip.seconds) if chip else costs_by_part(text),
    )


def needed_by(refusal: str) -> float | None:
    """Bytes that a program needs of a device, by the message with which the compiler refuses it as
    too large; None if the message says something else."""
    found = _TOO_LARGE.search(refusal)
    return float(found[1]) * _UNITS[found[2]] if found else None


def _compiled(lowered: jax.stages.Lowered, chip: Chip | None) -> jax.stages.Compiled:
    """A program for the devices that it was traced for.

    Args:
        chip: what they are; None for CPUs.

    Raises:
        TooLargeError: the compiler says that it does not fit.
    """
    try:
        if chip is None:
            return lowered.compile()
        with held_standard_error(unless=COMPILER_FLAGS):  # it complains of its own slowness
            return lowered.compile(dict(chip.compiler_options) or None)
    except jax.errors.JaxRuntimeError as error:
        needed = needed_by(str(error))
        if needed is None:
            raise
        raise TooLargeError(needed) from error
