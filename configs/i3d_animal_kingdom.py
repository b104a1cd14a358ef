"""I3D on Animal Kingdom."""

from ml_collections import ConfigDict

from configs import _baselines, animal_kingdom


def get_config() -> ConfigDict:
    """As the published comparison trained it, where that is sound: see `_baselines`."""
    return _baselines.i3d(animal_kingdom.get_config(), batch=16, weights="weights/i3d_kinetics")
