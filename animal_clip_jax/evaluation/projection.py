"""Features of many dimensions in two, to be drawn. In NumPy, on the host."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

_ROWS_AT_ONCE = 256


class Projection(NamedTuple):
    """Features along their principal components.

    Attributes:
        points: (n, components) float64.
        shares: (components,) of the whole variance that each component has.
    """

    points: np.ndarray
    shares: np.ndarray


def principal_components(features: ArrayLike, components: int = 2) -> Projection:
    """Principal component analysis: the directions in which features differ most.

    The components are the singular vectors of the covariance matrix. Their signs, which are
    arbitrary, are such that the largest entry of each is positive.

    Args:
        features: (n, dimensions), at least one row. They are centred, not scaled.
        components: at most so many as there are dimensions.
    """
    found = np.asarray(features)
    mean = found.mean(axis=0, dtype=np.float64)

    def centred() -> Iterator[np.ndarray]:
        for first in range(0, len(found), _ROWS_AT_ONCE):
            yield found[first : first + _ROWS_AT_ONCE] - mean

    # The matrix of dimensions × dimensions has the same components as the features, and is small
    # where these are many.
    covariance = np.zeros((found.shape[1], found.shape[1]))
    for rows in centred():
        covariance += rows.T @ rows
    _, variances, directions = np.linalg.svd(covariance, hermitian=True)
    directions = directions[:components]
    largest = np.abs(directions).argmax(axis=1)
    directions *= np.sign(directions[np.arange(len(directions)), largest])[:, None]
    total = variances.sum()
    shares = variances[:components] / total if total > 0 else np.zeros(len(directions))
    return Projection(np.concatenate([rows @ directions.T for rows in centred()]), shares)


def nearest_neighbours(features: ArrayLike) -> np.ndarray:
    """Of each clip, the other one whose feature has the least angle to its own.

    Args:
        features: (n, dimensions), at least two rows.

    Returns:
        int64 (n,), positions; of equally near ones the first.
    """
    found = np.asarray(features, np.float32)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    directions = found / np.maximum(lengths, np.finfo(np.float32).tiny)
    nearest = []
    for first in range(0, len(directions), _ROWS_AT_ONCE):
        rows = np.arange(first, min(first + _ROWS_AT_ONCE, len(directions)))
        cosines = directions[rows] @ directions.T
        cosines[np.arange(len(rows)), rows] = -np.inf
        nearest.append(cosines.argmax(axis=1))
    return np.concatenate(nearest)
