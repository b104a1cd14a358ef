"""I3D on LoTE-Animal."""

from ml_collections import ConfigDict

from configs import _baselines, lote_animal


def get_config() -> ConfigDict:
    """As the published comparison trained it, where that is sound: see `_baselines`."""
    return _baselines.i3d(lote_animal.get_config(), batch=64)
