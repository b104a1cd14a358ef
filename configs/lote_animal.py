"""Animal-CLIP on LoTE-Animal: 21 actions of 11 animals, one a clip."""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    """The published setting; point `data.directory` and `init_from` at your files."""
    config = default.get_config()
    config.data.directory = "data/lote_animal"
    config.init_from = "weights/animal_clip_init_vit_b16"
    config.data.num_actions = 21
    config.data.num_animals = 11
    return config
