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
# Setting one of them ends the growth of the others, so these are where glibc lets them grow to.
_LARGEST_MMAP_THRESHOLD, _LARGEST_TRIM_THRESHOLD = 32 * _MB, 64 * _MB
_SETTINGS = ("top_pad", "mmap_threshold", "trim_threshold")


@functools.cache
def keep_freed_memory() -> None:
    """Has this process keep up to 32 MB a thread that it has freed, for its next allocations.

    Left to itself, glibc gives such memory back to the system and takes it again, fresh pages to be
    cleared, for each clip that a thread reads. Nothing is done where the C library is another, or
    the environment says how much it is to keep (MALLOC_TOP_PAD_, say, or glibc.malloc.top_pad in
    GLIBC_TUNABLES).
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
    mallopt(_TRIM_THRESHOLD, _LARGEST_TRIM_THRESHOLD)
