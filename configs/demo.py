"""A small Animal-CLIP from scratch on synthetic videos: minutes on two CPU cores."""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    """Everything that `make demo` needs but the data."""
    config = default.get_config()
    config.data.directory = "runs/demo/data"
    config.data.multi_scale_crop = False
    config.data.num_workers = 1

    config.model.architecture.update(
        dict(
            embed_dim=64,
            image_size=32,
            patch_size=8,
            vision_width=64,
            vision_layers=3,
            vision_heads=2,
            text_width=64,
            text_layers=2,
            text_heads=1,
            context_length=16,
        )
    )
    config.model.prompt_layers = 1
    config.model.graph_width = 64

    config.augmentation.jitter_probability = 0.5
    config.augmentation.grey_probability = 0.1
    config.augmentation.mix = False
    # Told of the animals in half of the clips, the model learns to do without. The relations of
    # the training split deny what an animal is first seen doing in the test.
    config.animals.label_dropout = 0.5
    config.evaluation.animal_sources = ("none", "labels")

    # From scratch everything is new, so rates are far above those of fine-tuning.
    config.optimizer.learning_rate = 1e-3
    config.optimizer.new_multiplier = 5.0
    config.optimizer.minimum_learning_rate = 1e-5
    config.epochs = 40
    config.warmup_epochs = 2
    config.batch_size = 32
    config.accumulation = 1

    config.evaluation.every_epochs = 5
    config.evaluation.batch_size = 64
    config.evaluation.temporal_views = 2
    config.evaluation.crops = 1
    config.evaluation.shuffle_frames = True
    config.checkpoint.every_epochs = 5
    return config
