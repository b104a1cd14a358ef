"""Scores the actions of one video file with a trained run."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from ml_collections import ConfigDict

from animal_clip_jax.classes.vocabulary import class_context_of_labels, names_or
from animal_clip_jax.models import parameters
from animal_clip_jax.models.animal_sources import RECOGNISED, check_source, source_without_labels
from animal_clip_jax.models.normalisation import normalise
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.run import assembly
from animal_clip_jax.run.animals import AnimalRecognition
from animal_clip_jax.run.assembly import check_recognition
from animal_clip_jax.run.checkpoints import RunCheckpoints
from data_pipeline.dataset import load_info
from data_pipeline.video import VideoError, load_video


class Prediction(NamedTuple):
    """A label and its score, which all labels' scores share 1 between them."""

    label: str
    score: float


class VideoPredictions(NamedTuple):
    """What a run says of a video.

    Attributes:
        actions: all actions, best first.
        animals: the animals that the model was told of, the likeliest first.
        animal_source: where it was told of them from: "given", or one of `recognition.sources`.
    """

    actions: list[Prediction]
    animals: list[Prediction]
    animal_source: str


def predict(
    config: ConfigDict, workdir: pathlib.Path, video: str, animals: Sequence[str] = ()
) -> VideoPredictions:
    """Scores a video, cut and viewed as in the evaluation of the run.

    `config.predict` may name other actions and animals than those of the training: their features
    are made from `config.prompts`, and an animal performs the actions that training showed, where
    both have the same name.

    Args:
        config: the run's configuration.
        workdir: holds the run's checkpoints; that which `config.evaluation.checkpoint` names is
            used.
        video: path of a video file.
        animals: names of the animals in it, if known; else they come from `config.predict.source`.

    Raises:
        FileNotFoundError, ValueError: there is no such video, checkpoint, list of names or
            recogniser, or it cannot be read; an animal is not one of the labels.
    """
    if not pathlib.Path(video).is_file():
        raise FileNotFoundError(f"config.predict.video: no such file: {video!r}")
    source = "given" if animals else config.predict.source or source_without_labels(config)
    if not animals:
        field = "config.predict.source" if config.predict.source else "evaluation.animal_sources"
        check_source(field, source, ("predicted", "learned", "none"))
    check_recognition(config)
    if config.predict.top_k < 1:
        raise ValueError(f"config.predict.top_k is {config.predict.top_k}; expected at least 1")
    checkpoints, step = RunCheckpoints.open(workdir, config.evaluation.checkpoint)
    description = checkpoints.describe(step)
    action_names = names_or(config.predict.action_labels, description.action_names)
    animal_names = names_or(config.predict.animal_labels, description.animal_names)
    unknown = [name for name in animals if name not in animal_names]
    if unknown:
        raise ValueError(
            f"config.predict.animals: {', '.join(map(repr, unknown))} not among the animals "
            f"({', '.join(animal_names)}); config.predict.animal_labels takes other ones"
        )
    mesh = mesh_lib.make_mesh({"data": 1, "fsdp": 1, "model": 1}, jax.local_devices()[:1])
    weights = np.zeros(len(animal_names), np.float32)
    if source == "given":
        weights[[animal_names.index(name) for name in animals]] = 1
    elif source in RECOGNISED:
        weights = _recognise(config, workdir, video, source, animal_names, mesh)
    frames = _frames(config, video)

    graphdef, _ = parameters.abstract(
        lambda: assembly.build_model(config.model, rngs=nnx.Rngs(config.seed))
    )
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    values, classes = checkpoints.restore_weights(step, device)
    checkpoints.close()
    if (action_names, animal_names) != (description.action_names, description.animal_names):
        classes = class_context_of_labels(
            config,
            graphdef,
            values,
            classes,
            trained_labels=(description.action_names, description.animal_names),
            labels=(action_names, animal_names),
            mesh=mesh,
        )

    @jax.jit
    def score(values, frames, classes, weights):
        model = parameters.merge(graphdef, values)
        pixels = normalise(frames, tuple(config.data.mean), tuple(config.data.std))
        told = jnp.broadcast_to(weights, (frames.shape[0], len(animal_names)))
        return jnp.mean(jax.nn.softmax(model(pixels, classes, told)), axis=0)

    scores = np.asarray(score(values, frames, classes, weights))
    told = [animal for animal in _ranked(animal_names, weights) if animal.score > 0]
    return VideoPredictions(_ranked(action_names, scores), told, source)


def _ranked(names: Sequence[str], scores: np.ndarray) -> list[Prediction]:
    best = np.argsort(-scores, kind="stable")
    return [Prediction(names[index], float(scores[index])) for index in best]


def _frames(config: ConfigDict, video: str, **other_view: int) -> np.ndarray:
    """The views of a video, (views, frames, size, size, 3) uint8."""
    info = load_info(config.data.directory)
    view = {
        "num_frames": config.model.num_frames,
        "image_size": config.model.architecture.image_size,
        "num_temporal_views": config.evaluation.temporal_views,
        "num_crops": config.evaluation.crops,
        **other_view,
    }
    try:
        return load_video(video, **view, short_side=info.short_side, max_frames=info.max_frames)
    except VideoError as error:
        raise ValueError(f"config.predict.video: {video}: {error}") from error


def _recognise(
    config: ConfigDict,
    workdir: pathlib.Path,
    video: str,
    source: str,
    animal_names: Sequence[str],
    mesh: Mesh,
) -> np.ndarray:
    """How likely each animal is to be in a video, (animals,)."""
    recognition = AnimalRecognition(config, workdir, animal_names, mesh)
    frames = _frames(
        config,
        video,
        num_frames=config.animals.num_frames,
        image_size=recognition.recogniser.architecture.image_size,
        num_temporal_views=1,
        num_crops=1,
    )
    return recognition.probabilities(source, recognition.see_video(frames[0])[None])[0]
