"""The dimensions of a model, read off the shapes of a state dict with OpenAI's names."""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from animal_clip_jax.errors import UserError, shortened
from animal_clip_jax.models.architectures import ClipArchitecture, heads_of
from animal_clip_jax.models.description import ModelDescription, fields_of


def default_dimensions(family: str, embed_dim: int) -> dict[str, Any]:
    """What the published models of a family have beyond their CLIP towers, by field name."""
    values = {
        "num_frames": 8,
        "integration_layers": 1,
        "integration_heads": heads_of(embed_dim),
        "prompt_layers": 2 if family == "xclip" else 3,
        "prompt_heads": heads_of(embed_dim),
        "graph_width": 256,
        "prompt_prefix": 16,
        "prompt_suffix": 16,
        "decoder_layers": 4,
        "num_classes": None,
    }
    return {name: values[name] for name in fields_of(family)}


def family_of(tensors: Mapping[str, np.ndarray], *, source: str) -> str:
    """Which model a state dict with OpenAI's names holds: "clip", "xclip" or "animal_clip".

    Raises:
        ValueError: it holds none of them; names the file.
    """
    if any(key.startswith("visual.layer1.") for key in tensors):
        raise UserError(
            f"{source}: a CLIP with a ResNet image tower (it has keys visual.layer1.*); only "
            "vision transformers can be converted"
        )
    if any(key.startswith("vision_model.") for key in tensors):
        raise UserError(
            f"{source}: has Hugging Face's names, which need the config.json beside the weights: "
            "give their folder as the source"
        )
    for key in ("visual.conv1.weight", "token_embedding.weight"):
        if key not in tensors:
            raise UserError(
                f"{source}: not a CLIP, X-CLIP or Animal-CLIP checkpoint: it has no {key} (its "
                f"keys begin with {', '.join(map(shortened, list(tensors)[:3]))})"
            )
    if any(key.startswith("graph.") for key in tensors):
        return "animal_clip"
    if any(key.startswith(("mit.", "prompts_generator.")) for key in tensors):
        return "xclip"
    return "clip"


def describe(
    tensors: Mapping[str, np.ndarray],
    *,
    activation: str,
    requested: Mapping[str, int],
    source: str,
) -> ModelDescription:
    """The description of the model whose state dict this is.

    Heads are width/64, as in every model published with these names. What a missing part would
    have said is as requested, or as published; that it is missing is for the caller to judge.

    Args:
        tensors: a state dict with OpenAI's names.
        activation: "quick_gelu" or "gelu", which no shape tells.
        requested: dimensions of parts that the state dict lacks, by field name.
        source: the file's path, for the messages.

    Raises:
        ValueError: not such a state dict, or shapes that contradict each other; names the file and
            the key.
    """
    family = family_of(tensors, source=source)

    def shape(key: str, rank: int) -> tuple[int, ...]:
        if key not in tensors:
            raise UserError(f"{source}: missing {key}, which tells the model's dimensions")
        found = tensors[key].shape
        if len(found) != rank:
            raise UserError(f"{source}: {key} has shape {found}; expected {rank} dimensions")
        return found

    def layers(prefix: str) -> int:
        return _count_layers(tensors, prefix, source=source)

    vision_width, _, _, patch_size = shape("visual.conv1.weight", 4)
    positions, _ = shape("visual.positional_embedding", 2)
    grid = math.isqrt(max(positions - 1, 0))
    if grid == 0 or grid**2 + 1 != positions:
        raise UserError(
            f"{source}: visual.positional_embedding has {positions} rows; expected one for the "
            "class token and a square number of patches"
        )
    vocab_size, text_width = shape("token_embedding.weight", 2)
    embed_dim = shape("visual.proj", 2)[1]
    architecture = ClipArchitecture(
        embed_dim=embed_dim,
        image_size=grid * patch_size,
        patch_size=patch_size,
        vision_width=vision_width,
        vision_layers=layers("visual.transformer.resblocks"),
        vision_heads=heads_of(vision_width),
        text_width=text_width,
        text_layers=layers("transformer.resblocks"),
        text_heads=heads_of(text_width),
        context_length=shape("positional_embedding", 2)[0],
        vocab_size=vocab_size,
        activation=activation,
    )
    if family == "clip":
        return ModelDescription("clip", architecture)
    generator = "prompts_generator1" if family == "animal_clip" else "prompts_generator"
    found = {
        "integration_layers": layers("mit.resblocks"),
        "prompt_layers": layers(f"{generator}.decoder"),
    }
    if "mit.positional_embedding" in tensors:
        found["num_frames"] = shape("mit.positional_embedding", 3)[1]
    if "graph.layers.0.weight" in tensors:
        found["graph_width"] = shape("graph.layers.0.weight", 2)[1]
    values = default_dimensions(family, embed_dim)
    values |= {name: value for name, value in requested.items() if name in values}
    values |= {name: value for name, value in found.items() if value}
    return ModelDescription(family, architecture, **values)


def _count_layers(tensors: Mapping[str, np.ndarray], prefix: str, *, source: str) -> int:
    pattern = re.compile(rf"{re.escape(prefix)}\.(\d+)\.")
    numbers = sorted({int(match[1]) for key in tensors if (match := pattern.match(key))})
    for expected, number in enumerate(numbers):
        if number != expected:
            raise UserError(
                f"{source}: missing {prefix}.{expected}.*, but {prefix}.{number} is there"
            )
    return len(numbers)
