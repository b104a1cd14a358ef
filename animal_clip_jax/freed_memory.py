"""What the C library does with memory that is not needed any more.

Left to itself, glibc gives most of it back to the system and takes it again, fresh pages to be
cleared, for the next clip or the next step. Nothing is changed where the C library is another, or
the environment says how much it is to keep (MALLOC_TOP_PAD_, say, or glibc.malloc.top_pad in
GLIBC_TUNABLES).
"""

import ctypes
import os
import platform

# malloc.h: what its mallopt() calls them.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -2, -3, -4, -8
_MB = 2**20
# Each thread that reads has freed what it took for a clip, records and pictures of a few MB, before
# it takes it for the next. Setting one of them ends the growth of the others, so these are where
# glibc lets them grow to.
_OF_READERS = {_TOP_PAD: 32 * _MB, _MMAP_THRESHOLD: 32 * _MB, _TRIM_THRESHOLD: 64 * _MB}
# The temporaries of a step are one piece of up to gigabytes. It is kept only where it comes from
# the heap that may grow so far, and that is no thread's own.
_ALL = {_ARENA_MAX: 1, _MMAP_MAX: 0, _TRIM_THRESHOLD: -1}
_PIECES, _PIECE, _BETWEEN = 16, 64 * _MB, 64 * 1024
_NAMES = ("top_pad", "mmap_threshold", "trim_threshold", "mmap_max", "arena_max")

_done: list[dict[int, int]] = []


def keep_freed_memory_of_readers() -> None:
    """Has this process keep up to 32 MB a thread that it has freed, for its next allocations."""
    if _OF_READERS not in _done and _ALL not in _done:
        _set(_OF_READERS)


def keep_all_freed_memory() -> None:
    """Has this process keep all memory that it has freed, for its next allocations.

    For one that computes on processors, before it starts threads: all of them share one heap from
    here on, and take turns at it.
    """
    if _ALL not in _done and _set(_ALL):
        _reserve()


def _reserve() -> None:
    """Adds free pieces to the heap, of addresses alone as long as nobody uses them.

    Whatever is smaller finds its place there. It would be cut from what the temporaries of a step
    leave, which would not fit in there again, and the heap would grow by another such piece.
    """
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    pieces = []
    for _ in range(_PIECES):
        pieces.append(libc.malloc(_PIECE))
        libc.malloc(_BETWEEN)  # never freed, so that the pieces do not become one
    for piece in pieces:
        libc.free(piece)


def _set(options: dict[int, int]) -> bool:
    """Whether it could."""
    _done.append(options)
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    is_said = any(
        variable in os.environ or f"glibc.malloc.{name}=" in tunables
        for name in _NAMES
        for variable in (f"MALLOC_{name.upper()}", f"MALLOC_{name.upper()}_")
    )
    if is_said or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(option, value) for option, value in options.items())
