import types

import jax
import numpy as np
import pytest

from animal_clip_jax.parallel.compiler_options import compiler_options
from animal_clip_jax.parallel.mesh import make_mesh


def mesh_of(platform: str, device_kind: str) -> types.SimpleNamespace:
    """What is asked of a mesh of devices that are not at hand."""
    device = types.SimpleNamespace(platform=platform, device_kind=device_kind)
    return types.SimpleNamespace(devices=np.array([[[device]]]))


def test_a_processor_is_told_what_its_compiler_knows():
    options = compiler_options(make_mesh({"data": -1, "fsdp": 1, "model": 1}))
    square = jax.jit(lambda x: x @ x, compiler_options=options)
    np.testing.assert_array_equal(square(np.eye(3)), np.eye(3))


def test_a_gpu_is_told_nothing_of_other_devices():
    assert compiler_options(mesh_of("gpu", "NVIDIA H100")) == {}


@pytest.mark.parametrize(
    ("kind", "is_given"), [("TPU v4", False), ("TPU v5 lite", True), ("TPU v6 lite", True)]
)
def test_chips_with_a_large_vector_memory_use_more_of_it(kind, is_given):
    options = compiler_options(mesh_of("tpu", kind))
    assert ("xla_tpu_scoped_vmem_limit_kib" in options) == is_given
