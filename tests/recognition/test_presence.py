"""Whether an animal is in a clip: closed forms, and the recogniser frame by frame in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_run

from animal_clip_jax.classes import features
from animal_clip_jax.models.normalisation import normalise
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.recognition.presence import EMPTY_SCENES, presence
from animal_clip_jax.run.animals import AnimalRecognition

AXES = np.eye(8, dtype=np.float32)


def test_it_is_the_share_of_the_animals_in_a_softmax_over_all_texts():
    # Three animals and two empty scenes, each of which is an axis; the scale is e² .
    frames = np.stack([[AXES[0]], [AXES[3]], [AXES[7]]])
    found = presence(frames, AXES[:3] * 5, AXES[3:5] * 0.1, logit_scale=2.0)
    power = np.exp(np.exp(2.0))
    expected = [(power + 2) / (power + 4), 3 / (power + 4), 3 / 5]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    warm = presence(frames, AXES[:3], AXES[3:5], logit_scale=2.0, temperature=2.0)
    power = np.exp(np.exp(2.0) / 2)
    np.testing.assert_allclose(warm[0], (power + 2) / (power + 4), rtol=1e-5)


def test_one_frame_with_an_animal_is_enough():
    clip = np.stack([[AXES[3]] * 7 + [AXES[0]], [AXES[3]] * 8])
    with_animal, without = presence(clip, AXES[:3], AXES[3:5], logit_scale=2.0)
    alone = presence(AXES[None, :1], AXES[:3], AXES[3:5], logit_scale=2.0)
    assert with_animal == pytest.approx(alone[0]) and without < 0.01 < 0.99 < with_animal


def test_the_recogniser_of_a_run(data, recogniser_folder, tmp_path):
    animals = ("Zebra", "Red Fox")
    config = tiny_run.config_on(data, animals__weights=str(recogniser_folder))
    mesh = mesh_lib.make_mesh({"data": 1, "fsdp": 1, "model": 1})
    recognition = AnimalRecognition(config, tmp_path, animals, mesh)
    recogniser = recognition.recogniser
    size = recogniser.architecture.image_size
    clips = np.random.default_rng(0).integers(0, 256, (2, 3, size, size, 3), dtype=np.uint8)
    found = recognition.presence(clips)

    model = recogniser.model()
    texts = features.class_texts(config.animals.prompts, animals, "animal")
    of_animals = features.encode_classes(model.text, texts, pooling="mean")
    of_scenes = features.encode_classes(model.text, [[text] for text in EMPTY_SCENES])
    texts = np.concatenate([of_animals, of_scenes]).astype(np.float64)
    scale = np.exp(float(recogniser.values["logit_scale"]))
    pixels = normalise(jnp.asarray(clips.reshape(-1, size, size, 3)), *recogniser.normalisation)
    frames = np.asarray(jax.jit(model.visual)(pixels), np.float64).reshape(2, 3, -1)
    for clip, probability in zip(frames, found, strict=True):
        best = 0.0
        for seen in clip:
            cosines = texts @ seen / np.linalg.norm(texts, axis=1) / np.linalg.norm(seen)
            powers = np.exp(scale * cosines / config.animals.temperature)
            best = max(best, powers[:2].sum() / powers.sum())
        assert probability == pytest.approx(best, abs=2e-3)
