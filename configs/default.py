"""The published Animal-CLIP. What each field means and may be is in animal_clip_jax/run/fields.py,
and `animal-clip train --config=configs/default.py --list_fields` prints it."""

from ml_collections import ConfigDict

from animal_clip_jax.models.architectures import ARCHITECTURES, dimensions
from animal_clip_jax.run.fields import default_config


def architecture(name: str) -> ConfigDict:
    """The dimensions of one of CLIP's architectures: ViT-B/32, B/16, L/14 or L/14@336.

    As `--config.model.architecture=NAME` on the command line.
    """
    return ConfigDict(dimensions(ARCHITECTURES[name]) | {"activation": ""})


def get_config() -> ConfigDict:
    """The default configuration; the other files of this folder start from it."""
    return default_config()
