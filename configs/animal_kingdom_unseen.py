"""Animal-CLIP on Animal Kingdom's protocol for unseen animals (CARe): 8 actions, one a clip."""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    """The published setting; point `data.directory` and `init_from` at your files."""
    config = default.get_config()
    config.data.directory = "data/animal_kingdom_unseen"
    config.init_from = "weights/animal_clip_init_vit_b16"
    # Of the baseline and of a single training group: the animals differ, so their number is open.
    config.data.num_actions = 8
    config.data.validation_split = "val"
    return config
