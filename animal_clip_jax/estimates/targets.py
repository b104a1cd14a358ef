"""The devices that a step can be compiled for without having them."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax

from animal_clip_jax.command_line import need, one_of
from animal_clip_jax.estimates import cuda, tpu
from animal_clip_jax.estimates.chips import Chip

CPU = "cpu"


class _Platform(NamedTuple):
    """Devices of one compiler.

    Attributes:
        what: in words.
        chips: by name.
        compiler: the module that brings it.
        checked: of a chip's name and an arrangement of several, "" for the smallest; says which, or
            raises UserError.
        devices: stand-ins, of a chip's name and an arrangement.
    """

    what: str
    chips: Mapping[str, Chip]
    compiler: str
    checked: Callable[[str, str], str]
    devices: Callable[[str, str], list[jax.Device]]


_PLATFORMS = {
    "tpu": _Platform("TPU", tpu.TPUS, tpu.COMPILER, tpu.checked_topology, tpu.devices),
    "cuda": _Platform("GPU", cuda.GPUS, cuda.COMPILER, cuda.checked_count, cuda.devices),
}


@dataclasses.dataclass(frozen=True)
class Target:
    """What a step is compiled for.

    Attributes:
        name: as it is written, with its topology: "cpu", "tpu:v5e:2x2" or "cuda:h100:8".
        chip: None for the processor of this machine.
        topology: such as "2x2" of TPUs, or "8" of GPUs.
    """

    name: str
    chip: Chip | None = None
    topology: str = ""


def parse_target(text: str) -> Target:
    """Reads "cpu", "tpu:v5e", "tpu:v5e:2x2", "cuda:h100" or "cuda:h100:8".

    Raises:
        UserError: there is no such target; offers the nearest.
    """
    platform, _, rest = text.strip().partition(":")
    if platform == CPU and not rest:
        return Target(CPU)
    if platform not in _PLATFORMS or not rest:
        known = [
            f"{platform}:{name}:{of.checked(name, '')}"
            for platform, of in _PLATFORMS.items()
            for name in of.chips
        ]
        one_of(text, [CPU, *known], what="target")
    found = _PLATFORMS[platform]
    name, _, topology = rest.partition(":")
    one_of(name, found.chips, what=found.what)
    topology = found.checked(name, topology)
    return Target(f"{platform}:{name}:{topology}", found.chips[name], topology)


def check_compiler(target: Target) -> None:
    """Raises ModuleNotFoundError if the compiler for a target is not installed."""
    if target.chip:
        need(_PLATFORMS[target.name.partition(":")[0]].compiler)


def devices_of(target: Target) -> list[jax.Device]:
    """Stand-ins for the devices of a target: programs can be compiled for them, and not run.

    Raises:
        ModuleNotFoundError: their compiler is not installed.
        UserError: the compiler knows no such topology.
    """
    check_compiler(target)
    platform, name, topology = target.name.split(":")
    return _PLATFORMS[platform].devices(name, topology)
