"""NVIDIA's GPUs: programs are compiled for them by XLA, which expects no times; a roofline does."""

import dataclasses
import math
from collections.abc import Mapping
from typing import ClassVar

import jax

from animal_clip_jax.errors import UserError, quoted
from animal_clip_jax.estimates.chips import Chip
from animal_clip_jax.estimates.parts import bytes_accessed
from animal_clip_jax.parallel.hlo import Instruction, Product

COMPILER = "jax_cuda12_plugin"
# How many times its result a device sends for a collective among many, in rings as NCCL has them.
_SENT = {"all-reduce": 2, "all-gather": 1, "all-to-all": 1, "collective-permute": 1}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gpu(Chip):
    """A kind of NVIDIA's GPUs.

    Attributes:
        tf32_flops: FLOP/s of products of float32 values that are rounded to TF32.
        float32_flops: FLOP/s of products of float32 values that are not.
        link: bytes a second that it can send to the others of its machine.
        most: of them in a machine.
        described: what the compiler has to know of it: XLA's `GpuTargetConfigProto` as text.
    """

    tf32_flops: float
    float32_flops: float
    link: float
    most: int
    described: str = dataclasses.field(repr=False)

    time_note: ClassVar[str] = (
        "The time on a GPU is a roofline, and no measurement: each operation takes as long as its "
        "products at the peak of their precision (dense bfloat16, TF32, float32), or its bytes at "
        "the memory's bandwidth if that is longer; what passes between GPUs takes NVLink's. All of "
        "it comes one after another, without launches, so that a real step takes longer. FLOPs are "
        "those of products, by cuBLAS and cuDNN too. cuDNN's own scratch memory is known on a GPU "
        "only. JAX takes three quarters of a GPU's memory unless XLA_PYTHON_CLIENT_MEM_FRACTION "
        "says otherwise: 0.95 is counted here."
    )
    # Nothing can be tried out on a GPU that is not there, and products by Triton must be.
    compiler_options: ClassVar[Mapping[str, str | bool]] = {
        "xla_gpu_autotune_level": "0",
        "xla_gpu_enable_triton_gemm": False,
    }

    def seconds(self, instruction: Instruction) -> float:
        """By the roofline that `time_note` describes."""
        kind = instruction.opcode.removesuffix("-start")
        if kind in _SENT:
            return _SENT[kind] * instruction.result_bytes / self.link
        if kind == "reduce-scatter":
            return instruction.operand_bytes / self.link
        products = sum(product.flops / self._peak(product) for product in instruction.products)
        return max(products, bytes_accessed(instruction) / self.bandwidth)

    def explained(self, seconds: float) -> str:
        """What it is."""
        del seconds
        return "a roofline, see below"

    def _peak(self, product: Product) -> float:
        if product.dtype == "f32":
            return self.float32_flops if product.is_exact else self.tf32_flops
        return self.float32_flops / 2 if product.dtype == "f64" else self.peak_flops


# What the compiler knows of a Hopper chip; H100 and H200 differ by their memory alone.
_HOPPER = """
gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  memory_bandwidth: {bandwidth} l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: {memory} cuda_compute_capability {{ major: 9 minor: 0 }}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 8 }}
runtime_version {{ major: 12 minor: 9 patch: 0 }}
device_description_str: "{kind}"
"""


def _hopper(kind: str, *, memory: int, bandwidth: int) -> Gpu:
    """With these bytes, and bytes a second."""
    return Gpu(
        kind=kind,
        memory=math.floor(0.95 * memory),
        bandwidth=bandwidth,
        clock=1.98e9,
        tf32_flops=494.7e12,
        float32_flops=66.9e12,
        link=450e9,
        most=8,
        described=_HOPPER.format(kind=kind, memory=memory, bandwidth=bandwidth),
    )


GPUS = {
    "h100": _hopper("NVIDIA H100 80GB HBM3", memory=84_942_979_072, bandwidth=3_352_320_000_000),
    "h200": _hopper("NVIDIA H200", memory=141_000_000_000, bandwidth=4_800_000_000_000),
}


def checked_count(name: str, count: str) -> str:
    """How many GPUs of one machine, 1 where that is not given.

    Args:
        name: of a GPU, in `GPUS`.

    Raises:
        UserError: it is no such number.
    """
    count = count or "1"
    most = GPUS[name].most
    if count not in map(str, range(1, most + 1)):
        raise UserError(
            f"--target: {quoted(count)} is no number of GPUs in a machine of {name}; expected 1 to "
            f"{most}, such as cuda:{name}:{most}"
        )
    return count


def devices(name: str, count: str) -> list[jax.Device]:
    """Stand-ins for the GPUs of one machine: programs can be compiled for them, and not run.

    Args:
        name: of a GPU, in `GPUS`.
        count: of them.
    """
    from jax.experimental import topologies

    found = topologies.get_topology_desc(
        platform="cuda",
        topology_name=name,
        topology=f"1x1x{count}",
        target_config=GPUS[name].described,
    )
    return list(found.devices)
