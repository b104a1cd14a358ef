"""Our Animal-CLIP beside figures recorded from the published torch program, float32 on a CPU."""

import jax
import numpy as np
import optax
import pytest
from golden import load, weight

from animal_clip_jax.classes.features import pool
from animal_clip_jax.conversion.openai_names import torch_names
from animal_clip_jax.models import parameters
from animal_clip_jax.models.animal_clip import AnimalCLIP
from animal_clip_jax.models.architectures import ClipArchitecture, heads_of
from animal_clip_jax.models.attention import XLA, Attention
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.training import losses
from animal_clip_jax.training import optimizer as optimizer_lib

CONFIG, FIGURES = load()

# The key third of an attention's input bias adds the same number to all logits of a query, which
# the softmax removes: its gradient is zero but for rounding, and AdamW makes steps of rounding
# noise. In the multi-frame integration, at ten times the rate, the recorded run's own noise has
# moved the norm by 3e-5 of its value, which no other arithmetic can follow.
NOISY_BIAS = "integration.blocks.0.attention.query_key_value.bias"


def relative_error(found, expected) -> float:
    difference = np.asarray(found, np.float64) - expected
    return float(np.linalg.norm(difference) / np.linalg.norm(expected))


def structure(attention: Attention = XLA):
    """Of the recorded model, with the shapes of its parameters."""
    architecture = ClipArchitecture(
        embed_dim=CONFIG["embed"],
        image_size=CONFIG["res"],
        patch_size=CONFIG["patch"],
        vision_width=CONFIG["vw"],
        vision_layers=CONFIG["vl"],
        vision_heads=heads_of(CONFIG["vw"]),
        text_width=CONFIG["tw"],
        text_layers=CONFIG["tl"],
        text_heads=heads_of(CONFIG["tw"]),
        context_length=CONFIG["ctx"],
        vocab_size=CONFIG["vocab"],
    )
    return parameters.abstract(
        lambda: AnimalCLIP(
            architecture,
            num_frames=CONFIG["T"],
            integration_layers=CONFIG["ml"],
            prompt_layers=CONFIG["pl"],
            attention=attention,
            rngs=parameters.rngs_for_shapes(),
        )
    )


@pytest.fixture(scope="module")
def model_and_values():
    graphdef, abstract = structure()
    values = {}
    for path, (key, layout) in torch_names(abstract).items():
        shape = abstract[path].shape
        values[path] = layout.from_torch(weight(key, layout.torch_shape(shape)), shape)
    return graphdef, jax.tree.map(jax.numpy.asarray, values)


@pytest.fixture(scope="module")
def inputs():
    num_animals = CONFIG["nA"]
    relation = np.zeros((CONFIG["nC"], num_animals), np.float32)
    for first, second in FIGURES["edges"]:
        if first < num_animals <= second:
            relation[second - num_animals, first] = 1
    classes = ClassContext(FIGURES["action_features"], FIGURES["animal_features"], relation)
    return FIGURES["clips_nchw"].transpose(0, 1, 3, 4, 2), classes, FIGURES["animals"]


def test_text_features(model_and_values):
    model = parameters.merge(*model_and_values)
    for kind in ("action", "animal"):
        features = jax.jit(model.text)(FIGURES[f"{kind}_tokens"])
        if kind == "action":
            assert relative_error(features, FIGURES["text_features_all"]) < 1e-5
        pooled = pool(features.reshape(-1, CONFIG["D"], CONFIG["embed"]), "max")
        assert relative_error(pooled, FIGURES[f"{kind}_features"]) < 1e-5


@pytest.fixture(scope="module")
def features_and_logits(model_and_values):
    """Of parameters and inputs: features of videos, of actions, refined ones, and logits."""
    graphdef, _ = model_and_values

    @jax.jit
    def compiled(values, clips, classes, animals):
        model = parameters.merge(graphdef, values)
        videos = model.encode_video(clips)
        actions = model.graph(
            classes.action_features, classes.animal_features, animals, classes.relation
        )
        refined, _ = model.refine(videos, classes, animals)
        return videos, actions, refined, model(clips, classes, animals)

    return compiled


