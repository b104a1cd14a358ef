"""The recipes of Animal-CLIP's authors for its baselines, one function each.

They are those of the released configurations where these are sound. Where they are not:

- The release takes softmax cross entropy of targets that sum to more than 1 where clips have
  several actions, and some heads are passed through a sigmoid or softmax twice in its evaluation.
  Here actions are judged each by itself there, and once.
- A branch that is always taken puts weight decay on norms, biases and positions, too. Here they
  have none.
- SlowFast's steps are computed and never set, and the restarts of VideoPrompt's and EVL's rate come
  after the end, so that these rates are constant. Here all fall as a cosine, to a hundredth.
- X3D's configuration for Animal Kingdom has a key that does not load, and no rate: it has that of
  the other data sets, and a warm-up that is over before the training is.
- Animal Kingdom's MViT is one for single images. Here it is the one for videos.
- Pixels of a frozen CLIP are normalised as it was trained, not by ImageNet's figures.
- Label smoothing is said there, and never applied.

A step takes four of their batches for a device, one after the other, as theirs do: 64 clips in four
parts, or where they have 64 clips on a device, 256 in four.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import default

_MICRO_BATCHES = 4


def i3d(config: ConfigDict, *, batch: int, weights: str = "") -> ConfigDict:
    """I3D of 8 frames, on the clips of a configuration; from weights of Kinetics, if any.

    Args:
        config: of the data.
        batch: clips on a device.
        weights: to start from.
    """
    _sgd(_without_texts(config, "i3d"), rate=0.1, decay=1e-4, epochs=100, warmup=34, batch=batch)
    config.model.preset, config.model.num_frames = "I3D R50 8x8", 8
    config.init_from = weights
    return config


def slowfast(config: ConfigDict) -> ConfigDict:
    """SlowFast of 8 frames, 2 of them on the slow pathway, which is a quarter of the original."""
    _sgd(_without_texts(config, "slowfast"), rate=0.0375, decay=1e-4, epochs=200, warmup=4)
    config.model.preset, config.model.num_frames = "SlowFast R50 8x8", 8
    return config


def x3d(config: ConfigDict, *, epochs: int, warmup: int = 35, weights: str = "") -> ConfigDict:
    """X3D as large as L, of 8 frames of 224 pixels, where the original takes 16 of 312."""
    _sgd(_without_texts(config, "x3d"), rate=0.05, decay=5e-5, epochs=epochs, warmup=warmup)
    config.model.preset, config.model.num_frames = "X3D-L", 8
    config.model.architecture.image_size = 224
    config.init_from = weights
    return config


def mvit(
    config: ConfigDict, *, rate: float = 1e-4, epochs: int = 200, warmup: int = 30
) -> ConfigDict:
    """MViT-B of 16 frames."""
    _adamw(_without_texts(config, "mvit"), rate=rate, decay=0.05, epochs=epochs, warmup=warmup)
    config.model.preset, config.model.num_frames = "MViT-B 16x4", 16
    config.model.drop_path_rate = 0.2
    return config


def video_prompt(
    config: ConfigDict, *, epochs: int, batch: int = 64, frames: int = 8
) -> ConfigDict:
    """VideoPrompt on a frozen ViT-B/16."""
    _adamw(
        _without_texts(config, "video_prompt"), rate=1e-4, decay=1e-4, epochs=epochs, batch=batch
    )
    config.model.num_frames = frames
    return _on_clip(config)


def evl(config: ConfigDict, *, epochs: int) -> ConfigDict:
    """EVL on a frozen ViT-B/16."""
    _adamw(_without_texts(config, "evl"), rate=4e-4, decay=0.05, epochs=epochs, batch=64)
    config.model.num_frames, config.model.decoder_layers = 8, 4
    return _on_clip(config)


def xclip(config: ConfigDict) -> ConfigDict:
    """X-CLIP: Animal-CLIP's video tower and recipe, and never told the animal."""
    config.model.family = "xclip"
    config.animals.source, config.evaluation.animal_sources = "none", ("none",)
    config.init_from = "weights/xclip_init_vit_b16"
    return config


def _on_clip(config: ConfigDict) -> ConfigDict:
    config.model.architecture = default.architecture("ViT-B/16")
    config.init_from = "weights/clip"
    return config


def _without_texts(config: ConfigDict, family: str) -> ConfigDict:
    """A model that is never told the animals, and reads no descriptions."""
    config.model.family = family
    config.init_from = ""
    config.animals.source, config.evaluation.animal_sources = "none", ("none",)
    config.loss = ""  # by the data: each action by itself where clips have several
    return config


def _adamw(config: ConfigDict, **recipe: Any) -> None:
    _trained(config, "adamw", **recipe)


def _sgd(config: ConfigDict, **recipe: Any) -> None:
    """With Nesterov's momentum."""
    _trained(config, "sgd", **recipe)
    config.optimizer.beta1 = 0.9


def _trained(
    config: ConfigDict,
    optimizer: str,
    *,
    rate: float,
    decay: float,
    epochs: int,
    warmup: int = 0,
    batch: int = 16,
) -> None:
    config.optimizer.name = optimizer
    config.optimizer.learning_rate, config.optimizer.minimum_learning_rate = rate, rate / 100
    config.optimizer.weight_decay = decay
    config.epochs, config.warmup_epochs = epochs, warmup
    config.batch_size, config.accumulation = batch * _MICRO_BATCHES, _MICRO_BATCHES
