"""X-CLIP on MammalNet's compositional split."""

from ml_collections import ConfigDict

from configs import _baselines, mammalnet


def get_config() -> ConfigDict:
    """As `mammalnet`, with X-CLIP's text side."""
    return _baselines.xclip(mammalnet.get_config())
