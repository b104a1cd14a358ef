"""Which animal performs which action: from the training split or a file."""

import numpy as np
from ml_collections import ConfigDict

from data_pipeline.dataset import DatasetInfo


def relation_of(config: ConfigDict, info: DatasetInfo) -> tuple[np.ndarray, str]:
    """The relation that `config.relation` describes.

    Returns:
        (actions, animals) float32, 1 where the animal performs the action, else 0; and a text that
        says where it comes from.

    Raises:
        FileNotFoundError, ValueError: a file is missing or damaged, or does not fit the labels; the
            fields do not fit each other.
    """
    relation = (info.relation_counts.T > 0).astype(np.float32)
    return relation, f"relation graph: {int(relation.sum())} edges, from the training split"
