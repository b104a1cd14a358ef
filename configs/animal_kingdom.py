"""Animal-CLIP on Animal Kingdom: 140 actions of 897 animals, several a clip."""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    """The published setting; point `data.directory` and `init_from` at your files."""
    config = default.get_config()
    config.data.directory = "data/animal_kingdom"
    config.init_from = "weights/animal_clip_init_vit_b16"
    config.data.num_actions = 140
    config.data.num_animals = 897
    return config
