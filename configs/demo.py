"""A small Animal-CLIP on the synthetic world: minutes on two CPU cores.

`make demo` starts it from a small CLIP that it pretrained on captioned pictures of that world
(`--config.init_from`), as a real run starts from CLIP.
"""

from ml_collections import ConfigDict

from animal_clip_jax.models.architectures import TINY, dimensions
from configs import default

DESCRIPTIONS = "configs/demo_descriptions"


def get_config() -> ConfigDict:
    """Everything that `make demo` needs but the data and the CLIP."""
    config = default.get_config()
    config.data.directory = "runs/demo/data"
    # What each of them asks is said in data_pipeline/synthetic/plan.py.
    config.data.test_split = "test+test_unseen_pairs+test_unseen_animals+test_shifted"
    config.data.multi_scale_crop = False
    config.data.num_workers = 1

    config.model.architecture.update(dimensions(TINY))
    config.model.num_frames = 4
    config.model.prompt_layers = 1
    config.model.graph_width = 64
    config.prompts.actions = f"{DESCRIPTIONS}/actions.csv"
    config.prompts.animals = f"{DESCRIPTIONS}/animals.csv"
    # The same CLIP recognises the animals, by their descriptions.
    config.animals.weights = "runs/demo/clip"
    config.animals.prompts = f"{DESCRIPTIONS}/animals.csv"
    # What docs/results.md found to be better than the published design in this world: no relation
    # graph, and half of the animals recognised, as those of a new video are.
    config.model.graph = "none"
    config.animals.label_dropout, config.animals.otherwise = 0.5, "predicted"
    config.evaluation.animal_sources = ("predicted", "none", "labels")

    config.augmentation.jitter_probability = 0.5
    config.augmentation.grey_probability = 0.1
    config.augmentation.mix = False
    # The towers are small, and their CLIP is young: rates are far above those of fine-tuning.
    config.optimizer.learning_rate = 5e-4
    config.optimizer.new_multiplier = 5.0
    config.optimizer.minimum_learning_rate = 1e-5
    config.epochs = 10
    config.warmup_epochs = 1
    config.batch_size = 16
    config.accumulation = 1

    config.evaluation.every_epochs = config.epochs
    config.evaluation.batch_size = 64
    config.evaluation.temporal_views = 1
    config.evaluation.crops = 1
    config.evaluation.shuffle_frames = True
    config.checkpoint.every_epochs = 5
    return config
