import eight_device_estimates
import jax
from jax.sharding import AbstractMesh
from ml_collections import ConfigDict

from animal_clip_jax.estimates.fit import possible_changes
from animal_clip_jax.estimates.report import Case, fit_line
from animal_clip_jax.estimates.targets import parse_target
from animal_clip_jax.estimates.training_step import Estimate
from animal_clip_jax.parallel.mesh import AXES, make_mesh


def flags(*, devices: int = 1, **fields) -> list[str]:
    config = eight_device_estimates.tiny()  # 16 clips in two micro-batches
    config.update_from_flattened_dict(fields)
    return [
        change.flags for change in possible_changes(config, AbstractMesh((devices, 1, 1), AXES))
    ]


def test_the_cheapest_change_comes_first():
    assert flags() == [
        "--config.accumulation=4",
        "--config.accumulation=8",
        "--config.model.remat=dots",
        "--config.model.remat=blocks",
        "--config.accumulation=16",
        "--config.accumulation=16 --config.model.remat=blocks",
        "--config.model.dtype=bfloat16",
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
    first, _, third, *_ = possible_changes(config, AbstractMesh((1, 1, 1), AXES))
    assert (first.config.accumulation, third.config.model.remat) == (4, "dots")
    assert (config.model.remat, config.accumulation) == ("auto", 2)


def test_a_gpu_refuses_no_program_and_what_is_compiled_may_be_too_large():
    """0.95 of an H100's 84,942,979,072 bytes."""
    estimate = Estimate(0, 0, 0, 0, 81 * 10**9, 1.0, 1.0, {}, [])
    config = ConfigDict({"batch_size": 200})
    target = parse_target("cuda:h100")
    mesh = make_mesh({"data": 1, "fsdp": 1, "model": 1}, jax.devices()[:1])
    case = Case(target, mesh, config, estimate.total, estimate)
    assert not case.fits
    assert fit_line(case).startswith("does not fit: 81.00 of 80.70 GB a device, 0.30 GB too much")
