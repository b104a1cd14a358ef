"""What the compilers of devices are told, in one place.

Each option stands here with what it brought. They are given to `jax.jit`, so that whatever compiles
a step, a run or `animal-clip estimate`, compiles the same program.
"""

import functools
import os
import platform

import jax
from jax.sharding import Mesh

# A TPU's compiler lets one operation have 16 MiB of the vector memory, of 128 on all chips since
# v5. With 32, larger tiles of a product fit beside what is fused into it.
_TPU = {"xla_tpu_scoped_vmem_limit_kib": "32768"}
_WITH_SMALL_VECTOR_MEMORY = ("TPU v2", "TPU v3", "TPU v4")
# A processor's leaves products with parameters to YNNPACK, which takes a quarter longer for them
# than Eigen on x86; sums and softmaxes with the products before them stay there.
_X86 = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE"}
# A processor's drops the barriers that keep rematerialised values from being computed early and
# stored after all, which is why every policy would need as much memory as none. This pass is it.
_DISABLED_PASSES = "xla_disable_hlo_passes"
_BARRIERS = "cse_barrier_expander"


def compiler_options(mesh: Mesh) -> dict[str, str]:
    """For `jax.jit(…, compiler_options=…)` of what runs on a mesh; those of its first device's
    compiler, since no other knows them."""
    device = mesh.devices.flat[0]
    if device.platform == "tpu" and not device.device_kind.startswith(_WITH_SMALL_VECTOR_MEMORY):
        return _TPU
    if device.platform != "cpu":
        return {}
    options = {_DISABLED_PASSES: ",".join([*_disabled_by_environment(), _BARRIERS])}
    is_x86 = platform.machine() in ("x86_64", "AMD64")
    if is_x86 and processor_compiler_knows(tuple(_X86.items())):
        options |= _X86
    return options


def _disabled_by_environment() -> list[str]:
    """Passes that XLA_FLAGS disables, which an option would enable again."""
    prefix = f"--{_DISABLED_PASSES}="
    flags = os.environ.get("XLA_FLAGS", "").split()
    return [flag.removeprefix(prefix) for flag in flags if flag.startswith(prefix)]


@functools.cache
def processor_compiler_knows(options: tuple[tuple[str, str], ...]) -> bool:
    """Whether this jaxlib has options for processors: the experimental ones come and go."""
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        try:
            jax.jit(lambda: 0, compiler_options=dict(options)).lower().compile()
        except jax.errors.JaxRuntimeError:
            return False
    return True
