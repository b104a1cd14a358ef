"""Devices by the names that drivers give them."""

import dataclasses

import pytest

from animal_clip_jax.parallel.accelerator import peak_flops


@dataclasses.dataclass(frozen=True)
class Device:
    device_kind: str


@pytest.mark.parametrize(
    ("kind", "teraflops"),
    [
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", 362),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("TPU v5 lite", 197),
        ("TPU v5p", 459),
        ("TPU v5", 459),
    ],
)
def test_peaks_of_the_data_sheets(kind, teraflops):
    assert peak_flops(Device(kind)) == pytest.approx(teraflops * 1e12)


@pytest.mark.parametrize("kind", ["NVIDIA L40", "NVIDIA A100X", "TPU v50", "cpu", ""])
def test_a_device_whose_name_only_begins_like_a_known_one_is_not_known(kind):
    assert peak_flops(Device(kind)) is None
