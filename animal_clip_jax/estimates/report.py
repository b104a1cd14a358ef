"""Estimates as tables for a person."""

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jax.sharding import Mesh
from ml_collections import ConfigDict

from animal_clip_jax.estimates.chips import Chip
from animal_clip_jax.estimates.fit import Change
from animal_clip_jax.estimates.parts import Cost
from animal_clip_jax.estimates.program import Estimate
from animal_clip_jax.estimates.targets import Target
from animal_clip_jax.models.presets import PRESETS
from animal_clip_jax.tables import format_table

_NOTE = (
    "Estimates: the step was compiled for virtual CPU devices, and was not run. Parameters, "
    "optimizer and inputs are exact. Temporaries (activations, gradients, parameters brought "
    "together) and collectives are those of the CPU compiler; a GPU's or TPU's fuses, orders and "
    "lays out otherwise, and needs some memory for itself. The CPU compiler widens much of "
    "bfloat16 to float32, so that bfloat16 temporaries come out too large."
)


_ACCELERATOR_NOTE = (
    "Compiled for devices that are not there, and not run. Shapes, layouts and memory are those of "
    "their compiler. {times} The MFU counts what the model takes on paper; what is computed twice "
    "is time lost."
)


def report(config: ConfigDict, estimates: dict[str, Estimate], mesh: Mesh) -> str:
    """What is known of one step on processors, for a person.

    Args:
        estimates: by remat policy.
    """
    rows = [
        {
            "remat": policy,
            **{
                f"{name}, MB": f"{getattr(estimate, name) / 1e6:,.1f}"
                for name in ("parameters", "optimizer", "inputs", "temporaries", "total")
            },
            "GFLOP": f"{estimate.flops / 1e9:,.1f}",
            "GB accessed": f"{estimate.bytes_accessed / 1e9:,.1f}",
        }
        for policy, estimate in estimates.items()
    ]
    parts = [
        _processor_line([estimate.total for estimate in estimates.values()], mesh.size),
        _title(config, mesh),
        format_table(rows, title="one device, one step"),
    ]
    traffic = _traffic(estimates, ("remat",))
    if traffic:
        parts.append(format_table(traffic, title="collectives of one device, one step"))
    if len(estimates) == 1:
        (estimate,) = estimates.values()
        parts.append(format_table(_largest(estimate), title=_LARGEST))
    return "\n\n".join([*parts, _NOTE])


def _processor_line(needed: Sequence[int], num_devices: int) -> str:
    """Whether steps fit this machine; of several virtual devices, which stand for others, what
    each of them needs."""
    if num_devices > 1:
        span = " to ".join(_gb(size) for size in sorted({min(needed), max(needed)}))
        return f"needs {span} GB of each of {num_devices} devices"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    fitting = sum(size <= memory for size in needed)
    of_all = f"{fitting} of {len(needed)}, " if len(needed) > 1 else ""
    return (
        f"{'fits' if fitting else 'does not fit'}: {of_all}{_gb(min(needed))} of {_gb(memory)} GB "
        "of this machine"
    )


def _title(config: ConfigDict, mesh: Mesh) -> str:
    shape = " × ".join(f"{axis} {size}" for axis, size in mesh.shape.items())
    return (
        f"{config.model.family}, {config.model.num_frames} frames of "
        f"{config.model.architecture.image_size} px, {_dimensions(config)}, {config.model.dtype}; "
        f"{config.batch_size} clips a step in {config.accumulation} micro-batch(es); mesh {shape}"
    )


def _dimensions(config: ConfigDict) -> str:
    if config.model.family in PRESETS:
        return config.model.preset
    architecture = config.model.architecture
    return (
        f"patch {architecture.patch_size}, width {architecture.vision_width}, "
        f"{architecture.vision_layers} layers"
    )


def _traffic(estimates: Mapping[str, Estimate], named: Sequence[str]) -> list[dict[str, object]]:
    """Rows of what the devices tell each other; with a column for the names if it has a name."""
    return [
        {
            **dict.fromkeys(named, name),
            "collective": kind,
            "times": kind_traffic.count,
            "results, MB": f"{kind_traffic.result_bytes / 1e6:,.1f}",
        }
        for name, estimate in estimates.items()
        for kind, kind_traffic in estimate.collectives.items()
    ]


_PARTS_SHOWN = 10
_LARGEST = "the largest costs by part of the model"


class Case(NamedTuple):
    """One of the steps that are compared.

    Attributes:
        target: what it is compiled for.
        mesh: its devices.
        config: with what is compared set.
        needed: bytes of memory of a device.
        estimate: None if the compiler refused it as too large.
    """

    target: Target
    mesh: Mesh
    config: ConfigDict
    needed: float
    estimate: Estimate | None

    @property
    def fits(self) -> bool:
        """Whether it was compiled, and its memory is no more than a device has."""
        chip = self.target.chip
        return self.estimate is not None and (chip is None or self.needed <= chip.memory)


def utilisation(estimate: Estimate, chip: Chip) -> float:
    """The share of a device's peak at which it computes the model, by the estimated time (MFU)."""
    return estimate.model_flops / (estimate.seconds * chip.peak_flops)


def fit_line(case: Case) -> str:
    """Whether a step fits its devices, and by how much."""
    assert case.target.chip is not None
    memory = case.target.chip.memory
    room = memory - case.needed
    said = f"{_gb(case.needed)} of {_gb(memory)} GB a device"
    what = f"{case.target.name}, {case.config.batch_size} clips a step"
    if room < 0:
        return f"does not fit: {said}, {_gb(-room)} GB too much ({what})"
    return f"fits: {said}, {_gb(room)} GB left ({what})"


