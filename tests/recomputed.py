"""What a trained run says of clips, put together from its parameters in NumPy."""

from collections.abc import Callable

import jax
import numpy as np
from sklearn.metrics import average_precision_score

from animal_clip_jax.models import parameters
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.run.trained_run import TrainedRun
from data_pipeline.batches.input import evaluation_batches


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis, float64."""
    powers = np.exp(np.float64(logits) - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """float64."""
    return 1 / (1 + np.exp(-np.float64(logits)))


def model_of(run: TrainedRun) -> Callable:
    """The run's model: (frames uint8 (n, T, S, S, 3), animals (n, A)) → logits and features.

    Parameters other than those that the run is evaluated with can be given as `values`.
    """
    restored, classes = run.restore(jax.sharding.SingleDeviceSharding(jax.devices()[0]))
    classes = ClassContext(*map(np.asarray, classes))
    mean, std = (np.float32(run.config.data[name]) for name in ("mean", "std"))

    @jax.jit
    def score(values, pixels, animals):
        return parameters.merge(run.graphdef, values).score(pixels, classes, animals)

    def call(frames: np.ndarray, animals: np.ndarray, values=restored) -> tuple[np.ndarray, ...]:
        pixels = (np.float32(frames) - mean) / std
        return tuple(map(np.asarray, score(values, pixels, np.float32(animals))))

    return call


def clips_of_test(run: TrainedRun, *, temporal_views: int, crops: int = 1) -> dict[str, np.ndarray]:
    """All test clips of a run's data at once, in their stored order."""
    batches = list(
        evaluation_batches(
            run.config.data.directory,
            split="test",
            num_frames=run.config.model.num_frames,
            image_size=run.config.model.architecture.image_size,
            batch_size=8,
            num_temporal_views=temporal_views,
            num_crops=crops,
        )
    )
    clips = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    return {name: values[clips["mask"]] for name, values in clips.items()}


def summed(
    model: Callable,
    frames: np.ndarray,
    animals: np.ndarray,
    to_probabilities: Callable[[np.ndarray], np.ndarray] = softmax,
) -> np.ndarray:
    """The sum over views of the probabilities, (clips, actions) float64.

    Args:
        model: see `model_of`.
        frames: (clips, views, T, S, S, 3) uint8.
    """
    views = np.moveaxis(frames, 1, 0)
    return sum(to_probabilities(model(view, animals)[0]) for view in views)


def top1(scores: np.ndarray, targets: np.ndarray) -> float:
    """The share of clips with an action of theirs in front."""
    return float(np.mean(targets[np.arange(len(scores)), scores.argmax(axis=1)]))


def mean_average_precision(scores: np.ndarray, targets: np.ndarray) -> float:
    """By scikit-learn, over the actions that a clip shows."""
    shown = targets.any(axis=0)
    return float(average_precision_score(targets[:, shown], scores[:, shown]))
