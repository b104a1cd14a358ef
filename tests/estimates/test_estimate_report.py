"""The tables, of estimates that are made up."""

import dataclasses
import re

import eight_device_estimates
import jax
import pytest
from jax.sharding import Mesh

from animal_clip_jax.estimates.parts import Cost
from animal_clip_jax.estimates.program import Estimate
from animal_clip_jax.estimates.report import Case, comparison, report
from animal_clip_jax.estimates.targets import parse_target
from animal_clip_jax.parallel.mesh import AXES, make_mesh

GB = 10**9
# Two parts more than are listed, each a GB less than the one before.
COSTS = [Cost(f"part {number}", "forward", 0.0, (20 - number) * GB) for number in range(12)]
ESTIMATE = Estimate(1 * GB, 2 * GB, 0, 3 * GB, 6 * GB, 2e12, 1e12, {}, COSTS)


def meshes(*counts: int) -> list[Mesh]:
    """Of one device, several times over: only how many there are is read."""
    one = make_mesh({"data": 1, "fsdp": 1, "model": 1}, jax.devices()[:1]).devices
    return [Mesh(one.repeat(count, axis=0), AXES) for count in counts]


@pytest.mark.parametrize(
    ("totals", "devices", "first_line"),
    [
        ([6 * GB], 1, r"fits: 6\.00 of [\d.]+ GB of this machine"),
        ([6 * GB, 10**16], 1, r"fits: 1 of 2, 6\.00 of [\d.]+ GB of this machine"),
        ([10**16], 1, r"does not fit: 10,000,000\.00 of [\d.]+ GB of this machine"),
        ([6 * GB], 8, r"needs 6\.00 GB of each of 8 devices"),
        ([6 * GB, 3 * GB], 8, r"needs 3\.00 to 6\.00 GB of each of 8 devices"),
    ],
)
def test_whether_it_fits_comes_first(totals, devices, first_line):
    (mesh,) = meshes(devices)
    estimates = {
        f"policy {number}": dataclasses.replace(ESTIMATE, total=total)
        for number, total in enumerate(totals)
    }
    text = report(eight_device_estimates.tiny(), estimates, mesh)
    assert re.fullmatch(first_line, text.splitlines()[0])


def test_a_processors_costs_are_by_bytes():
    (mesh,) = meshes(1)
    text = report(eight_device_estimates.tiny(), {"none": ESTIMATE}, mesh)
    total = sum(range(9, 21))
    (row,) = re.findall(r"^none .*", text, re.M)
    assert row.split()[-2:] == ["2,000.0", f"{total}.0"]
    parts = re.findall(r"^(part \d+|all else) +(?:forward)? +([\d.]+)% +([\d.]+)$", text, re.M)
    assert [(name, float(moved)) for name, _, moved in parts] == [
        *((f"part {number}", 20 - number) for number in range(10)),
        ("all else", 10 + 9),
    ]
    for _, share, moved in parts:
        assert float(share) == pytest.approx(100 * float(moved) / total, abs=0.051)


def test_several_steps_are_compared_in_a_table():
    """What fits is counted first; what the compiler refused has its memory, and no more."""
    config = eight_device_estimates.tiny()
    larger = config.copy_and_resolve_references()
    larger.batch_size = 1024
    timed = [dataclasses.replace(COSTS[0], seconds=0.05)]
    estimate = dataclasses.replace(ESTIMATE, costs=timed)
    target, (mesh,) = parse_target("tpu:v5e:2x2"), meshes(4)
    text = comparison(
        [Case(target, mesh, config, 6 * GB, estimate), Case(target, mesh, larger, 20 * GB, None)]
    )
    assert text.splitlines()[0] == "fits: 1 of 2"
    rows = re.findall(r"^tpu:v5e:2x2 .*", text, re.M)
    assert rows[0].split()[1:6] == ["4", "16", "auto", "6.00", "yes"]
    assert rows[1].split()[1:] == ["4", "1024", "auto", "20.00", "no"]
    # 1 TFLOP in 50 ms, of 197 TFLOP/s; 16 clips.
    assert rows[0].split()[-3:] == ["50.0", f"{100 / 0.05 / 197:.1f}%", "320"]
    assert "Compiled for devices that are not there" in text
