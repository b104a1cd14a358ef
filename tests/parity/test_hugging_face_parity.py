"""Converted models compute what the transformers library computes with the same weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hugging_face import CONTEXT, VOCABULARY, converted, randomise, relative_error, tokens

from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.clip import unit_length

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


def _clip(activation: str, **safetensors) -> "transformers.CLIPModel":
    shared = {"hidden_act": activation, "num_hidden_layers": 2}
    config = transformers.CLIPConfig(
        # Neither tower has the 64 channels a head that CLIP's own have.
        text_config={
            **shared,
            "vocab_size": VOCABULARY,
            "hidden_size": 32,
            "intermediate_size": 128,
            "num_attention_heads": 4,
            "max_position_embeddings": CONTEXT,
            "eos_token_id": VOCABULARY - 1,
        },
        vision_config={
            **shared,
            "hidden_size": 48,
            "intermediate_size": 192,
            "num_attention_heads": 3,
            "image_size": 24,
            "patch_size": 8,
        },
        projection_dim=40,
    )
    model = transformers.CLIPModel(config).eval()
    randomise(model)
    return model


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_clip(tmp_path, activation):
    theirs = _clip(activation)
    theirs.save_pretrained(tmp_path)
    ours = converted(tmp_path)
    images = np.random.default_rng(1).standard_normal((3, 24, 24, 3)).astype(np.float32)
    texts = tokens(4)
    with torch.no_grad():
        expected = theirs(
            input_ids=torch.from_numpy(texts).long(),
            pixel_values=torch.from_numpy(images.transpose(0, 3, 1, 2)),
        )

    @jax.jit
    def run(images, texts):
        features = ours.visual(images), ours.text(texts)
        return ours(images, texts), *(unit_length(feature) for feature in features)

    logits, image_embeds, text_embeds = run(images, texts)
    assert relative_error(logits, expected.logits_per_image) < 1e-5
    assert relative_error(image_embeds, expected.image_embeds) < 1e-5
    assert relative_error(text_embeds, expected.text_embeds) < 1e-5


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_xclip(tmp_path, activation):
    frames, embed = 3, 40
    shared = {"hidden_act": activation, "num_hidden_layers": 2}
    config = transformers.XCLIPConfig(
        text_config={
            **shared,
            "vocab_size": VOCABULARY,
            "hidden_size": 32,
            "intermediate_size": 128,
            "num_attention_heads": 4,
            "max_position_embeddings": CONTEXT,
        },
        vision_config={
            **shared,
            "hidden_size": 48,
            "intermediate_size": 192,
            "num_attention_heads": 3,
            "image_size": 24,
            "patch_size": 8,
            "num_frames": frames,
            "mit_hidden_size": embed,
            "mit_intermediate_size": 4 * embed,
            "mit_num_hidden_layers": 2,
            "mit_num_attention_heads": 5,
        },
        projection_dim=embed,
        prompt_layers=2,
        prompt_num_attention_heads=8,
        prompt_hidden_act=activation,
    )
    theirs = transformers.XCLIPModel(config).eval()
    randomise(theirs)
    theirs.save_pretrained(tmp_path)
    ours = converted(tmp_path)
    clips = np.random.default_rng(1).standard_normal((2, frames, 24, 24, 3)).astype(np.float32)
    texts = tokens(5)
    with torch.no_grad():
        expected = theirs(
            input_ids=torch.from_numpy(texts).long(),
            pixel_values=torch.from_numpy(clips.transpose(0, 1, 4, 2, 3)),
        )

    @jax.jit
    def run(clips, texts):
        actions = ours.text(texts)
        classes = ClassContext(actions, jnp.zeros((0, embed)), jnp.zeros((5, 0)))
        videos, patches = ours.encode_video(clips)
        actions = jnp.broadcast_to(actions, (len(clips), *actions.shape))
        prompted = actions + ours.prompts(actions, patches)
        return ours(clips, classes), unit_length(videos), unit_length(prompted)

    logits, video_embeds, text_embeds = run(clips, texts)
    assert relative_error(logits, expected.logits_per_video) < 1e-5
    assert relative_error(video_embeds, expected.video_embeds) < 1e-5
    assert relative_error(text_embeds, expected.text_embeds) < 1e-5


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("shards", ["one file", "many files"])
def test_half_precision_and_shards(tmp_path, dtype, shards):
    theirs = _clip("gelu").to(getattr(torch, dtype))
    size = "50KB" if shards == "many files" else "5GB"
    theirs.save_pretrained(tmp_path, max_shard_size=size)
    assert (tmp_path / "model.safetensors.index.json").exists() == (shards == "many files")
    ours = converted(tmp_path)
    weight = theirs.vision_model.encoder.layers[1].self_attn.k_proj.weight
    found = ours.visual.blocks[1].attention.query_key_value.kernel[:, 1].reshape(48, 48).T
    np.testing.assert_array_equal(np.asarray(found), weight.detach().float().numpy())
