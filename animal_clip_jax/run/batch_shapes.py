"""The shapes of a training batch, known before any data is read."""

import jax
import numpy as np
from ml_collections import ConfigDict

from animal_clip_jax.run.config import training_source


def batch_shapes(
    config: ConfigDict, num_actions: int, num_animals: int
) -> dict[str, jax.ShapeDtypeStruct]:
    """What `training.step.make_train_step` is given of a batch, of all processes together."""
    clips, size = config.batch_size, config.model.architecture.image_size
    frames = (clips, config.model.num_frames, size, size, 3)
    shapes = {
        "frames": jax.ShapeDtypeStruct(frames, np.uint8),
        "actions": jax.ShapeDtypeStruct((clips, num_actions), np.float32),
        "animals": jax.ShapeDtypeStruct((clips, num_animals), np.float32),
    }
    if training_source(config) is not None:
        shapes["animal_weights"] = shapes["animals"]
    return shapes
