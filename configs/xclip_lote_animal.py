"""X-CLIP on LoTE-Animal."""

from ml_collections import ConfigDict

from configs import _baselines, lote_animal


def get_config() -> ConfigDict:
    """As `lote_animal`, with X-CLIP's text side."""
    return _baselines.xclip(lote_animal.get_config())
