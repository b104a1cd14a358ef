"""EVL on Animal Kingdom."""

from ml_collections import ConfigDict

from configs import _baselines, animal_kingdom


def get_config() -> ConfigDict:
    """As the published comparison trained it, where that is sound: see `_baselines`."""
    return _baselines.evl(animal_kingdom.get_config(), epochs=30)
