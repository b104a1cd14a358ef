import os
import platform
import subprocess
import sys

import pytest

# Allocations of a thread that reads clips, and the fresh pages that it takes for twenty of them.
_READING = """
import resource, sys, threading
import numpy as np
from data_pipeline.batches.freed_memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()

def clip():
    record = np.ones(2_000_000, np.uint8)
    pictures = [np.ones(500_000, np.uint8) for _ in range(8)]

def fresh_pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def read():
    for _ in range(3):
        clip()
    before = fresh_pages()
    for _ in range(20):
        clip()
    print(fresh_pages() - before)

thread = threading.Thread(target=read)
thread.start()
thread.join()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc")
def test_memory_of_a_clip_is_used_again_unless_the_environment_says_how_much_is_kept():
    settings_of_malloc = ("MALLOC_", "GLIBC_TUNABLES")
    others = {k: v for k, v in os.environ.items() if not k.startswith(settings_of_malloc)}

    def fresh_pages(how, **settings):
        command = [sys.executable, "-c", _READING, how]
        said = subprocess.run(command, env={**others, **settings}, capture_output=True, text=True)
        return int(said.stdout)

    given_back = fresh_pages("given back")
    assert 10 * fresh_pages("kept") < given_back
    for settings in ({"MALLOC_TOP_PAD_": "0"}, {"GLIBC_TUNABLES": "glibc.malloc.top_pad=0"}):
        assert 2 * fresh_pages("kept", **settings) > given_back
    other = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=7"}
    assert 10 * fresh_pages("kept", **other) < given_back