def test_features_and_logits(features_and_logits, model_and_values, inputs):
    videos, actions, refined, logits = features_and_logits(model_and_values[1], *inputs)
    assert relative_error(videos, FIGURES["video_features"]) < 1e-5
    assert relative_error(actions, FIGURES["graph_action_features"]) < 1e-5
    refined = np.asarray(refined) / np.linalg.norm(refined, axis=-1, keepdims=True)
    assert relative_error(refined, FIGURES["refined_video_features"]) < 1e-5
    assert relative_error(logits, FIGURES["logits"]) < 1e-5


@pytest.fixture(scope="module")
def training(model_and_values, inputs):
    """The recorded steps, taken by ours: losses, the first gradients, the last parameters."""
    graphdef, values = model_and_values
    groups = optimizer_lib.parameter_groups(values)
    trained = {path: v for path, v in values.items() if groups[path] != optimizer_lib.FROZEN}
    frozen = {path: v for path, v in values.items() if groups[path] == optimizer_lib.FROZEN}
    optimizer = optimizer_lib.build_optimizer(
        {path: groups[path] for path in trained},
        {optimizer_lib.BASE: CONFIG["lr"], optimizer_lib.NEW: 10 * CONFIG["lr"]},
        weight_decay=CONFIG["wd"],
    )

    @jax.jit
    def loss_and_gradients(trained):
        def loss(trained):
            logits = parameters.merge(graphdef, {**trained, **frozen})(*inputs)
            return losses.cross_entropy(logits, FIGURES["labels"]).mean()

        return jax.value_and_grad(loss)(trained)

    @jax.jit
    def update(gradients, state, trained):
        updates, state = optimizer.update(gradients, state, trained)
        return optax.apply_updates(trained, updates), state

    state, recorded, first_gradients = jax.jit(optimizer.init)(trained), [], None
    for _ in range(CONFIG["steps"]):
        loss, gradients = loss_and_gradients(trained)
        recorded.append(float(loss))
        first_gradients = first_gradients or gradients
        trained, state = update(gradients, state, trained)
    return recorded, first_gradients, {**trained, **frozen}


def test_losses(training):
    np.testing.assert_allclose(training[0], FIGURES["losses"], rtol=1e-4)


def test_gradient_norms(training):
    names = {key: path for path, (key, _) in torch_names(training[2]).items()}
    for key, expected in zip(FIGURES["grad_names"], FIGURES["grad_norms"], strict=True):
        if np.isnan(expected):
            assert names[key] not in training[1], f"{key} gets no gradient"
        else:
            found = np.linalg.norm(np.asarray(training[1][names[key]], np.float64))
            assert found == pytest.approx(expected, rel=1e-4, abs=1e-12), key


def test_parameters_after_the_steps(training, features_and_logits, inputs):
    names = {key: path for path, (key, _) in torch_names(training[2]).items()}
    checked = 0
    for key, expected in zip(FIGURES["grad_names"], FIGURES["param_norms_after"], strict=True):
        found = np.linalg.norm(np.asarray(training[2][names[key]], np.float64))
        tolerance = 1e-4 if names[key] == NOISY_BIAS else 1e-5
        assert found == pytest.approx(expected, rel=tolerance), key
        checked += 1
    assert checked == len(FIGURES["grad_names"]) == 128
    *_, logits = features_and_logits(training[2], *inputs)
    assert relative_error(logits, FIGURES["logits_after"]) < 1e-4


def test_fused_attention(model_and_values, inputs, training):
    """The kernel for TPUs, interpreted: the recorded logits, and the first gradients."""
    _, values = model_and_values
    graphdef, _ = structure(Attention("pallas", interpreted=True))
    trained = {path: values[path] for path in training[1]}

    def loss(trained):
        logits = parameters.merge(graphdef, {**values, **trained})(*inputs)
        return losses.cross_entropy(logits, FIGURES["labels"]).mean(), logits

    gradients, logits = jax.jit(jax.grad(loss, has_aux=True))(trained)
    assert relative_error(logits, FIGURES["logits"]) < 1e-5
    names = {path: key for path, (key, _) in torch_names(values).items()}
    recorded = dict(zip(FIGURES["grad_names"], FIGURES["grad_norms"], strict=True))
    for path, gradient in gradients.items():
        found = np.linalg.norm(np.asarray(gradient, np.float64))
        assert found == pytest.approx(recorded[names[path]], rel=1e-4, abs=1e-12), path
        if found > 1e-12:
            assert relative_error(gradient, training[1][path]) < 1e-4, path
