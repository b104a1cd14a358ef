"""The published system's own figures for a tiny model, and the recipe of its weights."""

import json
import pathlib
import zlib

import numpy as np

PATH = pathlib.Path(__file__).parent / "data" / "animal_clip_tiny.npz"

_NORMS = {"norm", "norm1", "norm3", "message_ln", "prompts_visual_ln"}
_INPUT_FIRST = {"proj", "text_projection", "prompts_visual_proj"}


def load() -> tuple[dict, dict[str, np.ndarray]]:
    """The model's dimensions and its recorded inputs and outputs."""
    with np.load(PATH) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return json.loads(str(arrays.pop("config"))), arrays


def weight(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """The weight that the recipe gives to a state-dict key."""
    seed = zlib.crc32(key.encode()) & 0x7FFFFFFF
    values = np.random.RandomState(seed).standard_normal(shape).astype(np.float32)
    *_, parent, leaf = ("", *key.split("."))
    if key == "logit_scale":
        return np.float32(np.log(1 / 0.07))
    if leaf == "alpha":
        return (0.1 + 0.02 * values).astype(np.float32)
    if parent.startswith("ln_") or parent in _NORMS:
        return (1 + 0.1 * values if leaf == "weight" else 0.05 * values).astype(np.float32)
    if leaf in ("bias", "in_proj_bias"):
        return np.float32(0.02) * values
    if leaf in ("class_embedding", "positional_embedding") or key == "token_embedding.weight":
        return np.float32(0.1) * values
    input_first = leaf in _INPUT_FIRST or key.startswith("graph.")
    fan = shape[0] if input_first else int(np.prod(shape[1:]))
    return (0.7 / np.sqrt(fan) * values).astype(np.float32)
