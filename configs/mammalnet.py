"""Animal-CLIP on MammalNet's compositional split: 12 behaviours of 173 genera, one a clip."""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    """The published setting; point `data.directory` and `init_from` at your files."""
    config = default.get_config()
    config.data.directory = "data/mammalnet"
    config.init_from = "weights/animal_clip_init_vit_b16"
    config.data.num_actions = 12
    config.data.num_animals = 173
    return config
