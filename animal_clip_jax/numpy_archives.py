"""NumPy archives (.npz) of which damage is always noticed."""

import io
import struct
import zipfile

import numpy as np


def read_arrays(content: bytes) -> dict[str, np.ndarray]:
    """The arrays in a NumPy archive that `np.savez` wrote.

    `np.load` compares an array's checksum only if it reads all of its bytes, which it does not
    where the damage makes the array a smaller one.

    Raises:
        ValueError: it is damaged, or something else.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            arrays = {}
            for entry in archive.infolist():
                if entry.compress_type != zipfile.ZIP_STORED or entry.filename in arrays:
                    raise ValueError(f"its entry {entry.filename!r} is compressed or there twice")
                array = io.BytesIO(archive.read(entry))
                arrays[entry.filename] = np.lib.format.read_array(array, allow_pickle=False)
    except ValueError:
        raise
    # What zipfile raises depends on where the damage is.
    except (zipfile.BadZipFile, RuntimeError, EOFError, OSError, struct.error) as error:
        raise ValueError(str(error)) from error
    return {name.removesuffix(".npy"): array for name, array in arrays.items()}
