"""Batch normalisation over the clips of all devices."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
from tiny_run import on_devices

from animal_clip_jax.models import parameters

PROGRAM = pathlib.Path(__file__).with_name("two_devices.py")


@pytest.mark.parametrize("name", ["i3d", "x3d"])
def test_two_devices_have_the_statistics_of_one(name, tmp_path):
    """Three steps of SGD on batches whose halves, a device's each, are far apart."""
    path = tmp_path / "trained.npz"
    process = subprocess.run(
        [sys.executable, str(PROGRAM), str(path), name],
        env=on_devices(2),
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    with np.load(path) as archive:
        saved = dict(archive)
    one, two = (
        {key.removeprefix(count): value for key, value in saved.items() if key.startswith(count)}
        for count in ("1/", "2/")
    )
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-5)
    assert sum(map(parameters.is_statistic, one)) > 20
    for key, expected in one.items():
        difference = np.linalg.norm(two[key] - expected)
        assert difference <= 1e-5 * np.linalg.norm(expected), key
    # They moved, and by more than rounding.
    means = [value for key, value in one.items() if key.endswith("running_mean")]
    assert max(np.abs(mean).max() for mean in means) > 1
