"""A converted dataset that a test has changed, as a conversion that gave these files."""

import json
import pathlib

from animal_clip_jax.digests import SEAL, sealed
from data_pipeline.dataset_files import DATASET_FILE, FILE_DIGESTS, file_digests


def describe_again(folder: pathlib.Path, **changes) -> pathlib.Path:
    """Writes the description anew, with the digests of the files as they are now.

    Args:
        folder: a converted dataset.
        changes: fields of its description.
    """
    path = folder / DATASET_FILE
    description = {**json.loads(path.read_text()), **changes}
    del description[SEAL]
    description[FILE_DIGESTS] = file_digests(folder)
    path.write_text(json.dumps(sealed(description)))
    return folder