def too_large_report(case: Case, changes: Sequence[tuple[Change, float]]) -> str:
    """What is said of a step that does not fit.

    Args:
        changes: that would make it fit, with the bytes that it needs then.
    """
    lines = [fit_line(case)]
    if not changes:
        lines.append("None of the changes that were compiled makes it fit: take more devices.")
        return "\n".join(lines)
    rows = [
        {"change": change.flags, "GB a device": _gb(needed), "its price": change.price}
        for change, needed in changes
    ]
    lines.append(
        format_table(rows, title="each of these makes it fit, compiled to know; cheapest first")
    )
    return "\n\n".join(lines)


def accelerator_report(case: Case) -> str:
    """All that is known of one step on devices that are not there."""
    estimate, chip = case.estimate, case.target.chip
    assert estimate is not None and chip is not None
    beside = estimate.flops / estimate.model_flops - 1
    at_bandwidth = estimate.bytes_accessed / chip.bandwidth
    figures = {
        "FLOPs, compiled": f"{estimate.flops / 1e9:,.1f} G",
        "FLOPs, on paper": f"{estimate.model_flops / 1e9:,.1f} G (compiled {beside:+.1%})",
        "bytes accessed": f"{estimate.bytes_accessed / 1e9:,.1f} GB ({1e3 * at_bandwidth:,.1f} ms "
        f"at {chip.bandwidth / 1e9:,.0f} GB/s)",
        "estimated time": f"{1e3 * estimate.seconds:,.1f} ms ({chip.explained(estimate.seconds)})",
        "estimated MFU": f"{utilisation(estimate, chip):.1%} of {chip.peak_flops / 1e12:g} TFLOP/s",
        "memory: parameters": f"{_gb(estimate.parameters)} GB",
        "memory: optimizer": f"{_gb(estimate.optimizer)} GB",
        "memory: inputs": f"{_gb(estimate.inputs)} GB",
        "memory: temporaries": f"{_gb(estimate.temporaries)} GB",
        "memory: at the peak": f"{_gb(estimate.total)} GB",
    }
    title = f"compiled for {case.target.name}, estimated: one device, one step"
    parts = [
        fit_line(case),
        _title(case.config, case.mesh),
        format_table([{title: name, "": value} for name, value in figures.items()]),
    ]
    if estimate.collectives:
        traffic = _traffic({"": estimate}, ())
        parts.append(format_table(traffic, title="collectives of one device, one step"))
    parts.append(format_table(_largest(estimate), title=_LARGEST))
    return "\n\n".join([*parts, _accelerator_note([case])])


def _accelerator_note(cases: Sequence[Case]) -> str:
    """What is to be known of the estimates for each kind of device; "" if there is none."""
    times = dict.fromkeys(case.target.chip.time_note for case in cases if case.target.chip)
    return _ACCELERATOR_NOTE.format(times=" ".join(times)) if times else ""


def _largest(estimate: Estimate) -> list[dict[str, str]]:
    """By time; by bytes of a processor, for which nobody expects any time."""
    shown, rest = estimate.costs[:_PARTS_SHOWN], estimate.costs[_PARTS_SHOWN:]
    if rest:
        seconds = sum(cost.seconds for cost in rest)
        moved = sum(cost.bytes_accessed for cost in rest)
        shown = [*shown, Cost("all else", "", seconds, moved)]
    rows = []
    for cost in shown:
        row = {"part": cost.part, "pass": cost.direction}
        share = cost.bytes_accessed / max(estimate.bytes_accessed, 1)
        if estimate.seconds:
            row["est. ms"] = f"{1e3 * cost.seconds:,.2f}"
            share = cost.seconds / estimate.seconds
        gigabytes = cost.bytes_accessed / 1e9
        decimals = 1 if gigabytes >= 1 else 4
        rows.append(row | {"share": f"{share:.1%}", "GB": f"{gigabytes:,.{decimals}f}"})
    return rows


def comparison(cases: Sequence[Case]) -> str:
    """A table with a line a case, and what the figures are worth."""
    rows = []
    for case in cases:
        chip, estimate = case.target.chip, case.estimate
        row: dict[str, str | None] = {
            "target": case.target.name,
            "devices": str(case.mesh.size),
            "clips": str(case.config.batch_size),
            "remat": case.config.model.remat,
            "GB a device": _gb(case.needed),
        }
        if chip:
            row["fits"] = "yes" if case.fits else "no"
        if estimate:
            row["GFLOP"] = f"{estimate.flops / 1e9:,.1f}"
            row["GB accessed"] = f"{estimate.bytes_accessed / 1e9:,.1f}"
        if chip and estimate:
            row["est. ms"] = f"{1e3 * estimate.seconds:,.1f}"
            row["est. MFU"] = f"{utilisation(estimate, chip):.1%}"
            row["est. clips/s"] = f"{case.config.batch_size / estimate.seconds:,.0f}"
        rows.append(row)
    lines = [*_which_fit(cases), format_table(rows, title="one device, one step")]
    notes = [_NOTE if any(not case.target.chip for case in cases) else ""]
    notes.append(_accelerator_note(cases))
    return "\n\n".join([*lines, *filter(None, notes)])


def _which_fit(cases: Sequence[Case]) -> list[str]:
    """A line about the steps of which that can be said."""
    known = [case for case in cases if case.target.chip]
    if not known:
        return []
    fitting = [case for case in known if case.fits]
    return [f"fits: {len(fitting)} of {len(known)}"]


def _gb(size: float) -> str:
    return f"{size / 1e9:,.2f}"
