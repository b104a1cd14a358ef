"""The state-dict names of Hugging Face's `CLIPModel` and `XCLIPModel`.

One table a model: our path → their keys and the layout of the array. Where there are several keys
(query, key, value), their arrays are stacked along the first axis, which is how torch packs them.
`{i}` stands for a layer's number.
"""

from animal_clip_jax.conversion.layouts import (
    ATTENTION_OUT,
    LEADING_ONE,
    LINEAR,
    PACKED_ATTENTION_BIAS,
    PACKED_ATTENTION_KERNEL,
    PATCH_CONVOLUTION,
    SAME,
    Layout,
)
from animal_clip_jax.conversion.openai_names import numbered

Row = tuple[str, tuple[str, ...], Layout]


def _norm(ours: str, theirs: str) -> list[Row]:
    return [
        (f"{ours}.scale", (f"{theirs}.weight",), SAME),
        (f"{ours}.bias", (f"{theirs}.bias",), SAME),
    ]


def _linear(ours: str, theirs: str) -> list[Row]:
    return [
        (f"{ours}.kernel", (f"{theirs}.weight",), LINEAR),
        (f"{ours}.bias", (f"{theirs}.bias",), SAME),
    ]


def _attention(ours: str, theirs: str) -> list[Row]:
    def packed(leaf: str) -> tuple[str, ...]:
        return tuple(f"{theirs}.{part}_proj.{leaf}" for part in "qkv")

    return [
        (f"{ours}.query_key_value.kernel", packed("weight"), PACKED_ATTENTION_KERNEL),
        (f"{ours}.query_key_value.bias", packed("bias"), PACKED_ATTENTION_BIAS),
        (f"{ours}.out.kernel", (f"{theirs}.out_proj.weight",), ATTENTION_OUT),
        (f"{ours}.out.bias", (f"{theirs}.out_proj.bias",), SAME),
    ]


def _blocks(ours: str, theirs: str) -> list[Row]:
    ours, theirs = f"{ours}.blocks.{{i}}", f"{theirs}.encoder.layers.{{i}}"
    return [
        *_norm(f"{ours}.attention_norm", f"{theirs}.layer_norm1"),
        *_attention(f"{ours}.attention", f"{theirs}.self_attn"),
        *_norm(f"{ours}.mlp_norm", f"{theirs}.layer_norm2"),
        *_linear(f"{ours}.mlp.expand", f"{theirs}.mlp.fc1"),
        *_linear(f"{ours}.mlp.contract", f"{theirs}.mlp.fc2"),
    ]


def _towers(pre_norm: str) -> list[Row]:
    text, vision = "text_model", "vision_model"
    return [
        ("logit_scale", ("logit_scale",), SAME),
        ("text.token_embedding", (f"{text}.embeddings.token_embedding.weight",), SAME),
        ("text.position_embedding", (f"{text}.embeddings.position_embedding.weight",), SAME),
        *_blocks("text", text),
        *_norm("text.final_norm", f"{text}.final_layer_norm"),
        ("text.projection", ("text_projection.weight",), LINEAR),
        (
            "visual.patch_embedding.kernel",
            (f"{vision}.embeddings.patch_embedding.weight",),
            PATCH_CONVOLUTION,
        ),
        ("visual.class_embedding", (f"{vision}.embeddings.class_embedding",), SAME),
        ("visual.position_embedding", (f"{vision}.embeddings.position_embedding.weight",), SAME),
        *_norm("visual.pre_norm", f"{vision}.{pre_norm}"),
        *_blocks("visual", vision),
        *_norm("visual.post_norm", f"{vision}.post_layernorm"),
        ("visual.projection", ("visual_projection.weight",), LINEAR),
    ]


def _messages() -> list[Row]:
    ours, theirs = "visual.blocks.{i}", "vision_model.encoder.layers.{i}"
    return [
        *_linear(f"{ours}.message_projection", f"{theirs}.message_fc"),
        *_norm(f"{ours}.message_norm", f"{theirs}.message_ln"),
        *_attention(f"{ours}.message_attention", f"{theirs}.message_attn"),
    ]


def _prompts() -> list[Row]:
    ours, theirs = "prompts.layers.{i}", "prompts_generator.decoder.{i}"
    return [
        ("prompts.alpha", ("prompts_generator.alpha",), SAME),
        *_norm("prompts.norm", "prompts_generator.layernorm"),
        *_norm(f"{ours}.attention_norm", f"{theirs}.norm1"),
        *(
            (f"{ours}.attention.{name}.kernel", (f"{theirs}.cross_attn.{key}.weight",), LINEAR)
            for name, key in (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"))
        ),
        *_linear(f"{ours}.attention.out", f"{theirs}.cross_attn.proj"),
        *_norm(f"{ours}.mlp_norm", f"{theirs}.norm3"),
        *_linear(f"{ours}.mlp.expand", f"{theirs}.mlp.0"),
        *_linear(f"{ours}.mlp.contract", f"{theirs}.mlp.3"),
    ]


# "pre_layrnorm" is how the library spells it in CLIP, and only there.
_TABLES: dict[str, tuple[Row, ...]] = {
    "clip": tuple(_towers("pre_layrnorm")),
    "xclip": (
        *_towers("pre_layernorm"),
        *_messages(),
        *_norm("patch_norm", "prompts_visual_layernorm"),
        ("patch_projection", ("prompts_visual_projection",), SAME),
        ("integration.position_embedding", ("mit.position_embedding",), LEADING_ONE),
        *_blocks("integration", "mit"),
        *_prompts(),
    ),
}
_BY_PATH = {
    family: {ours: (theirs, layout) for ours, theirs, layout in table}
    for family, table in _TABLES.items()
}


def hugging_face_keys(path: str, family: str) -> tuple[tuple[str, ...], Layout]:
    """The state-dict keys of one of our parameters, and the layout of their stacked array.

    Args:
        path: a parameter of our model of that family.
        family: "clip" or "xclip".

    Raises:
        KeyError: `path` is not a parameter of that model.
    """
    generic, number = numbered(path)
    keys, layout = _BY_PATH[family][generic]
    return tuple(key.replace("{i}", number) for key in keys), layout
