"""X-CLIP on Animal Kingdom."""

from ml_collections import ConfigDict

from configs import _baselines, animal_kingdom


def get_config() -> ConfigDict:
    """As `animal_kingdom`, with X-CLIP's text side."""
    return _baselines.xclip(animal_kingdom.get_config())
