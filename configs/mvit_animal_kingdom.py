"""MViT on Animal Kingdom."""

from ml_collections import ConfigDict

from configs import _baselines, animal_kingdom


def get_config() -> ConfigDict:
    """As the published comparison trained it, where that is sound: see `_baselines`."""
    return _baselines.mvit(animal_kingdom.get_config(), rate=2.5e-4, epochs=300, warmup=70)
