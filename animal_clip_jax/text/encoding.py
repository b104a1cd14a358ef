"""Texts through the text tower: each only as far as its end token, over all devices.

The tower is causal, so what follows the end token changes nothing, and need not be computed.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from animal_clip_jax.models import parameters
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.models.text import TextTower
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.text.tokenizer import END_TOKEN, tokenize

# The tower is compiled once for each length that occurs: descriptions of 20 to 45 words take about
# eight, and 77 tokens at most twenty.
LENGTH_STEP = 4
TEXTS_A_DEVICE = 32


class TextFeatures(NamedTuple):
    """What the tower makes of some texts.

    Attributes:
        features: (texts, embed_dim) float32, not normalised.
        num_cut: how many texts were longer than the tower's context and were cut.
    """

    features: np.ndarray
    num_cut: int


class Batch(NamedTuple):
    """Some of the texts, and the length that all of their rows are brought to."""

    indices: np.ndarray
    length: int


def encode_texts(
    tower: TextTower,
    texts: Sequence[str],
    *,
    mesh: Mesh | None = None,
    texts_a_device: int = TEXTS_A_DEVICE,
    advance: Callable[[int], object] = lambda texts: None,
) -> TextFeatures:
    """Encodes texts, the shortest first, in batches of similar length.

    Args:
        tower, mesh, texts_a_device, advance: see `encode_tokens`.
        texts: at least one.

    Raises:
        ValueError: a text cannot be tokenised, see `tokenizer.tokenize`.
    """
    tokens, num_cut = _tokens(texts, tower.position_embedding.shape[0])
    features = encode_tokens(
        tower, tokens, mesh=mesh, texts_a_device=texts_a_device, advance=advance
    )
    return TextFeatures(features, num_cut)


def encode_tokens(
    tower: TextTower,
    tokens: np.ndarray,
    *,
    mesh: Mesh | None = None,
    texts_a_device: int = TEXTS_A_DEVICE,
    advance: Callable[[int], object] = lambda texts: None,
) -> np.ndarray:
    """Encodes rows of tokens, each up to its end token, which is the largest id of its row.

    Every device of the mesh encodes its share of a batch, whatever axis it lies along, with the
    whole tower. With several processes, all of them call it with the same, and all get the same.

    Args:
        tower: its parameters are NumPy arrays, or `jax.Array`s of which every process holds the
            whole.
        tokens: (texts, context_length) int32, at least one text.
        mesh: one device of this process unless given.
        texts_a_device: in one batch.
        advance: is given the number of texts that are done, again and again.

    Returns:
        (texts, embed_dim) float32, not normalised.
    """
    mesh = mesh or one_device()
    batch_size = min(texts_a_device, -(-len(tokens) // mesh.size)) * mesh.size
    replicated = NamedSharding(mesh, mesh_lib.REPLICATED)
    graphdef, values = parameters.split(tower)
    values = jax.device_put(values, replicated)
    batches = plan_batches(np.argmax(tokens, axis=1) + 1, batch_size, tokens.shape[1])
    results = []
    for indices, length in batches:
        # The last one is filled up with the longest text, so that its shape is that of the others.
        rows = np.pad(tokens[indices, :length], ((0, batch_size - len(indices)), (0, 0)), "edge")
        results.append(_encode(graphdef, replicated, values, _spread(rows, mesh)))
    features = np.empty((len(tokens), results[0].shape[1]), np.float32)
    done = 0
    advance(done)
    for (indices, _), result in zip(batches, results, strict=True):
        features[indices] = np.asarray(result)[: len(indices)]
        done += len(indices)
        advance(done)
    return features


def plan_batches(lengths: np.ndarray, batch_size: int, context_length: int) -> list[Batch]:
    """Which texts are encoded together: those of similar length, each text once.

    Args:
        lengths: (texts,) tokens of each, at most `context_length`.

    Returns:
        batches of `batch_size` texts, the last of what is left. Their lengths are multiples of
        `LENGTH_STEP`, or `context_length`.
    """
    order = np.argsort(lengths, kind="stable")
    batches = []
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        longest = int(lengths[indices[-1]])
        length = min(-(-longest // LENGTH_STEP) * LENGTH_STEP, context_length)
        batches.append(Batch(indices, length))
    return batches


def _tokens(texts: Sequence[str], context_length: int) -> tuple[np.ndarray, int]:
    """Rows of `tokenize`, and how many texts were cut."""
    # One token more than fits tells the texts that are cut from those that just fit.
    tokens = tokenize(texts, context_length + 1)
    is_cut = tokens[:, -1] == END_TOKEN
    tokens[is_cut, -2] = END_TOKEN
    return tokens[:, :-1], int(is_cut.sum())


@functools.partial(jax.jit, static_argnums=(0, 1))
def _encode(
    graphdef: nnx.GraphDef, replicated: NamedSharding, values: Parameters, tokens: jax.Array
) -> jax.Array:
    features = parameters.merge(graphdef, values)(tokens).astype(jnp.float32)
    return jax.lax.with_sharding_constraint(features, replicated)


def _spread(rows: np.ndarray, mesh: Mesh) -> jax.Array:
    """Rows that every process holds, spread over all devices."""
    return jax.make_array_from_callback(rows.shape, _by_row(mesh), lambda index: rows[index])


def _by_row(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec(mesh_lib.AXES))


def compiled_for(tower: TextTower, mesh: Mesh, *, texts: int, length: int) -> jax.stages.Compiled:
    """The program that encodes a batch, to be looked at.

    Args:
        mesh: of devices that need not be there.
        texts: in the batch, a multiple of the devices.
        length: of each, in tokens.
    """
    replicated = NamedSharding(mesh, mesh_lib.REPLICATED)
    graphdef, values = parameters.split(tower)
    shapes = jax.tree.map(
        lambda value: jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=replicated), values
    )
    tokens = jax.ShapeDtypeStruct((texts, length), jnp.int32, sharding=_by_row(mesh))
    return _encode.lower(graphdef, replicated, shapes, tokens).compile()


def one_device() -> Mesh:
    """A mesh of one device of this process."""
    return mesh_lib.make_mesh(dict.fromkeys(mesh_lib.AXES, 1), jax.local_devices()[:1])
