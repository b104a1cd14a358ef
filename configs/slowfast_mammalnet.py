"""SlowFast on MammalNet's compositional split."""

from ml_collections import ConfigDict

from configs import _baselines, mammalnet


def get_config() -> ConfigDict:
    """As the published comparison trained it, where that is sound: see `_baselines`."""
    return _baselines.slowfast(mammalnet.get_config())
