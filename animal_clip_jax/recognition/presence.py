"""Whether there is an animal in a video at all, by how texts fit its frames.

The texts are those of the run's animals, and some of a scene without any. A softmax over all of
them, summed over the animals, is the probability that a frame shows one; that of a clip is that of
its most probable frame, as an animal may cross the picture in a moment.
"""

import numpy as np

from animal_clip_jax.recognition.zero_shot import softmax

EMPTY_SCENES = (
    "a photo of an empty scene",
    "a photo of a landscape without any animal",
    "a photo of vegetation with no animal",
    "a photo of grass, bushes and trees with nothing in it",
    "a photo of bare ground",
    "a camera trap photo with no animal in it",
    "a camera trap photo of an empty place at night",
)


def presence(
    frame_features: np.ndarray,
    animal_features: np.ndarray,
    empty_features: np.ndarray,
    *,
    logit_scale: float,
    temperature: float = 1.0,
) -> np.ndarray:
    """The probability that an animal is in each clip.

    Args:
        frame_features: (clips, frames, embed_dim) of unit length.
        animal_features: (animals, embed_dim), of the texts of animals, of any length.
        empty_features: (texts, embed_dim), of those of empty scenes, likewise.
        logit_scale: the logarithm of the model's own factor before its softmax.
        temperature: divides the logits; above 1 the probabilities are more even.

    Returns:
        (clips,) float32, from 0 to 1.
    """
    texts = np.concatenate([animal_features, empty_features])
    texts = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    logits = np.exp(logit_scale) * (frame_features @ texts.T) / temperature
    of_animals = softmax(logits)[..., : len(animal_features)].sum(axis=-1)
    return of_animals.max(axis=1).astype(np.float32)
