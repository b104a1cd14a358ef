"""Configuration files of models that ours do not compute are refused, by field."""

import copy

import pytest

from animal_clip_jax.conversion.configs import (
    describe_hugging_face,
    describe_open_clip,
    hugging_face_normalisation,
    open_clip_normalisation,
)
from animal_clip_jax.models.architectures import ARCHITECTURES
from animal_clip_jax.models.normalisation import CLIP, IMAGENET

OPEN_CLIP = {
    "model_cfg": {
        "embed_dim": 512,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 224, "layers": 12, "width": 768, "patch_size": 16},
        "text_cfg": {
            "context_length": 77,
            "vocab_size": 49408,
            "width": 512,
            "heads": 8,
            "layers": 12,
        },
    }
}


def _changed(config: dict, path: str, value) -> dict:
    config = copy.deepcopy(config)
    *sections, name = path.split(".")
    place = config
    for section in sections:
        place = place.setdefault(section, {})
    place[name] = value
    return config


def test_open_clip_architecture():
    assert describe_open_clip(OPEN_CLIP, source="c").architecture == ARCHITECTURES["ViT-B/16"]


@pytest.mark.parametrize(
    "field, value",
    [
        ("model_cfg.custom_text", True),
        ("model_cfg.init_logit_bias", -10),
        ("model_cfg.multimodal_cfg", {"width": 512}),
        ("model_cfg.vision_cfg.layers", [3, 4, 6, 3]),
        ("model_cfg.vision_cfg.timm_model_name", "vit_base_patch16"),
        ("model_cfg.vision_cfg.pool_type", "avg"),
        ("model_cfg.vision_cfg.attentional_pool", True),
        ("model_cfg.vision_cfg.ls_init_value", 1e-5),
        ("model_cfg.vision_cfg.mlp_ratio", 4.9231),
        ("model_cfg.vision_cfg.pos_embed_type", "sin_cos_2d"),
        ("model_cfg.vision_cfg.no_ln_pre", True),
        ("model_cfg.vision_cfg.norm_kwargs", {"eps": 1e-6}),
        ("model_cfg.vision_cfg.something_new", 1),
        ("model_cfg.vision_cfg.width", "768"),
        ("model_cfg.text_cfg.hf_model_name", "roberta-base"),
        ("model_cfg.text_cfg.hf_tokenizer_name", "bert-base-uncased"),
        ("model_cfg.text_cfg.pool_type", "last"),
        ("model_cfg.text_cfg.no_causal_mask", True),
        ("model_cfg.text_cfg.proj_bias", True),
        ("model_cfg.text_cfg.heads", 0),
        ("model_cfg.text_cfg", None),
    ],
)
def test_open_clip_models_that_are_not_supported(field, value):
    with pytest.raises(ValueError, match=rf"^c\.json: .*{field.rpartition('.')[2]} is "):
        describe_open_clip(_changed(OPEN_CLIP, field, value), source="c.json")


@pytest.mark.parametrize(
    "field, value",
    [
        ("model_cfg.vision_cfg.patch_dropout", 0.5),
        ("model_cfg.vision_cfg.timm_model_name", None),
        ("model_cfg.custom_text", False),
        ("model_cfg.vision_cfg.mlp_ratio", 4.0),
    ],
)
def test_open_clip_fields_that_change_nothing(field, value):
    changed = describe_open_clip(_changed(OPEN_CLIP, field, value), source="c")
    assert changed == describe_open_clip(OPEN_CLIP, source="c")


def test_hugging_face_architectures():
    transformers = pytest.importorskip("transformers")
    clip = transformers.CLIPConfig(vision_config={"patch_size": 16}).to_dict()
    assert describe_hugging_face(clip, source="c").architecture == ARCHITECTURES["ViT-B/16"]
    xclip = describe_hugging_face(transformers.XCLIPConfig().to_dict(), source="c")
    assert xclip.family == "xclip" and xclip.architecture == ARCHITECTURES["ViT-B/32"]
    assert (xclip.num_frames, xclip.prompt_layers, xclip.integration_layers) == (8, 2, 1)


def test_hugging_face_fields_left_out_take_the_library_s_defaults():
    assert (
        describe_hugging_face({"model_type": "clip"}, source="c").architecture
        == ARCHITECTURES["ViT-B/32"]
    )


@pytest.mark.parametrize(
    "field, value",
    [
        ("model_type", "siglip"),
        ("vision_config.hidden_act", "relu"),
        ("text_config.hidden_act", "gelu"),
        ("vision_config.layer_norm_eps", 1e-6),
        ("vision_config.intermediate_size", 3000),
        ("vision_config.num_channels", 4),
        ("vision_config.image_size", [224, 336]),
        ("vision_config.mit_hidden_size", 256),
        ("text_config.num_hidden_layers", 0),
        ("prompt_hidden_act", "gelu"),
        ("projection_dim", "512"),
    ],
)
def test_hugging_face_models_that_are_not_supported(field, value):
    with pytest.raises(ValueError, match=rf"^c\.json: .*{field.rpartition('.')[2]} is "):
        describe_hugging_face(_changed({"model_type": "xclip"}, field, value), source="c.json")


def test_hugging_face_end_token():
    for end_token in (2, 49407):
        config = _changed({"model_type": "clip"}, "text_config.eos_token_id", end_token)
        describe_hugging_face(config, source="c")
    config = _changed({"model_type": "clip"}, "text_config.eos_token_id", 7)
    with pytest.raises(ValueError, match="eos_token_id is 7"):
        describe_hugging_face(config, source="c")


def test_normalisation():
    assert open_clip_normalisation({}, source="c") == CLIP
    assert hugging_face_normalisation({}, "xclip", source="c") == IMAGENET
    published = {
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }
    found = hugging_face_normalisation(published, "clip", source="c")
    for triple, expected in zip(found, CLIP, strict=True):
        assert triple == pytest.approx(expected)


@pytest.mark.parametrize("std", [None, [0.5, 0.5], [0.5, 0.5, 0.0], [0.5, 0.5, 127.5], "0.5"])
def test_bad_normalisation(std):
    config = {"preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": std}}
    with pytest.raises(ValueError, match=r"^c\.json: preprocess_cfg std is "):
        open_clip_normalisation(config, source="c.json")
