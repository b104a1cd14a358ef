"""X3D on LoTE-Animal."""

from ml_collections import ConfigDict

from configs import _baselines, lote_animal


def get_config() -> ConfigDict:
    """As the published comparison trained it, where that is sound: see `_baselines`."""
    return _baselines.x3d(lote_animal.get_config(), epochs=100, weights="weights/x3d_kinetics")
