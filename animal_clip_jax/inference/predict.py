"""Scores the actions of one video file with a trained run."""

import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from ml_collections import ConfigDict

from animal_clip_jax import models
from animal_clip_jax.models import parameters
from animal_clip_jax.training.augmentation import normalise
from animal_clip_jax.training.checkpoints import RunCheckpoints
from data_pipeline.dataset import load_info
from data_pipeline.video import VideoError, load_video


class Prediction(NamedTuple):
    """One action and its score, which all actions' scores share 1 between them."""

    action: str
    score: float


def predict(
    config: ConfigDict, workdir: pathlib.Path, video: str, animals: tuple[str, ...] = ()
) -> list[Prediction]:
    """Scores a video, cut and viewed as in the evaluation of the run.

    Args:
        config: the run's configuration.
        workdir: holds the run's checkpoints; the newest is used.
        video: path of a video file.
        animals: names of the animals in it, if known.

    Returns:
        all actions, best first.

    Raises:
        FileNotFoundError, ValueError: there is no such video or checkpoint, or it cannot be read;
            an animal is not one of the labels.
    """
    if not pathlib.Path(video).is_file():
        raise FileNotFoundError(f"config.predict.video: no such file: {video!r}")
    checkpoints, step = RunCheckpoints.open(workdir, config.evaluation.checkpoint)
    description = checkpoints.describe(step)
    unknown = [name for name in animals if name not in description.animal_names]
    if unknown:
        raise ValueError(
            f"config.predict.animals: {', '.join(map(repr, unknown))} not among the run's animals "
            f"({', '.join(description.animal_names)})"
        )
    info = load_info(config.data.directory)
    try:
        frames = load_video(
            video,
            num_frames=config.model.num_frames,
            image_size=config.model.architecture.image_size,
            num_temporal_views=config.evaluation.temporal_views,
            num_crops=config.evaluation.crops,
            short_side=info.short_side,
            max_frames=info.max_frames,
        )
    except VideoError as error:
        raise ValueError(f"config.predict.video: {video}: {error}") from error
    graphdef, _ = parameters.abstract(
        lambda: models.build(config.model, rngs=nnx.Rngs(config.seed))
    )
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    values, classes = checkpoints.restore_weights(step, device)
    checkpoints.close()

    weights = np.zeros((frames.shape[0], len(description.animal_names)), np.float32)
    for name in animals:
        weights[:, description.animal_names.index(name)] = 1

    @jax.jit
    def score(values, frames, classes):
        model = parameters.merge(graphdef, values)
        pixels = normalise(frames, tuple(config.data.mean), tuple(config.data.std))
        return jnp.mean(jax.nn.softmax(model(pixels, classes, weights)), axis=0)

    scores = np.asarray(score(values, frames, classes))
    best = np.argsort(-scores, kind="stable")
    return [Prediction(description.action_names[k], float(scores[k])) for k in best]
