import dataclasses
from typing import ClassVar

import eight_device_estimates
import jax
import pytest
from jax.sharding import AbstractMesh, Mesh
from ml_collections import ConfigDict

from animal_clip_jax.estimates.chips import Chip
from animal_clip_jax.estimates.fit import changes_that_fit, possible_changes, total_or_need
from animal_clip_jax.estimates.program import Estimate, needed_by
from animal_clip_jax.estimates.report import Case, fit_line, too_large_report
from animal_clip_jax.estimates.targets import Target, parse_target
from animal_clip_jax.parallel.hlo import Instruction
from animal_clip_jax.parallel.mesh import AXES, make_mesh


def flags(*, devices: int = 1, **fields) -> list[str]:
    config = eight_device_estimates.tiny()  # 16 clips in two micro-batches
    config.update_from_flattened_dict(fields)
    return [
        change.flags for change in possible_changes(config, AbstractMesh((devices, 1, 1), AXES))
    ]


def test_the_cheapest_change_comes_first():
    assert flags() == [
        "--config.model.dtype=bfloat16",
        "--config.accumulation=4",
        "--config.accumulation=8",
        "--config.model.remat=dots",
        "--config.model.remat=blocks",
        "--config.accumulation=16",
        "--config.accumulation=16 --config.model.remat=blocks",
    ]


def test_what_is_done_already_or_does_not_divide_is_not_offered():
    assert flags(devices=4, **{"model.remat": "blocks", "model.dtype": "bfloat16"}) == [
        "--config.accumulation=4",
        "--config.mesh.data=1 --config.mesh.fsdp=4",
        "--config.accumulation=4 --config.model.remat=blocks "
        "--config.mesh.data=1 --config.mesh.fsdp=4",
    ]


def test_a_change_is_made_in_a_copy():
    config = eight_device_estimates.tiny()
    _, second, _, fourth, *_ = possible_changes(config, AbstractMesh((1, 1, 1), AXES))
    assert (second.config.accumulation, fourth.config.model.remat) == (4, "dots")
    assert (config.model.remat, config.accumulation) == ("auto", 2)


def here() -> Mesh:
    return make_mesh({"data": 1, "fsdp": 1, "model": 1}, jax.devices()[:1])


@dataclasses.dataclass(frozen=True, kw_only=True)
class SmallDevice(Chip):
    """A processor of which no more memory than this may be used."""

    time_note: ClassVar[str] = ""

    def seconds(self, instruction: Instruction) -> float:
        return 0.0

    def explained(self, seconds: float) -> str:
        return ""


def test_what_makes_a_step_fit_is_compiled_to_know():
    config = eight_device_estimates.tiny()
    target = Target("cpu", SmallDevice(kind="", memory=0, bandwidth=1.0, clock=1.0))
    needed, estimate = total_or_need(config, target, here())
    assert estimate is not None and estimate.total == needed
    chip = dataclasses.replace(target.chip, memory=needed - 1)
    target = dataclasses.replace(target, chip=chip)
    tried: list[str] = []
    found = changes_that_fit(config, target, here(), notice=tried.append)
    assert tried == flags()[: len(tried)]
    offered = [change.flags for change, _ in found]
    assert offered == [flag for flag in tried if flag in offered]
    assert len(offered) == 3 and offered[-1] == tried[-1]
    assert all(less < needed for _, less in found)
    text = too_large_report(Case(target, here(), config, needed, estimate), found)
    assert text.startswith("does not fit: ")
    rows = [line for line in text.splitlines() if line.startswith("--config.")]
    assert [row.split("  ")[0] for row in rows] == offered


def test_where_no_change_helps_more_devices_are_advised():
    target = parse_target("tpu:v5e:2x2")
    text = too_large_report(Case(target, here(), ConfigDict({"batch_size": 64}), 20e9, None), [])
    assert text.splitlines() == [
        "does not fit: 20.00 of 16.91 GB a device, 3.09 GB too much (tpu:v5e:2x2, 64 clips a step)",
        "None of the changes that were compiled makes it fit: take more devices.",
    ]


@pytest.mark.parametrize(
    ("refusal", "needed"),
    [
        # libtpu 0.0.42.1, of 8 GiB that are replaced in place, 0.38 beside them, and 9.31 between.
        (
            "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO "
            "temporaries (17.70G) exceeds available HBM (15.75G).",
            17.70 * 2**30,
        ),
        (
            "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 16.11G of 15.75G "
            "hbm. Exceeded hbm capacity by 367.15M.",
            16.11 * 2**30,
        ),
        ("INTERNAL: Mosaic failed to compile TPU kernel", None),
    ],
)
def test_the_compilers_refusal_says_what_is_needed(refusal, needed):
    assert needed_by(refusal) == needed


def test_a_gpu_refuses_no_program_and_what_is_compiled_may_be_too_large():
    """0.95 of an H100's 84,942,979,072 bytes."""
    estimate = Estimate(0, 0, 0, 0, 81 * 10**9, 1.0, 1.0, {}, [])
    config = ConfigDict({"batch_size": 200})
    target = parse_target("cuda:h100")
    case = Case(target, here(), config, estimate.total, estimate)
    assert not case.fits
    assert fit_line(case).startswith("does not fit: 81.00 of 80.70 GB a device, 0.30 GB too much")
