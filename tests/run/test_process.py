"""What a process keeps that computes on processors, seen from outside: the pages that it takes."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")

# A program whose temporaries are one piece of 81 MB, and the fresh pages of its later calls. Clips
# are read in the same process, which must not undo it.
_COMPUTING = """
import resource, sys
import jax
import jax.numpy as jnp
from animal_clip_jax.freed_memory import keep_freed_memory_of_readers
from animal_clip_jax.run.process import prepare_process

if sys.argv[1] == "prepared":
    prepare_process()
    keep_freed_memory_of_readers()

program = jax.jit(lambda x: jnp.sum(jnp.sort(x @ x.T, axis=0) @ x))
x = jnp.ones((4500, 4))

def fresh_pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for _ in range(5):
    program(x).block_until_ready()
before = fresh_pages()
for _ in range(5):
    program(x).block_until_ready()
print(fresh_pages() - before)
"""


@pytest.fixture
def fresh_pages(tmp_path):
    settings_of_malloc = ("MALLOC_", "GLIBC_TUNABLES")
    others = {k: v for k, v in os.environ.items() if not k.startswith(settings_of_malloc)}

    def run(how, **settings):
        environment = {**others, "XDG_CACHE_HOME": str(tmp_path / "caches"), **settings}
        command = [sys.executable, "-c", _COMPUTING, how]
        said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return int(said.stdout)

    return run


def test_a_program_on_processors_finds_the_memory_of_its_last_call(fresh_pages):
    given_back = fresh_pages("as it comes", JAX_PLATFORMS="cpu")
    # Once in a while, something small comes to lie where they would have been.
    assert 4 * fresh_pages("prepared", JAX_PLATFORMS="cpu") < given_back
    said = fresh_pages("prepared", JAX_PLATFORMS="cpu", MALLOC_MMAP_MAX_="65536")
    assert 2 * said > given_back


def test_memory_is_left_alone_where_an_accelerator_may_be(fresh_pages, tmp_path):
    plugin = tmp_path / "plugins" / "jax_plugins" / "pretended"
    plugin.mkdir(parents=True)
    (plugin / "__init__.py").write_text("def initialize():\n    pass\n")
    settings = {"JAX_PLATFORMS": "", "PYTHONPATH": str(plugin.parent.parent)}
    maybe = fresh_pages("prepared", **settings)
    known = fresh_pages("prepared", **{**settings, "JAX_PLATFORMS": "cpu"})
    assert 4 * known < maybe
