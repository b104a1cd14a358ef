"""Damages of a file, as transfers, disks and editors make them, and as nobody makes by chance."""

from collections.abc import Callable

import numpy as np

Mutation = Callable[[bytes, np.random.Generator], bytes]


def flip_bit(content: bytes, random: np.random.Generator) -> bytes:
    """One bit is another."""
    changed = bytearray(content)
    if changed:
        changed[random.integers(len(changed))] ^= 1 << int(random.integers(8))
    return bytes(changed)


def change_byte(content: bytes, random: np.random.Generator) -> bytes:
    """One byte is another, often one that means something in some format."""
    changed = bytearray(content)
    if changed:
        meant = b"\0\n\r\t\"',;[]{}0919\xff\x7f\x80. /\\"
        byte = int(random.choice(list(meant))) if random.random() < 0.7 else random.integers(256)
        changed[random.integers(len(changed))] = int(byte)
    return bytes(changed)


def cut(content: bytes, random: np.random.Generator) -> bytes:
    """The end is missing."""
    return content[: random.integers(len(content) + 1)]


def remove(content: bytes, random: np.random.Generator) -> bytes:
    """A part is missing."""
    start, stop = _part(content, random)
    return content[:start] + content[stop:]


def duplicate(content: bytes, random: np.random.Generator) -> bytes:
    """A part is there twice."""
    start, stop = _part(content, random)
    return content[:stop] + content[start:]


def insert(content: bytes, random: np.random.Generator) -> bytes:
    """Bytes are there that do not belong."""
    place = random.integers(len(content) + 1)
    return content[:place] + random.bytes(int(random.integers(1, 9))) + content[place:]


def clear(content: bytes, random: np.random.Generator) -> bytes:
    """A part holds zeros, as after a crash."""
    start, stop = _part(content, random)
    return content[:start] + bytes(stop - start) + content[stop:]


def swap(content: bytes, random: np.random.Generator) -> bytes:
    """Two neighbouring parts stand in the wrong order."""
    first, middle, last = np.sort(random.integers(len(content) + 1, size=3))
    return content[:first] + content[middle:last] + content[first:middle] + content[last:]


MUTATIONS: tuple[Mutation, ...] = (
    flip_bit,
    change_byte,
    cut,
    remove,
    duplicate,
    insert,
    clear,
    swap,
)


def _part(content: bytes, random: np.random.Generator) -> tuple[int, int]:
    """Where a part begins and ends: short ones as often as long ones."""
    start = int(random.integers(len(content) + 1))
    longest = max(1, len(content) - start)
    return start, start + int(np.ceil(longest ** random.random()))
