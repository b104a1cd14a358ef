"""The state-dict names of the baselines MViT, VideoPrompt and EVL.

One table a family: our path → their keys and the layout of the array; for `{qkv}` see
`NameTable.keys`.
"""

from collections.abc import Iterable

from animal_clip_jax.conversion.layouts import (
    ATTENTION_OUT,
    CONVOLUTION,
    IMAGE_CONVOLUTION,
    LEADING_ONE,
    LEADING_ONES,
    PACKED_ATTENTION_BIAS,
    PACKED_ATTENTION_KERNEL,
    PATCH_LINEAR,
    SAME,
    Layout,
)
from animal_clip_jax.conversion.name_rows import Keys, NameTable, Row, linear, norm
from animal_clip_jax.conversion.openai_names import CLIP_ROWS, clip_block


def _attention(ours: str, in_projection: str, out_projection: str) -> list[Row]:
    return [
        (f"{ours}.query_key_value.kernel", f"{in_projection}.weight", PACKED_ATTENTION_KERNEL),
        (f"{ours}.query_key_value.bias", f"{in_projection}.bias", PACKED_ATTENTION_BIAS),
        (f"{ours}.out.kernel", f"{out_projection}.weight", ATTENTION_OUT),
        (f"{ours}.out.bias", f"{out_projection}.bias", SAME),
    ]


def _mlp(ours: str, theirs: str) -> list[Row]:
    return [
        *linear(f"{ours}.expand", f"{theirs}.fc1"),
        *linear(f"{ours}.contract", f"{theirs}.fc2"),
    ]


def _mvit(patch_convolution: Layout) -> list[Row]:
    rows = [
        ("patch_embedding.kernel", "patch_embed.proj.weight", patch_convolution),
        ("patch_embedding.bias", "patch_embed.proj.bias", SAME),
        ("class_embedding", "cls_token", LEADING_ONES),
        ("class_position_embedding", "pos_embed_class", LEADING_ONES),
        ("spatial_position_embedding", "pos_embed_spatial", LEADING_ONE),
        ("temporal_position_embedding", "pos_embed_temporal", LEADING_ONE),
        ("position_embedding", "pos_embed", LEADING_ONE),
        *norm("blocks.{i}.attention_norm", "blocks.{i}.norm1"),
        *_attention("blocks.{i}.attention", "blocks.{i}.attn.qkv", "blocks.{i}.attn.proj"),
        *norm("blocks.{i}.mlp_norm", "blocks.{i}.norm2"),
        *_mlp("blocks.{i}.mlp", "blocks.{i}.mlp"),
        *linear("blocks.{i}.widening", "blocks.{i}.proj"),
        *norm("final_norm", "norm"),
        *linear("head", "head.projection"),
    ]
    for name in ("query", "key", "value"):
        ours = f"blocks.{{i}}.attention.{name}_pooling"
        rows += [
            (f"{ours}.kernel", f"blocks.{{i}}.attn.pool_{name[0]}.weight", CONVOLUTION),
            *norm(f"{ours}.norm", f"blocks.{{i}}.attn.norm_{name[0]}"),
        ]
    return rows


def _video_prompt() -> list[Row]:
    return [
        *((ours, f"clipmodel.{theirs}", layout) for ours, theirs, layout in CLIP_ROWS),
        ("prompt_embedding", "embedding.weight", SAME),
        ("temporal.position_embedding", "temporalEmbedding.weight", SAME),
        *clip_block("temporal.blocks.{i}", "temporalModelling.resblocks.{i}"),
    ]


def _evl() -> list[Row]:
    frozen, layer, decoder = "visual.blocks.{i}", "layers.{i}", "decoder.decoder_layers.{i}"
    attention = "backbone.blocks.{i}.attn"
    return [
        ("visual.patch_embedding.kernel", "backbone.patch_embed.proj.weight", PATCH_LINEAR),
        ("visual.patch_embedding.bias", "backbone.patch_embed.proj.bias", SAME),
        ("visual.class_embedding", "backbone.cls_token", SAME),
        ("visual.position_embedding", "backbone.pos_embed", SAME),
        *norm("visual.pre_norm", "backbone.ln_pre"),
        *norm(f"{frozen}.attention_norm", "backbone.blocks.{i}.norm1"),
        *_attention(f"{frozen}.attention", f"{attention}.{{qkv}}_proj", f"{attention}.out_proj"),
        *norm(f"{frozen}.mlp_norm", "backbone.blocks.{i}.norm2"),
        *_mlp(f"{frozen}.mlp", "backbone.blocks.{i}.mlp"),
        ("class_embedding", "decoder.cls_token", SAME),
        (f"{layer}.temporal_convolution.kernel", "decoder.temporal_conv.{i}.weight", CONVOLUTION),
        (f"{layer}.temporal_convolution.bias", "decoder.temporal_conv.{i}.bias", SAME),
        (f"{layer}.position_embedding", "decoder.temporal_pos_embed.{i}", SAME),
        (f"{layer}.past", "decoder.cross_attention.{i}.w1", SAME),
        (f"{layer}.future", "decoder.cross_attention.{i}.w2", SAME),
        *norm(f"{layer}.attention_norm", f"{decoder}.norm1"),
        *norm(f"{layer}.mlp_norm", f"{decoder}.norm2"),
        *norm(f"{layer}.context_norm", f"{decoder}.norm3"),
        *linear(f"{layer}.attention.query", f"{decoder}.attn.q_proj"),
        *linear(f"{layer}.attention.key", f"{decoder}.attn.k_proj"),
        *linear(f"{layer}.attention.value", f"{decoder}.attn.v_proj"),
        *linear(f"{layer}.attention.out", f"{decoder}.attn.out_proj"),
        *_mlp(f"{layer}.mlp", f"{decoder}.mlp"),
        *norm("head_norm", "proj.0"),
        *linear("head", "proj.2"),
    ]


# An MViT over single images has patches of two axes.
_TABLES = {
    "mvit": NameTable(_mvit(CONVOLUTION)),
    "mvit_image": NameTable(_mvit(IMAGE_CONVOLUTION)),
    "video_prompt": NameTable(_video_prompt()),
    "evl": NameTable(_evl()),
}


def video_model_keys(paths: Iterable[str], family: str) -> dict[str, Keys]:
    """The state-dict keys of parameters, and the layout of the array that they are stacked to.

    Args:
        paths: parameters of a model of that family.
        family: "mvit", "mvit_image" (one frame), "video_prompt" or "evl".

    Raises:
        KeyError: a path is not a parameter of such a model.
    """
    return {path: _TABLES[family].keys(path) for path in paths}
