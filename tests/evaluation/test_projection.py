"""Projections against scikit-learn."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from animal_clip_jax.evaluation.projection import nearest_neighbours, principal_components

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(300, 12), (8, 40)])
def test_components_are_scikit_learns_up_to_their_signs(shape):
    features = (RANDOM.standard_normal(shape) * np.geomspace(5, 0.1, shape[1]) + 3).astype("f4")
    found = principal_components(features)
    theirs = PCA(2, svd_solver="full").fit(features.astype(float))
    expected = theirs.transform(features.astype(float))
    signs = np.sign((found.points * expected).sum(axis=0))
    np.testing.assert_allclose(found.points, signs * expected, atol=1e-6)
    np.testing.assert_allclose(found.shares, theirs.explained_variance_ratio_, rtol=1e-6)
    # The same features give the same picture: a sign does not come and go.
    again = principal_components(features[::-1].copy())
    np.testing.assert_allclose(again.points[::-1], found.points, atol=1e-6)


@pytest.mark.parametrize("features", [np.ones((1, 4)), np.full((5, 4), 2.5)])
def test_features_that_do_not_differ_are_one_point(features):
    found = principal_components(features)
    np.testing.assert_array_equal(found.points, np.zeros((len(features), 2)))
    np.testing.assert_array_equal(found.shares, [0, 0])


def test_neighbours_are_scikit_learns():
    features = RANDOM.standard_normal((600, 9))
    theirs = NearestNeighbors(n_neighbors=2, metric="cosine").fit(features)
    np.testing.assert_array_equal(
        nearest_neighbours(features), theirs.kneighbors(features, return_distance=False)[:, 1]
    )
