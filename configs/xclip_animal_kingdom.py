"""The X-CLIP baseline on Animal Kingdom: the same video tower, never told the animal."""

from ml_collections import ConfigDict

from configs import animal_kingdom


def get_config() -> ConfigDict:
    """As `animal_kingdom`, with X-CLIP's text side."""
    config = animal_kingdom.get_config()
    config.model.family = "xclip"
    config.animals.source = "none"
    config.evaluation.animal_sources = ("none",)
    config.init_from = "weights/xclip_init_vit_b16"
    return config
