import os
import pathlib
import platform
import resource
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[3]
KEPT = "from data_pipeline.batches.freed_memory import keep_freed_memory; keep_freed_memory()"

# After what is given to it, the arrays of a thread, again and again, and the fresh pages that it
# takes for twenty times of them, last on the screen.
_ARRAYS = """
import resource, sys, threading
import numpy as np

exec(sys.argv[1])
sizes = [int(size) for size in sys.argv[2:]]

def take():
    arrays = [np.ones(size, np.uint8) for size in sizes]

def fresh_pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def run():
    for _ in range(3):
        take()
    before = fresh_pages()
    for _ in range(20):
        take()
    print(fresh_pages() - before)

thread = threading.Thread(target=run)
thread.start()
thread.join()
"""
CLIP = (2_000_000, *(500_000,) * 8)  # bytes of a record and its pictures
STEP = (16 * 2**20,) * 3  # of a small model

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")


def fresh_pages(arrays: tuple[int, ...], before: str = "", **settings: str) -> int:
    settings_of_malloc = ("MALLOC_", "GLIBC_TUNABLES")
    others = {k: v for k, v in os.environ.items() if not k.startswith(settings_of_malloc)}
    command = [sys.executable, "-c", _ARRAYS, before, *map(str, arrays)]
    said = subprocess.run(
        command, env={**others, **settings}, cwd=ROOT, capture_output=True, text=True
    )
    return int(said.stdout.splitlines()[-1])


def test_memory_of_a_clip_is_used_again_unless_the_environment_says_how_much_is_kept():
    given_back = fresh_pages(CLIP)
    assert 10 * fresh_pages(CLIP, KEPT) < given_back
    for settings in ({"MALLOC_TOP_PAD_": "0"}, {"GLIBC_TUNABLES": "glibc.malloc.top_pad=0"}):
        assert 2 * fresh_pages(CLIP, KEPT, **settings) > given_back
    other = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=7"}
    assert 10 * fresh_pages(CLIP, KEPT, **other) < given_back


@pytest.mark.parametrize(
    "command",
    [
        "from animal_clip_jax.run_commands import train\n"
        "data = '--config.data.directory={folder}'\n"
        "code = train(['--config=configs/demo.py', data, '--workdir={folder}/run'])",
        "from animal_clip_jax.pretrain import main\n"
        "code = main(['--architecture=tiny', '--data={folder}', '--output={folder}/init'])",
    ],
    ids=["train", "pretrain"],
)
def test_trainings_keep_memory_before_they_read_anything(command, tmp_path):
    """Said with the first batch, it would have no effect on steps. Neither finds clips here."""
    before = command.format(folder=tmp_path) + "\nassert code == 2"
    pages_of_a_step = sum(STEP) // resource.getpagesize()
    assert 10 * fresh_pages(STEP, before) < pages_of_a_step
