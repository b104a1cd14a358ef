"""Recorded figures of the baselines' published programs, and the recipe of their weights.

They lie beside the repository, not in it: without them, the tests that compare with them are
skipped.
"""

import json
import pathlib
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

FOLDER = pathlib.Path(__file__).parents[2] / "shared" / "baselines"

_EMBEDDINGS = {
    *("cls_token", "class_embedding", "positional_embedding", "pos_embed"),
    *("pos_embed_spatial", "pos_embed_temporal", "pos_embed_class"),
}
_EMBEDDING_KEYS = ("token_embedding.weight", "embedding.weight", "temporalEmbedding.weight")


def load(name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The configuration and the recorded arrays of a model; skips the test where there are none."""
    path = FOLDER / "golden" / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    with np.load(path) as archive:
        arrays = {key: archive[key] for key in archive.files}
    return json.loads(str(arrays.pop("config"))), arrays


def keys_and_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Those of a published full-size state dict; skips the test where there are none."""
    path = FOLDER / "keys" / f"{name}.txt"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    lines = [line.split() for line in path.read_text().splitlines() if not line.startswith("#")]
    return {
        key: () if shape == "scalar" else tuple(map(int, shape.split("x"))) for key, shape in lines
    }


def weight(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """The weight that the recipe gives to a state-dict key."""
    seed = zlib.crc32(key.encode()) & 0x7FFFFFFF
    values = np.random.RandomState(seed).standard_normal(shape).astype(np.float32)
    last = key.split(".")[-1]
    fan = int(np.prod(shape[1:]))
    if last == "running_mean":
        return np.float32(0.05) * values
    if last == "running_var":
        return 1 + np.float32(0.2) * np.abs(values)
    if last == "logit_scale":
        return np.float32(np.log(1 / 0.07))
    if last in _EMBEDDINGS or "temporal_pos_embed" in key or key.endswith(_EMBEDDING_KEYS):
        return np.float32(0.1) * values
    if last in ("w1", "w2"):
        return np.float32(0.5) * values
    if last == "weight" and len(shape) == 1:
        return 1 + np.float32(0.1) * values
    if last.endswith("bias"):
        return np.float32(0.05) * values
    return np.float32((1.4 if len(shape) >= 3 else 0.7) / np.sqrt(fan)) * values


def state_dict(shapes: dict[str, Any]) -> dict[str, np.ndarray]:
    """Weights by the recipe: {key: shape} → {key: array}."""
    return {key: np.asarray(weight(key, tuple(shape))) for key, shape in shapes.items()}


def assert_same(found: Any, expected: np.ndarray, what: str) -> None:
    """Within 3e-5 of the largest value."""
    assert jnp.shape(found) == expected.shape, what
    error = np.abs(np.asarray(found, np.float64) - expected).max() / np.abs(expected).max()
    assert error < 3e-5, f"{what} is off by {error:.1e} of its largest value"


def training_loss(logits: jax.Array, figures: dict[str, np.ndarray]) -> jax.Array:
    """The mean cross entropy of the recorded targets."""
    log_probabilities = jax.nn.log_softmax(logits)
    return -jnp.mean(jnp.take_along_axis(log_probabilities, figures["targets"][:, None], 1))


def assert_gradients(found: dict[str, np.ndarray], figures: dict[str, np.ndarray]) -> None:
    """The norms of all gradients, and the whole of those that were recorded.

    Args:
        found: gradients by state-dict key, in torch's layouts.
    """
    assert sorted(found) == sorted(figures["grad_names"])
    for key, expected in zip(figures["grad_names"], figures["grad_norms"], strict=True):
        norm = np.linalg.norm(np.asarray(found[key], np.float64))
        assert norm == pytest.approx(expected, rel=1e-3, abs=1e-5), key
    whole = [name for name in figures if name.startswith("grad/")]
    assert whole
    for name in whole:
        assert_same(found[name.removeprefix("grad/")], figures[name], name)
