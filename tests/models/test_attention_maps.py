"""Attention rollout against NumPy: softmaxes computed anew, and whole matrices multiplied."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
import tiny

from animal_clip_jax.models import parameters
from animal_clip_jax.models.attention_maps import attention_maps
from animal_clip_jax.models.description import build

FRAMES, TOKENS = tiny.FRAMES, tiny.ARCHITECTURE.num_patches + 1
CLIPS = (tiny.batch(2)["frames"] / np.float32(128)) - 1


@functools.cache
def _values(family: str, num_frames: int):
    """The structure of a tiny model, and parameters whose attention is far from uniform."""
    description = dataclasses.replace(tiny.description(family), num_frames=num_frames)
    graphdef, abstract = parameters.abstract(
        lambda: build(description, rngs=parameters.rngs_for_shapes())
    )
    values = tiny.random_parameters(abstract)
    for path in values:
        if "query_key_value.kernel" in path:
            values[path] *= 4
    return graphdef, values


def _model(family: str = "animal_clip"):
    return parameters.merge(*_values(family, FRAMES))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _looked_at(family: str, num_frames: int, values, clips) -> dict:
    """All that is asked of a model, in one program."""
    model = parameters.merge(_values(family, num_frames)[0], values)
    blocks, features = model.visual.attention_weights(clips)
    return {
        "maps": attention_maps(model, clips),
        "blocks": blocks,
        "features": features,
        "called": model.visual(clips)[0],
        "integration": model.integration.attention_weights(features),
    }


def _look(family: str = "animal_clip", clips=CLIPS, **changed) -> dict:
    """What a tiny model gives, with parameters changed by the beginning of their paths."""
    values = _values(family, clips.shape[1])[1]
    for beginning, factor in changed.items():
        values = {
            path: value * factor if beginning in path else value for path, value in values.items()
        }
    return jax.tree.map(np.asarray, _looked_at(family, clips.shape[1], values, clips))


def _softmax_attention(x, attention) -> np.ndarray:
    """(tokens, width) float64 → (heads, tokens, tokens), written out."""
    kernel = np.asarray(attention.query_key_value.kernel[...], np.float64)
    bias = np.asarray(attention.query_key_value.bias[...], np.float64)
    heads = []
    for head in range(kernel.shape[2]):
        query, key = (x @ kernel[:, part, head] + bias[part, head] for part in (0, 1))
        exponentials = np.exp(query @ key.T / np.sqrt(kernel.shape[3]))
        heads.append(exponentials / exponentials.sum(axis=1, keepdims=True))
    return np.stack(heads)


def _normed(x, norm) -> np.ndarray:
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return x * np.asarray(norm.scale[...]) + np.asarray(norm.bias[...])


def test_weights_of_a_block_are_the_softmaxes_that_it_computes():
    block = _model().visual.blocks[0]
    x = np.random.default_rng(0).standard_normal((FRAMES, TOKENS, 64)).astype(np.float32)
    found = jax.jit(lambda x: block.attention_weights(x, num_frames=FRAMES))(x)

    projection = block.message_projection
    messages = x[:, 0].astype(float) @ projection.kernel[...] + projection.bias[...]
    sent = _normed(messages, block.message_norm)
    expected = _softmax_attention(sent, block.message_attention)
    np.testing.assert_allclose(found.messages[0], expected, atol=1e-5)
    assert expected.max() > 0.5  # far from uniform

    exchanged = jax.jit(lambda x: block.message_attention(x))(sent[None].astype(np.float32))
    received = messages + np.asarray(exchanged)[0]
    for frame in range(FRAMES):
        tokens = _normed(
            np.concatenate([x[frame], received[frame : frame + 1]]), block.attention_norm
        )
        expected = _softmax_attention(tokens, block.attention)
        np.testing.assert_allclose(found.tokens[0, frame], expected, atol=1e-5)


def test_weights_times_values_are_what_the_attention_gives():
    """So that they are the weights of the call, whatever kernel that runs."""
    attention = _model().visual.blocks[1].attention
    x = np.random.default_rng(0).standard_normal((1, TOKENS, 64)).astype(np.float32)
    packed = attention.query_key_value
    values = np.einsum("btw,whd->bthd", x, packed.kernel[...][:, 2]) + packed.bias[...][2]
    weights, called = jax.jit(lambda x: (attention.weights(x), attention(x)))(x)
    attended = np.einsum("bhij,bjhd->bihd", weights, values)
    expected = np.einsum("bihd,hdw->biw", attended, attention.out.kernel[...])
    np.testing.assert_allclose(called, expected + attention.out.bias[...], rtol=1e-4, atol=1e-5)


def test_features_are_those_of_a_call():
    looked_at = _look()
    np.testing.assert_allclose(looked_at["features"], looked_at["called"], rtol=1e-4, atol=1e-5)


def _explicit(looked_at: dict, clip: int) -> np.ndarray:
    """The rollout of one clip, (frames, patches), with every matrix written out."""
    num_frames = looked_at["features"].shape[1]
    size = num_frames * TOKENS
    product = np.eye(size)
    for block in looked_at["blocks"]:
        mixing = np.zeros((size, size))
        exchange = 0.5 * (np.eye(num_frames) + block.messages[clip].mean(axis=0))
        for frame in range(num_frames):
            attention = block.tokens[clip, frame].mean(axis=0)
            for token in range(TOKENS):
                row = frame * TOKENS + token
                mixing[row, row] += 0.5
                for other in range(TOKENS):
                    mixing[row, frame * TOKENS + other] += 0.5 * attention[token, other]
                for sender in range(num_frames):
                    message = 0.5 * attention[token, TOKENS] * exchange[frame, sender]
                    mixing[row, sender * TOKENS] += message
        np.testing.assert_allclose(mixing.sum(axis=1), 1, rtol=1e-5)
        product = mixing @ product
    pooled = np.eye(num_frames)
    for weights in looked_at["integration"]:
        pooled = 0.5 * (np.eye(num_frames) + weights[clip].mean(axis=0)) @ pooled
    pooled = (0.5 * (pooled + np.eye(num_frames))).mean(axis=0)
    relevance = (pooled @ product[::TOKENS]).reshape(num_frames, TOKENS)[:, 1:]
    return relevance / relevance.sum()


@pytest.mark.parametrize("family", ["animal_clip", "xclip"])
def test_rollout_is_the_product_of_whole_matrices(family):
    looked_at = _look(family)
    found = looked_at["maps"]
    side = tiny.SIZE // tiny.ARCHITECTURE.patch_size
    assert found.shape == (2, FRAMES, side, side) and found.dtype == np.float32
    for clip in range(2):
        expected = _explicit(looked_at, clip)
        np.testing.assert_allclose(found[clip].reshape(FRAMES, -1), expected, rtol=1e-4)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=(1, 2, 3)), 1, rtol=1e-5)
    assert found.max() > 1.5 * found.min()


def test_a_clip_of_one_frame():
    looked_at = _look(clips=CLIPS[:, :1])
    found = looked_at["maps"]
    assert found.shape == (2, 1, 2, 2)
    np.testing.assert_allclose(found[0].reshape(1, -1), _explicit(looked_at, 0), rtol=1e-4)
    np.testing.assert_allclose(found.sum(axis=(1, 2, 3)), 1, rtol=1e-5)


def test_frames_in_another_order_have_the_same_maps_where_their_places_do_not_matter():
    """The frames exchange messages without a word of their order; only the multi-frame integration
    knows their places."""
    order = np.array([2, 0, 1])
    for places, is_equal in ((1, False), (0, True)):
        change = {"integration.position_embedding": 5 * places}
        placed = _look(**change)["maps"][:, order]
        shuffled = _look(clips=CLIPS[:, order], **change)["maps"]
        assert np.allclose(shuffled, placed, rtol=1e-4, atol=1e-7) == is_equal


def test_attention_to_everything_alike_makes_all_patches_alike():
    """A softmax of zeros is uniform, and no patch then differs from another one."""
    maps = _look(query_key_value=0)["maps"]
    np.testing.assert_allclose(maps, 1 / (FRAMES * (TOKENS - 1)), rtol=1e-5)
