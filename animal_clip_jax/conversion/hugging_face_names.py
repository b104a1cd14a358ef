"""The state-dict names of Hugging Face's `CLIPModel` and `XCLIPModel`.

One table a model: our path → their keys and the layout of the array; for `{qkv}` see
`NameTable.keys`.
"""

from animal_clip_jax.conversion.layouts import (
    ATTENTION_OUT,
    LEADING_ONE,
    LINEAR,
    PACKED_ATTENTION_BIAS,
    PACKED_ATTENTION_KERNEL,
    PATCH_CONVOLUTION,
    SAME,
)
from animal_clip_jax.conversion.name_rows import (
    Keys,
    NameTable,
    Row,
    linear,
    norm,
    prompt_generator,
)


def _attention(ours: str, theirs: str) -> list[Row]:
    packed = f"{theirs}.{{qkv}}_proj"
    return [
        (f"{ours}.query_key_value.kernel", f"{packed}.weight", PACKED_ATTENTION_KERNEL),
        (f"{ours}.query_key_value.bias", f"{packed}.bias", PACKED_ATTENTION_BIAS),
        (f"{ours}.out.kernel", f"{theirs}.out_proj.weight", ATTENTION_OUT),
        (f"{ours}.out.bias", f"{theirs}.out_proj.bias", SAME),
    ]


def _blocks(ours: str, theirs: str) -> list[Row]:
    ours, theirs = f"{ours}.blocks.{{i}}", f"{theirs}.encoder.layers.{{i}}"
    return [
        *norm(f"{ours}.attention_norm", f"{theirs}.layer_norm1"),
        *_attention(f"{ours}.attention", f"{theirs}.self_attn"),
        *norm(f"{ours}.mlp_norm", f"{theirs}.layer_norm2"),
        *linear(f"{ours}.mlp.expand", f"{theirs}.mlp.fc1"),
        *linear(f"{ours}.mlp.contract", f"{theirs}.mlp.fc2"),
    ]


def _towers(pre_norm: str) -> list[Row]:
    text, vision = "text_model", "vision_model"
    embeddings = f"{vision}.embeddings"
    return [
        ("logit_scale", "logit_scale", SAME),
        ("text.token_embedding", f"{text}.embeddings.token_embedding.weight", SAME),
        ("text.position_embedding", f"{text}.embeddings.position_embedding.weight", SAME),
        *_blocks("text", text),
        *norm("text.final_norm", f"{text}.final_layer_norm"),
        ("text.projection", "text_projection.weight", LINEAR),
        (
            "visual.patch_embedding.kernel",
            f"{embeddings}.patch_embedding.weight",
            PATCH_CONVOLUTION,
        ),
        ("visual.class_embedding", f"{embeddings}.class_embedding", SAME),
        ("visual.position_embedding", f"{embeddings}.position_embedding.weight", SAME),
        *norm("visual.pre_norm", f"{vision}.{pre_norm}"),
        *_blocks("visual", vision),
        *norm("visual.post_norm", f"{vision}.post_layernorm"),
        ("visual.projection", "visual_projection.weight", LINEAR),
    ]


def _messages() -> list[Row]:
    ours, theirs = "visual.blocks.{i}", "vision_model.encoder.layers.{i}"
    return [
        *linear(f"{ours}.message_projection", f"{theirs}.message_fc"),
        *norm(f"{ours}.message_norm", f"{theirs}.message_ln"),
        *_attention(f"{ours}.message_attention", f"{theirs}.message_attn"),
    ]


# "pre_layrnorm" is how the library spells it in CLIP, and only there.
_TABLES = {
    "clip": NameTable(_towers("pre_layrnorm")),
    "xclip": NameTable(
        [
            *_towers("pre_layernorm"),
            *_messages(),
            *norm("patch_norm", "prompts_visual_layernorm"),
            ("patch_projection", "prompts_visual_projection", SAME),
            ("integration.position_embedding", "mit.position_embedding", LEADING_ONE),
            *_blocks("integration", "mit"),
            *prompt_generator("prompts", "prompts_generator", "layernorm"),
        ]
    ),
}


def hugging_face_keys(path: str, family: str) -> Keys:
    """The state-dict keys of one of our parameters, and the layout of their stacked array.

    Args:
        path: a parameter of our model of that family.
        family: "clip" or "xclip".

    Raises:
        KeyError: `path` is not a parameter of that model.
    """
    return _TABLES[family].keys(path)
