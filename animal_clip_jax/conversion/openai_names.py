"""The state-dict names of OpenAI CLIP and of what builds on it: OpenCLIP, X-CLIP, Animal-CLIP.

One table: our path → their key and the layout of its array.
"""

from collections.abc import Iterable

from animal_clip_jax.conversion.layouts import (
    ATTENTION_OUT,
    LEADING_ONE,
    PACKED_ATTENTION_BIAS,
    PACKED_ATTENTION_KERNEL,
    PATCH_CONVOLUTION,
    SAME,
    Layout,
)
from animal_clip_jax.conversion.name_rows import NameTable, Row, linear, norm, prompt_generator


def packed_attention(ours: str, theirs: str) -> list[Row]:
    """Self-attention as torch packs it."""
    return [
        (
            f"{ours}.query_key_value.kernel",
            f"{theirs}.in_proj_weight",
            PACKED_ATTENTION_KERNEL,
        ),
        (f"{ours}.query_key_value.bias", f"{theirs}.in_proj_bias", PACKED_ATTENTION_BIAS),
        (f"{ours}.out.kernel", f"{theirs}.out_proj.weight", ATTENTION_OUT),
        (f"{ours}.out.bias", f"{theirs}.out_proj.bias", SAME),
    ]


def clip_block(ours: str, theirs: str) -> list[Row]:
    """A block of CLIP's transformers."""
    return [
        *norm(f"{ours}.attention_norm", f"{theirs}.ln_1"),
        *packed_attention(f"{ours}.attention", f"{theirs}.attn"),
        *norm(f"{ours}.mlp_norm", f"{theirs}.ln_2"),
        *linear(f"{ours}.mlp.expand", f"{theirs}.mlp.c_fc"),
        *linear(f"{ours}.mlp.contract", f"{theirs}.mlp.c_proj"),
    ]


_VISUAL_BLOCK, _THEIR_VISUAL_BLOCK = "visual.blocks.{i}", "visual.transformer.resblocks.{i}"

CLIP_ROWS: tuple[Row, ...] = (
    ("logit_scale", "logit_scale", SAME),
    # Text tower
    ("text.token_embedding", "token_embedding.weight", SAME),
    ("text.position_embedding", "positional_embedding", SAME),
    *clip_block("text.blocks.{i}", "transformer.resblocks.{i}"),
    *norm("text.final_norm", "ln_final"),
    ("text.projection", "text_projection", SAME),
    # Vision tower
    ("visual.patch_embedding.kernel", "visual.conv1.weight", PATCH_CONVOLUTION),
    ("visual.class_embedding", "visual.class_embedding", SAME),
    ("visual.position_embedding", "visual.positional_embedding", SAME),
    *norm("visual.pre_norm", "visual.ln_pre"),
    *clip_block(_VISUAL_BLOCK, _THEIR_VISUAL_BLOCK),
    *norm("visual.post_norm", "visual.ln_post"),
    ("visual.projection", "visual.proj", SAME),
)

_TABLE = NameTable(
    (
        *CLIP_ROWS,
        # What X-CLIP adds
        *linear(f"{_VISUAL_BLOCK}.message_projection", f"{_THEIR_VISUAL_BLOCK}.message_fc"),
        *norm(f"{_VISUAL_BLOCK}.message_norm", f"{_THEIR_VISUAL_BLOCK}.message_ln"),
        *packed_attention(
            f"{_VISUAL_BLOCK}.message_attention", f"{_THEIR_VISUAL_BLOCK}.message_attn"
        ),
        *norm("patch_norm", "prompts_visual_ln"),
        ("patch_projection", "prompts_visual_proj", SAME),
        ("integration.position_embedding", "mit.positional_embedding", LEADING_ONE),
        *clip_block("integration.blocks.{i}", "mit.resblocks.{i}"),
        *prompt_generator("prompts", "prompts_generator", "norm"),
        # What Animal-CLIP adds
        *prompt_generator("action_prompts", "prompts_generator1", "norm"),
        *prompt_generator("video_prompts", "prompts_generator2", "norm"),
        ("graph.layers.{i}.kernel", "graph.layers.{i}.weight", SAME),
        *norm("graph.layers.{i}.norm", "graph.layers.{i}.norm"),
    )
)


def torch_name(path: str) -> tuple[str, Layout]:
    """The state-dict key of one of our parameters, and the layout of its array.

    Raises:
        KeyError: `path` is not a parameter of one of our models.
    """
    return _TABLE[path]


def torch_names(paths: Iterable[str]) -> dict[str, tuple[str, Layout]]:
    """`torch_name` of every path: {our path: (key, layout)}."""
    return {path: _TABLE[path] for path in paths}
