"""The relation graph and the prompts against their definitions, written out in numpy."""

import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from animal_clip_jax.models.refinement import (
    CrossAttention,
    PromptDecoderLayer,
    PromptGenerator,
    RelationGraph,
)

WIDTH, HEADS, CLIPS = 32, 4, 3
RANDOM = np.random.default_rng(0)


def _norm(x: np.ndarray, norm) -> np.ndarray:
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return x * np.asarray(norm.scale[...]) + np.asarray(norm.bias[...])


@pytest.mark.parametrize("hidden_width", [16, 64, 128])
def test_relation_graph_is_dense_layers_over_all_nodes(hidden_width):
    """Whichever layer narrows is activated, both where they are equally wide."""
    graph = tiny.randomised(
        lambda rngs: RelationGraph(
            tiny.EMBED, hidden_width=hidden_width, dtype=jnp.float32, rngs=rngs
        )
    )
    classes = tiny.classes()
    weights = RANDOM.random((CLIPS, tiny.ANIMALS)).astype(np.float32)
    weights[0] = 0  # not told of any animal

    nodes = tiny.ANIMALS + tiny.ACTIONS
    adjacency = np.eye(nodes)
    for action, animal in np.argwhere(classes.relation):
        adjacency[animal, tiny.ANIMALS + action] = 1
        adjacency[tiny.ANIMALS + action, animal] = 1
    x = np.concatenate(
        [
            weights[:, :, None] * classes.animal_features,
            np.broadcast_to(classes.action_features, (CLIPS, *classes.action_features.shape)),
        ],
        axis=1,
    ).astype(np.float64)
    for layer in graph.layers:
        kernel = np.asarray(layer.kernel[...])
        x = adjacency @ (x @ kernel)
        if kernel.shape[1] <= kernel.shape[0]:
            x = np.where(x > 0, x, 0.1 * x)
        x = _norm(x, layer.norm)

    found = graph(classes.action_features, classes.animal_features, weights, classes.relation)
    np.testing.assert_allclose(found, x[:, tiny.ANIMALS :], rtol=1e-4, atol=1e-5)


def _attend(attention: CrossAttention, queries: np.ndarray, context: np.ndarray) -> np.ndarray:
    """Multi-head softmax attention, head by head."""
    q, k, v = (
        x @ np.asarray(linear.kernel[...])
        for x, linear in (
            (queries, attention.query),
            (context, attention.key),
            (context, attention.value),
        )
    )
    size = WIDTH // HEADS
    heads = []
    for columns in (slice(i * size, (i + 1) * size) for i in range(HEADS)):
        scores = q[..., columns] @ k[..., columns].swapaxes(1, 2) / np.sqrt(size)
        weights = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
        heads.append(weights @ v[..., columns])
    out = attention.out
    return np.concatenate(heads, axis=-1) @ np.asarray(out.kernel[...]) + np.asarray(out.bias[...])


@pytest.mark.parametrize("num_tokens", [1, 4])
def test_prompt_decoder_layer(num_tokens):
    """With one token of context the softmax is not computed; here it always is."""
    layer = tiny.randomised(
        lambda rngs: PromptDecoderLayer(
            WIDTH, HEADS, activation="quick_gelu", dtype=jnp.float32, rngs=rngs
        )
    )
    x = RANDOM.standard_normal((CLIPS, 5, WIDTH)).astype(np.float32)
    context = RANDOM.standard_normal((CLIPS, num_tokens, WIDTH)).astype(np.float32)
    expected = x + _attend(layer.attention, _norm(x, layer.attention_norm), context)
    expand, contract = layer.mlp.expand, layer.mlp.contract
    hidden = _norm(expected, layer.mlp_norm) @ np.asarray(expand.kernel[...]) + expand.bias[...]
    hidden = hidden / (1 + np.exp(-1.702 * hidden))
    expected = expected + hidden @ np.asarray(contract.kernel[...]) + contract.bias[...]
    np.testing.assert_allclose(layer(x, context), expected, rtol=1e-4, atol=1e-5)


def test_equal_context_tokens_are_one():
    """The softmax shares its weight between them, so both paths through a layer agree."""
    generator = tiny.randomised(
        lambda rngs: PromptGenerator(
            WIDTH, 2, num_heads=HEADS, activation="gelu", dtype=jnp.float32, rngs=rngs
        )
    )
    x = RANDOM.standard_normal((CLIPS, 5, WIDTH)).astype(np.float32)
    context = RANDOM.standard_normal((CLIPS, 1, WIDTH)).astype(np.float32)
    several = generator(x, np.repeat(context, 3, axis=1))
    np.testing.assert_allclose(generator(x, context), several, rtol=1e-4, atol=1e-5)
