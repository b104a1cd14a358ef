"""EVL beside figures recorded from the published torch program, float32 on a processor."""

import baseline_figures
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from baseline_figures import assert_same
from flax import nnx

from animal_clip_jax.conversion.video_weights import take, to_published
from animal_clip_jax.models import parameters
from animal_clip_jax.models.evl import EVL, EVLArchitecture, is_trained


@pytest.fixture(scope="module")
def recorded():
    config, figures = baseline_figures.load("evl")
    architecture = EVLArchitecture(
        num_frames=config["frames"],
        image_size=config["image_size"],
        patch_size=config["patch"],
        width=config["width"],
        layers=config["vision_layers"],
        heads=config["heads"],
        decoder_layers=config["decoder_layers"],
        decoder_heads=config["decoder_heads"],
    )
    graphdef, expected = parameters.abstract(
        lambda: EVL(architecture, num_classes=config["classes"], rngs=parameters.rngs_for_shapes())
    )
    tensors = baseline_figures.state_dict(config["state"])
    taken = take(tensors, expected, "evl", source="recipe")
    assert taken.parameters.keys() == expected.keys() and not taken.lines()
    values = jax.tree.map(jnp.asarray, taken.parameters)
    clips = jnp.asarray(figures["input"].transpose(0, 2, 3, 4, 1), jnp.float32)
    return config, figures, graphdef, values, clips


def test_activations_and_logits(recorded):
    _, figures, graphdef, values, clips = recorded

    @jax.jit
    def activations(values):
        model = parameters.merge(graphdef, values)
        found = {"backbone_ln_pre": model.visual.embed(clips.reshape(-1, *clips.shape[2:]))}
        outputs = model.encode_frames(clips)

        def of_frames(array):
            return array.reshape(-1, *array.shape[2:])

        x = jnp.broadcast_to(model.class_embedding[...], (len(clips), 1, outputs[0][0].shape[-1]))
        for index, (layer, output) in enumerate(zip(model.layers, outputs, strict=True)):
            found[f"feature{index}_out"] = of_frames(output.tokens)
            found[f"feature{index}_q"] = of_frames(output.query)
            found[f"feature{index}_k"] = of_frames(output.key)
            found[f"cross{index}"] = layer.motion(output.query, output.key)
            found[f"decoder{index}_frames"] = context = layer.context(*output)
            found[f"decoder{index}_out"] = x = layer(x, context)
        found["head_norm"] = model.head_norm(x[:, 0])
        return found, model(clips)

    found, logits = activations(values)
    names = [name.removeprefix("act/") for name in figures if name.startswith("act/")]
    assert len(names) >= 12
    for name in names:
        assert_same(found[name], figures[f"act/{name}"], name)
    assert_same(logits, figures["logits"], "logits")


def test_training(recorded):
    """Without dropout, as it was recorded."""
    config, figures, graphdef, values, clips = recorded
    trained = {path: value for path, value in values.items() if is_trained(path)}
    frozen = {path: value for path, value in values.items() if not is_trained(path)}

    @jax.jit
    def training(trained, frozen):
        def loss(trained):
            model = parameters.merge(graphdef, {**trained, **frozen})
            model.set_attributes(nnx.Dropout, rate=0.0)
            logits = model(clips, key=jax.random.key(0))
            return baseline_figures.training_loss(logits, figures), logits

        return jax.value_and_grad(loss, has_aux=True)(trained)

    (loss, logits), gradients = training(trained, frozen)
    assert_same(logits, figures["train_logits"], "train_logits")
    np.testing.assert_allclose(loss, figures["train_loss"], rtol=3e-5)
    gradients = jax.tree.map(np.asarray, gradients)
    baseline_figures.assert_gradients(to_published(gradients, "evl"), figures)
    assert sorted(to_published(frozen, "evl")) == sorted(config["frozen"])
