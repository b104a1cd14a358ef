"""Animal-CLIP on footage of one's own: sizes, batch, epochs and loss follow the data."""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    """Fine-tunes CLIP, or any weights of `init_from`, on what `convert-videos` wrote."""
    config = default.get_config()
    config.data.directory = "data/footage"
    config.init_from = "weights/clip"
    # 0 and "" follow the data, and the screen says what was chosen.
    config.batch_size = 0
    config.accumulation = 0
    config.epochs = 0
    config.loss = ""
    # With the relation graph, actions that many animals perform become alike: docs/results.md.
    config.model.graph = "none"
    # New videos come without labels. Told of the animals in half of the clips, the model learns to
    # do without, and is judged so first.
    config.animals.label_dropout = 0.5
    config.evaluation.animal_sources = ("none", "labels")
    # Epochs of little data are short.
    config.evaluation.every_epochs = 5
    config.checkpoint.every_epochs = 5
    return config
