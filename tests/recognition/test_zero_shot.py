"""What a frozen image–text model sees and names, against the model itself."""

import dataclasses

import jax
import numpy as np
import open_clip
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from animal_clip_jax.classes.features import encode_classes
from animal_clip_jax.models.normalisation import IMAGENET, normalise
from animal_clip_jax.recognition.zero_shot import Recogniser, keep_best, name_probabilities
from animal_clip_jax.text.tokenizer import tokenize

NAMES = ["fox", "common crane", "zebra"]


@pytest.fixture(scope="module")
def recogniser(recogniser_folder) -> Recogniser:
    return Recogniser.load(recogniser_folder)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    shape = (2, 3, open_clip.SIZE, open_clip.SIZE, 3)
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


def encode(recogniser: Recogniser, frames: np.ndarray) -> np.ndarray:
    return np.asarray(jax.jit(recogniser.encode_frames)(recogniser.values, frames))


def test_one_frame_is_named_as_the_model_names_an_image(recogniser, frames):
    model = recogniser.model()
    compiled = jax.jit(lambda values, *inputs: recogniser.model(values)(*inputs))
    pixels = normalise(frames[:, 0], (127.5, 63.75, 0.0), (127.5, 255.0, 63.75))
    expected = jax.nn.softmax(compiled(recogniser.values, pixels, tokenize(NAMES, 12)))
    features = encode_classes(model.text, [[name] for name in NAMES], pooling="mean")
    scale = float(recogniser.values["logit_scale"])
    seen = encode(recogniser, frames[:, :1])
    found = name_probabilities(seen, features, logit_scale=scale)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    warm = name_probabilities(seen, features, logit_scale=scale, temperature=2.0)
    np.testing.assert_allclose(
        np.log(warm[:, 0] / warm[:, 1]) * 2, np.log(found[:, 0] / found[:, 1]), rtol=1e-3
    )


def test_several_frames_are_averaged(recogniser, frames):
    single = [encode(recogniser, frames[:, k : k + 1]) for k in range(3)]
    mean = np.mean(single, axis=0)
    expected = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    found = encode(recogniser, frames)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_towers_inside_an_animal_clip_are_the_same(
    recogniser, frames, open_clip_folder, tmp_path
):
    open_clip.convert_to(open_clip_folder, tmp_path / "animal_clip", "animal_clip")
    inside = Recogniser.load(tmp_path / "animal_clip")
    assert inside.digest == recogniser.digest
    # But an Animal-CLIP takes other pixel statistics, and these are what its folder records.
    assert inside.normalisation == IMAGENET
    inside = dataclasses.replace(inside, normalisation=recogniser.normalisation)
    np.testing.assert_array_equal(encode(recogniser, frames), encode(inside, frames))


def test_the_digest_is_of_all_parameters(recogniser):
    again = dataclasses.replace(recogniser, values=dict(reversed(recogniser.values.items())))
    assert again.digest == recogniser.digest
    digests = {recogniser.digest}
    for path, value in recogniser.values.items():
        changed = np.array(value)
        changed[(0,) * changed.ndim] += 1
        digests.add(
            dataclasses.replace(recogniser, values={**recogniser.values, path: changed}).digest
        )
    assert len(digests) == 1 + len(recogniser.values)


def test_weights_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/none"):
        Recogniser.load(tmp_path / "none")
    with pytest.raises(ValueError, match="not a weights checkpoint .*animal-clip convert"):
        Recogniser.load(tmp_path)


@given(
    arrays.arrays(np.float32, (3, 6), elements=st.floats(2**-10, 1, width=32)),
    st.integers(0, 8),
)
def test_the_best_keep_their_ratios(weights, top_k):
    found = keep_best(weights, top_k)
    kept = 6 if top_k == 0 else min(top_k, 6)
    assert (np.count_nonzero(found, axis=1) == kept).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    for row, before in zip(found, weights, strict=True):
        inside = row > 0
        assert before[inside].min() >= before[~inside].max(initial=0)
        np.testing.assert_allclose(row[inside], before[inside] / before[inside].sum(), rtol=1e-5)
