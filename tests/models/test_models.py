"""Animal-CLIP and X-CLIP whole, tiny."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from flax import nnx

from animal_clip_jax.models import parameters

FAMILIES = ("animal_clip", "xclip")
BATCH = tiny.batch(4)
CLIPS = (BATCH["frames"] / np.float32(128)) - 1


@functools.cache
def _scores(family: str, dtype: str = "float32", drop_path_rate: float = 0.0):
    """A compiled function of (clips, classes, animal weights, key)."""
    graphdef, values = tiny.model(family, dtype=jnp.dtype(dtype), drop_path_rate=drop_path_rate)

    @jax.jit
    def scores(clips, classes, animals, key):
        return parameters.merge(graphdef, values)(clips, classes, animals, key=key)

    return lambda clips=CLIPS, classes=tiny.classes(), animals=BATCH["animals"], key=None: (  # noqa: B008
        np.asarray(scores(clips, classes, animals, key))
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_scaled_cosines(family):
    logits = _scores(family)()
    assert logits.shape == (4, tiny.ACTIONS) and logits.dtype == np.float32
    assert np.abs(logits).max() <= np.exp(2.0) * (1 + 1e-5)  # the scale of `tiny.model`


@pytest.mark.parametrize("family", FAMILIES)
def test_clips_do_not_see_each_other(family):
    order = np.array([2, 0, 3, 1])
    permuted = _scores(family)(CLIPS[order], animals=BATCH["animals"][order])
    np.testing.assert_allclose(permuted, _scores(family)()[order], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_order_of_frames_matters(family):
    assert np.abs(_scores(family)(CLIPS[:, ::-1]) - _scores(family)()).max() > 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_is_close_to_float32(family):
    """In the scale of cosines; bfloat16 has 8 bits."""
    low, full = _scores(family, "bfloat16")(), _scores(family)()
    assert low.dtype == np.float32
    assert 0 < np.abs(low - full).max() / np.exp(2.0) < 0.05


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_are_float32_whatever_the_computation(family):
    _, abstract = parameters.abstract(lambda: tiny.build_model(family, dtype=jnp.bfloat16))
    assert {str(value.dtype) for value in abstract.values()} == {"float32"}


@pytest.mark.parametrize("family", FAMILIES)
def test_stochastic_depth_only_in_training(family):
    scores = _scores(family, drop_path_rate=0.5)
    np.testing.assert_allclose(scores(), _scores(family)(), rtol=1e-5, atol=1e-5)
    once = scores(key=jax.random.key(0))
    np.testing.assert_array_equal(scores(key=jax.random.key(0)), once)
    assert np.abs(scores(key=jax.random.key(1)) - once).max() > 1e-4


def test_animals_matter_to_animal_clip_alone():
    others = np.roll(BATCH["animals"], 1, axis=1)
    unknown = np.zeros_like(others)
    for animals in (others, unknown):
        changed = _scores("animal_clip")(animals=animals)
        assert np.all(np.isfinite(changed))
        assert np.abs(changed - _scores("animal_clip")()).max() > 1e-3
        np.testing.assert_array_equal(_scores("xclip")(animals=animals), _scores("xclip")())


def test_xclip_averages_patches_before_it_projects_them():
    """Which is the mean over the frames of the projected patches."""
    graphdef, values = tiny.model("xclip")

    @jax.jit
    def both(clips):
        model = parameters.merge(graphdef, values)
        _, patches = model.visual(clips, with_patches=True)
        projected = model.patch_norm(patches) @ model.patch_projection[...]
        return model.encode_video(clips)[1], projected.mean(axis=1)

    np.testing.assert_allclose(*both(CLIPS), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_splitting_and_merging(family):
    graphdef, values = tiny.model(family)
    again, found = parameters.split(parameters.merge(graphdef, values))
    assert again == graphdef and found.keys() == values.keys()
    for path, value in values.items():
        np.testing.assert_array_equal(found[path], value)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_score_is_the_logits_and_the_video_before_the_animals(family):
    graphdef, values = tiny.model(family)

    @jax.jit
    def both(animals):
        model = parameters.merge(graphdef, values)
        encoded = model.encode_video(CLIPS)
        video = encoded[0] if family == "xclip" else encoded
        return *model.score(CLIPS, tiny.classes(), animals), video

    logits, features, videos = both(BATCH["animals"])
    np.testing.assert_allclose(logits, _scores(family)(), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(features, videos)
    np.testing.assert_array_equal(both(np.roll(BATCH["animals"], 1, axis=1))[1], features)


def test_counted_keys_are_those_of_nnx():
    """Which is what the values of a seed are made of."""
    key = jax.random.key(7)
    ours, theirs = parameters.rngs_for_values(key), nnx.Rngs(key)
    for _ in range(3):
        found, expected = (jax.random.key_data(rngs.params()) for rngs in (ours, theirs))
        np.testing.assert_array_equal(found, expected)
