"""What the C library does with memory that is not needed any more."""

import ctypes
import functools
import os
import platform

# malloc.h: what its mallopt() calls them.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_MB = 2**20
# Each thread that reads has freed what it took for a clip, records and pictures of a few MB, before
# it takes it for the next.
_KEPT = 32 * _MB
# Setting one of them ends the growth of the others, so this is where glibc lets it grow to.
_LARGEST_MMAP_THRESHOLD = 32 * _MB
# Of the steps on a processor in the same process, what is below that threshold.
_KEPT_OF_STEPS = 1024 * _MB
_SETTINGS = ("top_pad", "mmap_threshold", "trim_threshold")


@functools.cache
def keep_freed_memory() -> None:
    """Has this process keep memory that it has freed, for its next allocations: 32 MB a thread and
    1 GB at the end of a heap, of pieces below 32 MB.

    Left to itself, glibc gives such memory back to the system and takes it again, fresh pages to be
    cleared, for each clip that a thread reads, and on processors for each step of a small model,
    whose training calls this as its process begins. Nothing is done where the C library is another,
    or the environment says how much it is to keep (MALLOC_TOP_PAD_, say, or glibc.malloc.top_pad
    in GLIBC_TUNABLES).
    """
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    is_said = any(
        f"MALLOC_{name.upper()}_" in os.environ or f"glibc.malloc.{name}=" in tunables
        for name in _SETTINGS
    )
    if is_said or platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_TOP_PAD, _KEPT)
    mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
    mallopt(_TRIM_THRESHOLD, _KEPT_OF_STEPS)
