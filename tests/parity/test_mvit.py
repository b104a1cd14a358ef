"""MViT beside figures recorded from the published torch program, float32 on a processor."""

import baseline_figures
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from baseline_figures import assert_same

from animal_clip_jax.conversion.video_weights import take, to_published
from animal_clip_jax.models import parameters
from animal_clip_jax.models.mvit import MViT, MViTArchitecture

FAMILIES = ("mvit", "mvit_image")


def _architecture(config: dict) -> MViTArchitecture:
    pooled = [stride for stride in config["q_stride"] if stride]
    is_image = config["frames"] == 1
    return MViTArchitecture(
        num_frames=config["frames"],
        image_size=config["image_size"],
        patch_kernel=tuple([1] * is_image + config["patch_kernel"]),
        patch_stride=tuple([1] * is_image + config["patch_stride"]),
        width=config["embed_dim"],
        heads=config["heads"],
        depth=config["depth"],
        pooling_blocks=tuple(i for i, stride in enumerate(config["q_stride"]) if stride),
        query_stride=tuple(pooled[0]),
        key_value_stride=tuple(config["kv_stride"][0]),
        pool_kernel=tuple(config["kv_kernel"][0]),
        pools_unstrided=config["kv_kernel"][-1] != [1, 1, 1],
        separate_positions=config["sep_pos_embed"],
    )


@pytest.fixture(scope="module", params=FAMILIES)
def recorded(request):
    config, figures = baseline_figures.load(request.param)
    architecture = _architecture(config)
    graphdef, expected = parameters.abstract(
        lambda: MViT(
            architecture,
            num_classes=config["classes"],
            rngs=parameters.rngs_for_shapes(),
        )
    )
    tensors = baseline_figures.state_dict(config["state"])
    taken = take(tensors, expected, request.param, source="recipe")
    assert taken.parameters.keys() == expected.keys() and not taken.lines()
    values = jax.tree.map(jnp.asarray, taken.parameters)
    clips = jnp.asarray(figures["input"].transpose(0, 2, 3, 4, 1), jnp.float32)
    return request.param, config, figures, graphdef, values, clips


def test_shapes_of_the_blocks(recorded):
    _, config, _, graphdef, values, _ = recorded
    blocks = parameters.merge(graphdef, values).architecture.blocks
    assert [[block.width, block.out_width, block.heads] for block in blocks] == config["dims"]
    assert [list(block.key_value_stride) for block in blocks] == config["kv_stride"]


def test_activations_and_logits(recorded):
    _, config, figures, graphdef, values, clips = recorded

    @jax.jit
    def activations(values):
        model = parameters.merge(graphdef, values)
        patches = model.patch_embedding(clips)
        found = {"patch_embed": patches.reshape(len(clips), -1, patches.shape[-1])}
        found["block0_in"] = x = model.embed(clips)
        grid = model.architecture.grid
        for index, block in enumerate(model.blocks):
            found[f"block{index}_attn"] = block.attention(block.attention_norm(x), grid)
            found[f"block{index}"] = x = block(x, grid)
            grid = block.grid_after(grid)
        found["norm"] = model.final_norm(x)
        return found, model(clips)

    found, logits = activations(values)
    names = [name.removeprefix("act/") for name in figures if name.startswith("act/")]
    assert len(names) >= 8
    for name in names:
        assert_same(found[name], figures[f"act/{name}"], name)
    assert_same(logits, figures["logits"], "logits")
    activation = {"softmax": jax.nn.softmax, "sigmoid": jax.nn.sigmoid}[config["head_act"]]
    assert_same(activation(logits), figures["probs"], "probs")


def test_training(recorded):
    family, _, figures, graphdef, values, clips = recorded

    @jax.jit
    def training(values):
        def loss(values):
            logits = parameters.merge(graphdef, values)(clips, key=jax.random.key(0))
            return baseline_figures.training_loss(logits, figures), logits

        return jax.value_and_grad(loss, has_aux=True)(values)

    (loss, logits), gradients = training(values)
    assert_same(logits, figures["train_logits"], "train_logits")
    np.testing.assert_allclose(loss, figures["train_loss"], rtol=3e-5)
    gradients = jax.tree.map(np.asarray, gradients)
    baseline_figures.assert_gradients(to_published(gradients, family), figures)
