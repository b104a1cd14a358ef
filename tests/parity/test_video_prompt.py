"""VideoPrompt beside figures recorded from the published torch program, float32 on a processor."""

import baseline_figures
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from baseline_figures import assert_same

from animal_clip_jax.conversion.video_weights import take, to_published
from animal_clip_jax.models import parameters
from animal_clip_jax.models.architectures import ClipArchitecture
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.video import patchify
from animal_clip_jax.models.video_prompt import (
    TEMPERATURE,
    VideoPrompt,
    VideoPromptArchitecture,
    is_trained,
)


def _architecture(config: dict) -> VideoPromptArchitecture:
    assert config["temperature"] == TEMPERATURE
    clip = ClipArchitecture(
        context_length=config["context"],
        vocab_size=config["vocab"],
        patch_size=config["patch"],
        **{
            name: config[name]
            for name in ("embed_dim", "image_size", "vision_width", "vision_layers")
        },
        **{
            name: config[name]
            for name in ("vision_heads", "text_width", "text_layers", "text_heads")
        },
    )
    return VideoPromptArchitecture(
        clip,
        num_frames=config["frames"],
        prefix=config["prefix"],
        suffix=config["postfix"],
        temporal_layers=config["temporal_layers"],
        temporal_heads=config["temporal_heads"],
    )


@pytest.fixture(scope="module")
def recorded():
    config, figures = baseline_figures.load("videoprompt")
    architecture = _architecture(config)
    graphdef, expected = parameters.abstract(
        lambda: VideoPrompt(architecture, rngs=parameters.rngs_for_shapes())
    )
    tensors = baseline_figures.state_dict(config["state"])
    taken = take(tensors, expected, "video_prompt", source="recipe")
    assert taken.parameters.keys() == expected.keys() and not taken.lines()
    values = jax.tree.map(jnp.asarray, taken.parameters)
    clips = jnp.asarray(figures["input"].transpose(0, 1, 3, 4, 2), jnp.float32)
    return config, figures, graphdef, values, clips


def _classes(actions) -> ClassContext:
    nothing = np.zeros((len(actions), 0), np.float32)
    return ClassContext(actions, nothing, nothing)


def test_activations_and_logits(recorded):
    _, figures, graphdef, values, clips = recorded
    tokens = jnp.asarray(figures["tokens"])

    @jax.jit
    def activations(values):
        model = parameters.merge(graphdef, values)
        vectors, _ = model.prompted(tokens)
        placed = vectors + model.text.position_embedding[...]
        found = {
            "text_in": placed[:2].swapaxes(0, 1),
            "text_block0": model.text.blocks[0](placed[:2], is_causal=True).swapaxes(0, 1),
            "text_features": model.encode_actions(tokens),
        }
        images = clips.reshape(-1, *clips.shape[2:])
        grid = 2 * (model.architecture.clip.image_size // model.architecture.clip.patch_size,)
        patches = model.visual.patch_embedding(patchify(images, images.shape[1] // grid[0]))
        found["patch_conv"] = patches.swapaxes(1, 2).reshape(len(images), -1, *grid)
        found["visual_ln_pre"] = embedded = model.visual._embed(images)
        found["visual_block0"] = model.visual.blocks[0](embedded).swapaxes(0, 1)
        frames = model.encode_frames(clips)
        found["frame_features"] = frames.reshape(-1, frames.shape[-1])
        placed = frames + model.temporal.position_embedding[...]
        found["temporal_in"] = placed.swapaxes(0, 1)
        found["temporal_block0"] = model.temporal.blocks[0](placed).swapaxes(0, 1)
        found["video_features"] = model.encode_video(clips)
        return found, model(clips, _classes(tokens))

    found, logits = activations(values)
    names = [name.removeprefix("act/") for name in figures if name.startswith("act/")]
    assert len(names) >= 10
    for name in names:
        assert_same(found[name], figures[f"act/{name}"], name)
    assert_same(logits, figures["logits"], "logits")


def test_only_as_many_positions_as_the_longest_name_needs(recorded):
    """The text tower is causal: what follows the end token changes nothing."""
    config, figures, graphdef, values, clips = recorded
    short = figures["tokens"][:, :6]
    model = parameters.merge(graphdef, values)
    vectors, _ = jax.eval_shape(model.prompted, short)
    assert vectors.shape[1] == config["prefix"] + 6 + config["postfix"] < config["context"]
    features = jax.jit(model.encode_actions)(short)
    assert_same(features, figures["act/text_features"], "text_features")
    encoded = figures["act/video_features"]
    logits = model.score_encoded(encoded, _classes(features))  # encoded before, once
    assert_same(logits, figures["logits"], "logits")


def test_training(recorded):
    config, figures, graphdef, values, clips = recorded
    trained = {path: value for path, value in values.items() if is_trained(path)}
    frozen = {path: value for path, value in values.items() if not is_trained(path)}

    @jax.jit
    def training(trained, frozen):
        def loss(trained):
            model = parameters.merge(graphdef, {**trained, **frozen})
            logits = model(clips, _classes(figures["tokens"]), key=jax.random.key(0))
            return baseline_figures.training_loss(logits, figures), logits

        return jax.value_and_grad(loss, has_aux=True)(trained)

    (loss, logits), gradients = training(trained, frozen)
    assert_same(logits, figures["train_logits"], "train_logits")
    np.testing.assert_allclose(loss, figures["train_loss"], rtol=3e-5)
    gradients = jax.tree.map(np.asarray, gradients)
    baseline_figures.assert_gradients(to_published(gradients, "video_prompt"), figures)
    assert sorted(to_published(frozen, "video_prompt")) == sorted(config["frozen"])
