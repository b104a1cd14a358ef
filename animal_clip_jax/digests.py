"""Digests of what is saved, so that damage is noticed when it is read again.

Every array has one, of its dtype, shape and values, whatever devices it lay on; so has a dictionary
that is saved as JSON. They are XXH3, which takes a small part of the time that reading a file
does, and notices accidents. It is no protection from whoever means harm: they write a new digest.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xxhash

from animal_clip_jax.errors import DamagedError

SEAL = "digest"


def digest_of_array(array: Any) -> str:
    """XXH3 (128 bits) of dtype, shape and values, in hexadecimal.

    Args:
        array: on the host, of any dtype and shape.
    """
    array = np.asarray(array)
    digest = xxhash.xxh3_128(f"{array.dtype.name} {array.shape}\n".encode())
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def digests_of(arrays: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """The digest of each array by name; see `digest_of_array`.

    Args:
        arrays: names and arrays, which may be made one after the other.
    """
    return {name: digest_of_array(array) for name, array in arrays}


def check_digests(found: Mapping[str, str], recorded: Mapping[str, str]) -> None:
    """Makes sure that arrays are those that were saved.

    Args:
        found, recorded: digests by name, as they are and as they were.

    Raises:
        DamagedError: some are others, are missing, or were not saved; names the first of them.
    """
    names = sorted(found.keys() | recorded.keys())
    wrong = [name for name in names if found.get(name) != recorded.get(name)]
    if wrong:
        first = wrong[0]
        how = "is missing" if first not in found else "has other values than were saved"
        more = f", and {len(wrong) - 1} more of {len(names)} arrays" if len(wrong) > 1 else ""
        raise DamagedError(f"{first} {how}{more}")


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content with a digest of all of it.

    Args:
        content: what JSON can hold.
    """
    return {**content, SEAL: _digest_of_json(content)}


def unsealed(content: Mapping[str, Any], *, is_sealed: bool = True) -> dict[str, Any]:
    """The inverse of `sealed`.

    Args:
        is_sealed: whether it must have a digest; of an older version it has none.

    Raises:
        DamagedError: the content is another than was saved, or has no digest and must have one.
    """
    if not seal_holds(content, is_sealed=is_sealed):
        raise DamagedError("its description is another than was saved")
    return {name: value for name, value in content.items() if name != SEAL}


def seal_holds(content: Mapping[str, Any], *, is_sealed: bool = True) -> bool:
    """Whether a content is what `sealed` gave, in any order. Arguments as `unsealed`."""
    rest = {name: value for name, value in content.items() if name != SEAL}
    return content[SEAL] == _digest_of_json(rest) if SEAL in content else not is_sealed


def _digest_of_json(content: Mapping[str, Any]) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(content, sort_keys=True).encode())
