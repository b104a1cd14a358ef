"""What the devices are capable of and what of it is used."""

import re
from collections.abc import Iterable

import jax

# Peak dense matrix throughput of one device, FLOP/s in bfloat16, from the makers' data sheets.
_PEAK_FLOPS = {
    "TPU v3": 123e12 / 2,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5p": 459e12,
    "TPU v5": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
    "NVIDIA A100": 312e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H200": 989e12,
    "NVIDIA L4": 121e12,
    "NVIDIA L40S": 362e12,
    "Tesla V100": 125e12,
}


def peak_flops(device: jax.Device) -> float | None:
    """FLOP/s of one device at best, None where it is not known (a CPU, say)."""
    return peak_flops_of(device.device_kind)


def peak_flops_of(device_kind: str) -> float | None:
    """The same by the name that a driver gives such devices, "TPU v5e" or "NVIDIA H100"."""
    name = name_among(_PEAK_FLOPS, device_kind)
    return _PEAK_FLOPS[name] if name else None


def name_among(names: Iterable[str], device_kind: str) -> str | None:
    """The longest of some names that a driver's for a device begins with, None if none does. In
    whole words: an L40 is no L4, and an H100 80GB is an H100."""
    known = [name for name in names if re.match(rf"{re.escape(name)}\b", device_kind)]
    return max(known, key=len, default=None)


def ideal_seconds(compiled: jax.stages.Compiled, *, micro_batches: int) -> float | None:
    """How long a compiled training step takes a device at its peak; None where not known."""
    peak = peak_flops(jax.devices()[0])
    cost = compiled.cost_analysis()
    # The analysis is of the program of one device, and counts a loop's body once.
    return micro_batches * cost["flops"] / peak if peak and cost and "flops" in cost else None


def peak_memory() -> float | None:
    """Bytes that the fullest of this process's devices has held; None where it is not told."""
    stats = [device.memory_stats() for device in jax.local_devices()]
    peaks = [
        entry["peak_bytes_in_use"] for entry in stats if entry and "peak_bytes_in_use" in entry
    ]
    return float(max(peaks)) if peaks else None
