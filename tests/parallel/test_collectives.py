import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from animal_clip_jax.parallel.collectives import Traffic, collective_traffic

# A program on four devices whose exchanges are written out: its text as JSON.
_PROGRAMS = """
import functools, json, jax, jax.numpy as jnp
from jax.sharding import PartitionSpec as P
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 4)
mesh = jax.make_mesh((4,), ("x",), axis_types=(jax.sharding.AxisType.Auto,))

def text(program, out):
    mapped = jax.shard_map(program, mesh=mesh, in_specs=P("x"), out_specs=out, check_vma=False)
    x = jax.ShapeDtypeStruct((8, 6), jnp.float32)
    return jax.jit(mapped).lower(x).compile().as_text()

def summed_in_loops(x):
    def inner(y, _):
        return jax.lax.psum(jnp.sin(y), "x"), None
    def outer(y, _):
        return jax.lax.scan(inner, y, length=5)[0], None
    return jax.lax.scan(outer, x, length=3)[0]

print(json.dumps({
    "psum": text(lambda x: jax.lax.psum(x, "x"), P()),
    "loops": text(summed_in_loops, P()),
    "gather": text(lambda x: jax.lax.all_gather(x, "x", tiled=True), P()),
    "transpose": text(lambda x: jax.lax.all_to_all(x[None].repeat(4, 0), "x", 0, 0), P("x")),
    "shift": text(lambda x: jax.lax.ppermute(x, "x", [(i, (i + 1) % 4) for i in range(4)]), P("x")),
}))
"""


@pytest.fixture(scope="module")
def programs() -> dict[str, str]:
    finished = subprocess.run([sys.executable, "-c", _PROGRAMS], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


# Each device holds (2, 6) float32: 48 bytes.
@pytest.mark.parametrize(
    ("name", "kind", "count", "result_bytes"),
    [
        ("psum", "all-reduce", 1, 48),
        ("loops", "all-reduce", 15, 15 * 48),
        ("gather", "all-gather", 1, 4 * 48),
        ("transpose", "all-to-all", 1, 4 * 48),
        ("shift", "collective-permute", 1, 48),
    ],
)
def test_counts_and_bytes_of_known_exchanges(programs, name, kind, count, result_bytes):
    assert collective_traffic(programs[name]) == {kind: Traffic(count, result_bytes)}


def test_a_program_of_one_device_exchanges_nothing():
    compiled = jax.jit(lambda x: x @ x.T).lower(jnp.ones((4, 4))).compile()
    assert collective_traffic(compiled.as_text()) == {}
