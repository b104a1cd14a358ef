"""A small baseline on the synthetic world: I3D, or another with `--config.model.family`.

Of slowfast, x3d and mvit as it is; of video_prompt and evl with `--config.model.preset=` and the
small CLIP of that world, `--config.init_from=runs/demo/clip`.
"""

from ml_collections import ConfigDict

from configs import default, demo


def get_config() -> ConfigDict:
    """As `demo`, for a model that is never told the animals, and reads no descriptions."""
    config, plain = demo.get_config(), default.get_config()
    config.model = plain.model  # the demo's has CLIP's towers
    config.model.family, config.model.preset = "i3d", "tiny"
    # So that SlowFast's slow pathway has two.
    config.model.num_frames = 8
    # Its CLIP has 3 blocks, and takes texts of 40 tokens.
    config.model.decoder_layers = 3
    config.model.prompt_prefix = config.model.prompt_suffix = 8
    config.prompts = plain.prompts
    config.animals = plain.animals
    config.animals.source, config.evaluation.animal_sources = "none", ("none",)
    # Nothing is trained before: a higher rate than the demo's, and more decay.
    config.optimizer.learning_rate = 1e-3
    config.optimizer.weight_decay = 0.05
    return config
