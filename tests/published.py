"""State dicts in the published format, written out by hand: keys and shapes, tiny dimensions.

Independent of the conversion's own tables, which the tests compare with it.
"""

import golden
import numpy as np

EMBED, VISION, TEXT = 64, 128, 64
PATCH, GRID, CONTEXT, VOCABULARY = 4, 2, 12, 50
LAYERS, FRAMES, GRAPH = 2, 3, 32

Shapes = dict[str, tuple[int, ...]]


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _linear(name: str, in_width: int, out_width: int, *, bias: bool = True) -> Shapes:
    shapes: Shapes = {f"{name}.weight": (out_width, in_width)}
    return shapes | ({f"{name}.bias": (out_width,)} if bias else {})


def _attention(name: str, width: int) -> Shapes:
    return {
        f"{name}.in_proj_weight": (3 * width, width),
        f"{name}.in_proj_bias": (3 * width,),
        **_linear(f"{name}.out_proj", width, width),
    }


def _block(name: str, width: int) -> Shapes:
    return {
        **_norm(f"{name}.ln_1", width),
        **_attention(f"{name}.attn", width),
        **_norm(f"{name}.ln_2", width),
        **_linear(f"{name}.mlp.c_fc", width, 4 * width),
        **_linear(f"{name}.mlp.c_proj", 4 * width, width),
    }


def _messages(name: str, width: int) -> Shapes:
    return {
        **_linear(f"{name}.message_fc", width, width),
        **_norm(f"{name}.message_ln", width),
        **_attention(f"{name}.message_attn", width),
    }


def _prompts(name: str, layers: int) -> Shapes:
    shapes = {f"{name}.alpha": (EMBED,), **_norm(f"{name}.norm", EMBED)}
    for layer in (f"{name}.decoder.{i}" for i in range(layers)):
        shapes |= _norm(f"{layer}.norm1", EMBED) | _norm(f"{layer}.norm3", EMBED)
        for projection in ("q_proj", "k_proj", "v_proj"):
            shapes |= _linear(f"{layer}.cross_attn.{projection}", EMBED, EMBED, bias=False)
        shapes |= _linear(f"{layer}.cross_attn.proj", EMBED, EMBED)
        shapes |= _linear(f"{layer}.mlp.0", EMBED, 4 * EMBED)
        shapes |= _linear(f"{layer}.mlp.3", 4 * EMBED, EMBED)
    return shapes


def shapes(family: str) -> Shapes:
    """Keys and shapes of a tiny "clip", "xclip" (2 prompt layers) or "animal_clip" (3)."""
    found: Shapes = {
        "logit_scale": (),
        "token_embedding.weight": (VOCABULARY, TEXT),
        "positional_embedding": (CONTEXT, TEXT),
        **_norm("ln_final", TEXT),
        "text_projection": (TEXT, EMBED),
        "visual.conv1.weight": (VISION, 3, PATCH, PATCH),
        "visual.class_embedding": (VISION,),
        "visual.positional_embedding": (GRID**2 + 1, VISION),
        **_norm("visual.ln_pre", VISION),
        **_norm("visual.ln_post", VISION),
        "visual.proj": (VISION, EMBED),
    }
    for i in range(LAYERS):
        found |= _block(f"transformer.resblocks.{i}", TEXT)
        found |= _block(f"visual.transformer.resblocks.{i}", VISION)
    if family == "clip":
        return found
    for i in range(LAYERS):
        found |= _messages(f"visual.transformer.resblocks.{i}", VISION)
    found |= {
        **_norm("prompts_visual_ln", VISION),
        "prompts_visual_proj": (VISION, EMBED),
        "mit.positional_embedding": (1, FRAMES, EMBED),
        **_block("mit.resblocks.0", EMBED),
    }
    if family == "xclip":
        return found | _prompts("prompts_generator", 2)
    return {
        **found,
        **_prompts("prompts_generator1", 3),
        **_prompts("prompts_generator2", 3),
        "graph.layers.0.weight": (EMBED, GRAPH),
        "graph.layers.1.weight": (GRAPH, EMBED),
        **_norm("graph.layers.0.norm", GRAPH),
        **_norm("graph.layers.1.norm", EMBED),
    }


def state_dict(family: str) -> dict[str, np.ndarray]:
    """Weights for `shapes(family)`, by the recipe of the recorded figures."""
    return {key: np.asarray(golden.weight(key, shape)) for key, shape in shapes(family).items()}
