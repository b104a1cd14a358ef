"""The state-dict names of OpenAI CLIP and of what builds on it: OpenCLIP, X-CLIP, Animal-CLIP.

One table: our path → their key and the layout of its array. `{i}` stands for a layer's number.
"""

import re
from collections.abc import Iterable

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

Row = tuple[str, str, Layout]


def _norm(ours: str, theirs: str) -> list[Row]:
    return [(f"{ours}.scale", f"{theirs}.weight", SAME), (f"{ours}.bias", f"{theirs}.bias", SAME)]


def _linear(ours: str, theirs: str) -> list[Row]:
    return [
        (f"{ours}.kernel", f"{theirs}.weight", LINEAR),
        (f"{ours}.bias", f"{theirs}.bias", SAME),
    ]


def _attention(ours: str, theirs: str) -> list[Row]:
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


def _block(ours: str, theirs: str) -> list[Row]:
    return [
        *_norm(f"{ours}.attention_norm", f"{theirs}.ln_1"),
        *_attention(f"{ours}.attention", f"{theirs}.attn"),
        *_norm(f"{ours}.mlp_norm", f"{theirs}.ln_2"),
        *_linear(f"{ours}.mlp.expand", f"{theirs}.mlp.c_fc"),
        *_linear(f"{ours}.mlp.contract", f"{theirs}.mlp.c_proj"),
    ]


def _prompt_generator(ours: str, theirs: str) -> list[Row]:
    layer, decoder = f"{ours}.layers.{{i}}", f"{theirs}.decoder.{{i}}"
    return [
        (f"{ours}.alpha", f"{theirs}.alpha", SAME),
        *_norm(f"{ours}.norm", f"{theirs}.norm"),
        *_norm(f"{layer}.attention_norm", f"{decoder}.norm1"),
        *(
            (f"{layer}.attention.{name}.kernel", f"{decoder}.cross_attn.{key}.weight", LINEAR)
            for name, key in (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"))
        ),
        *_linear(f"{layer}.attention.out", f"{decoder}.cross_attn.proj"),
        *_norm(f"{layer}.mlp_norm", f"{decoder}.norm3"),
        *_linear(f"{layer}.mlp.expand", f"{decoder}.mlp.0"),
        *_linear(f"{layer}.mlp.contract", f"{decoder}.mlp.3"),
    ]


_VISUAL_BLOCK, _THEIR_VISUAL_BLOCK = "visual.blocks.{i}", "visual.transformer.resblocks.{i}"

TABLE: tuple[Row, ...] = (
    ("logit_scale", "logit_scale", SAME),
    # Text tower
    ("text.token_embedding", "token_embedding.weight", SAME),
    ("text.position_embedding", "positional_embedding", SAME),
    *_block("text.blocks.{i}", "transformer.resblocks.{i}"),
    *_norm("text.final_norm", "ln_final"),
    ("text.projection", "text_projection", SAME),
    # Vision tower
    ("visual.patch_embedding.kernel", "visual.conv1.weight", PATCH_CONVOLUTION),
    ("visual.class_embedding", "visual.class_embedding", SAME),
    ("visual.position_embedding", "visual.positional_embedding", SAME),
    *_norm("visual.pre_norm", "visual.ln_pre"),
    *_block(_VISUAL_BLOCK, _THEIR_VISUAL_BLOCK),
    *_norm("visual.post_norm", "visual.ln_post"),
    ("visual.projection", "visual.proj", SAME),
    # What X-CLIP adds
    *_linear(f"{_VISUAL_BLOCK}.message_projection", f"{_THEIR_VISUAL_BLOCK}.message_fc"),
    *_norm(f"{_VISUAL_BLOCK}.message_norm", f"{_THEIR_VISUAL_BLOCK}.message_ln"),
    *_attention(f"{_VISUAL_BLOCK}.message_attention", f"{_THEIR_VISUAL_BLOCK}.message_attn"),
    *_norm("patch_norm", "prompts_visual_ln"),
    ("patch_projection", "prompts_visual_proj", SAME),
    ("integration.position_embedding", "mit.positional_embedding", LEADING_ONE),
    *_block("integration.blocks.{i}", "mit.resblocks.{i}"),
    *_prompt_generator("prompts", "prompts_generator"),
    # What Animal-CLIP adds
    *_prompt_generator("action_prompts", "prompts_generator1"),
    *_prompt_generator("video_prompts", "prompts_generator2"),
    ("graph.layers.{i}.kernel", "graph.layers.{i}.weight", SAME),
    *_norm("graph.layers.{i}.norm", "graph.layers.{i}.norm"),
)

_BY_PATH = {ours: (theirs, layout) for ours, theirs, layout in TABLE}


def numbered(path: str) -> tuple[str, str]:
    """Replaces the number of a layer by `{i}`: "a.3.b" → ("a.{i}.b", "3"); without one, "" ."""
    number = re.search(r"\.(\d+)\.", path)
    if number is None:
        return path, ""
    return path.replace(number.group(), ".{i}.", 1), number.group(1)


def torch_name(path: str) -> tuple[str, Layout]:
    """The state-dict key of one of our parameters, and the layout of its array.

    Raises:
        KeyError: `path` is not a parameter of one of our models.
    """
    generic, number = numbered(path)
    theirs, layout = _BY_PATH[generic]
    return theirs.replace("{i}", number), layout


def torch_names(paths: Iterable[str]) -> dict[str, tuple[str, Layout]]:
    """`torch_name` of every path: {our path: (key, layout)}."""
    return {path: torch_name(path) for path in paths}
