"""A converted dataset that a test has changed, as a conversion that gave these files."""

import json
import pathlib

from data_pipeline.dataset import DATASET_FILE, FILE_DIGESTS, OWN_DIGEST, file_digests, with_digest


def describe_again(folder: pathlib.Path, **changes) -> pathlib.Path:
    """Writes the description anew, with the digests of the files as they are now.

    Args:
        folder: a converted dataset.
        changes: fields of its description.
    """
    path = folder / DATASET_FILE
    description = {**json.loads(path.read_text()), **changes}
    del description[OWN_DIGEST]
    description[FILE_DIGESTS] = file_digests(folder)
    path.write_text(json.dumps(with_digest(description)))
    return folder
