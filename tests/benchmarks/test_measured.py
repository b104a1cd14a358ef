"""The step that is measured beside its estimate, on a processor, which has no estimated time."""

import pathlib
import re
import subprocess
import sys

import pytest

from benchmarks.measured import chip_of

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("device_kind", "bandwidth"),
    [
        ("TPU v5 lite", 819e9),
        ("NVIDIA H100 80GB HBM3", 3352.32e9),
        ("NVIDIA H200", 4.8e12),
        ("NVIDIA H100 PCIe", None),
        ("cpu", None),
    ],
)
def test_devices_are_known_by_what_their_drivers_call_them(device_kind, bandwidth):
    chip = chip_of(device_kind)
    assert (chip and chip.bandwidth) == bandwidth


@pytest.mark.slow
def test_a_step_is_measured_and_estimated():
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.measured", "--layers=1", "--batch_size=2"]
        + ["--accumulation=1", "--dtype=float32", "--steps=1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    assert "2 clips in 1 micro-batch(es), float32; median of 1 steps" in finished.stdout
    assert re.search(r"^ms a step  +[\d.,]+ *$", finished.stdout, re.M)
    assert re.search(r"^GB a device +[\d.]+ *$", finished.stdout, re.M)
