"""Plain CLIP on clips: the mean of the frames, against NumPy over single images."""

import jax
import numpy as np
import pytest
import tiny

from animal_clip_jax.models import parameters
from animal_clip_jax.models.clip import Clip

BATCH = tiny.batch(4)
CLIPS = (BATCH["frames"] / np.float32(128)) - 1


@pytest.fixture(scope="module")
def model() -> Clip:
    return tiny.randomised(lambda rngs: Clip(tiny.ARCHITECTURE, rngs=rngs))


@pytest.fixture(scope="module")
def score(model):
    graphdef, values = parameters.split(model)

    @jax.jit
    def compiled(clips, animals):
        return parameters.merge(graphdef, values).score(clips, tiny.classes(), animals)

    return lambda clips, animals=BATCH["animals"]: tuple(map(np.asarray, compiled(clips, animals)))


@pytest.fixture(scope="module")
def videos(model) -> np.ndarray:
    """The mean of the frames' unit features, one image tower call a clip, in float64."""
    encode, means = jax.jit(model.visual), []
    for clip in CLIPS:
        features = np.asarray(encode(clip), np.float64)
        means.append((features / np.linalg.norm(features, axis=1, keepdims=True)).mean(axis=0))
    return np.stack(means)


def test_a_video_is_the_mean_of_its_frames(model, videos):
    found = np.asarray(jax.jit(model.encode_video)(CLIPS))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, videos, rtol=1e-4, atol=1e-6)


def test_scores_are_scaled_cosines_of_the_mean_frame(model, score, videos):
    logits, features = score(CLIPS)
    actions = tiny.classes().action_features.astype(np.float64)
    cosines = (videos @ actions.T) / (
        np.linalg.norm(videos, axis=1)[:, None] * np.linalg.norm(actions, axis=1)
    )
    expected = np.exp(2.0) * cosines  # the scale of `tiny.randomised`
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(features, videos, rtol=1e-4, atol=1e-6)


def test_no_order_of_the_frames_changes_anything(score):
    logits, features = score(CLIPS)
    for order in ([2, 1, 0], [1, 2, 0]):
        shuffled, again = score(CLIPS[:, order])
        np.testing.assert_allclose(shuffled, logits, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(again, features, rtol=1e-4, atol=1e-6)


def test_animals_do_not_matter(score):
    logits, _ = score(CLIPS)
    others, _ = score(CLIPS, np.roll(BATCH["animals"], 1, axis=1))
    np.testing.assert_array_equal(others, logits)
