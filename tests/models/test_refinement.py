"""The relation graph and the prompts against their definitions, written out in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from jax.test_util import check_grads

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


def _graph(*, is_averaged: bool, hidden_width: int = 32, dtype=jnp.float32) -> RelationGraph:
    return tiny.randomised(
        lambda rngs: RelationGraph(
            tiny.EMBED, hidden_width=hidden_width, is_averaged=is_averaged, dtype=dtype, rngs=rngs
        )
    )


def _summed(relation: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The published adjacency, and how the nodes are weighted before the first layer."""
    actions, animals = relation.shape
    adjacency = np.eye(animals + actions)
    for action, animal in np.argwhere(relation):
        adjacency[animal, animals + action] = 1
        adjacency[animals + action, animal] = 1
    nodes = np.concatenate([weights, np.ones((CLIPS, actions))], axis=1)
    return np.broadcast_to(adjacency, (CLIPS, *adjacency.shape)), nodes


def _averaged(relation: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows that sum to 1; an animal counts by its weight in the clip where others look at it."""
    actions, animals = relation.shape
    adjacency = np.tile(np.eye(animals + actions), (CLIPS, 1, 1))
    for clip in range(CLIPS):
        for action in range(actions):
            for animal in range(animals):
                edge = relation[action, animal]
                adjacency[clip, animals + action, animal] = edge * weights[clip, animal]
                adjacency[clip, animal, animals + action] = edge
    adjacency /= adjacency.sum(axis=2, keepdims=True)
    return adjacency, np.ones((CLIPS, animals + actions))


@pytest.mark.parametrize("dense", [_summed, _averaged])
@pytest.mark.parametrize("hidden_width", [16, 64, 128])
def test_relation_graph_is_dense_layers_over_all_nodes(hidden_width, dense):
    """Whichever layer narrows is activated, both where they are equally wide."""
    graph = _graph(is_averaged=dense is _averaged, hidden_width=hidden_width)
    classes = tiny.classes()
    weights = RANDOM.random((CLIPS, tiny.ANIMALS)).astype(np.float32)
    weights[0] = 0  # not told of any animal

    adjacency, of_nodes = dense(classes.relation, weights)
    nodes = np.concatenate([classes.animal_features, classes.action_features])
    x = of_nodes[:, :, None] * nodes.astype(np.float64)
    for layer in graph.layers:
        kernel = np.asarray(layer.kernel[...])
        x = adjacency @ (x @ kernel)
        if kernel.shape[1] <= kernel.shape[0]:
            x = np.where(x > 0, x, 0.1 * x)
        x = _norm(x, layer.norm)

    found = graph(classes.action_features, classes.animal_features, weights, classes.relation)
    np.testing.assert_allclose(found, x[:, tiny.ANIMALS :], rtol=1e-4, atol=1e-5)


def test_means_know_no_animal_that_is_not_in_the_clip():
    """Nor how many perform an action: an animal that stands there twice, each with half its weight,
    is that animal once. The published sums know both."""
    classes = tiny.classes()
    assert classes.relation[:, 1].any()
    weights = np.float32([[0, 1, 0, 0], [0.3, 0.2, 0, 0.5]])
    features = np.concatenate([classes.animal_features, classes.animal_features[1:2]])
    relation = np.concatenate([classes.relation, classes.relation[:, 1:2]], axis=1)
    absent = np.concatenate([weights, np.zeros((2, 1), np.float32)], axis=1)
    shared = np.concatenate([weights, weights[:, 1:2]], axis=1) * np.float32([1, 0.5, 1, 1, 0.5])
    for is_averaged in (True, False):
        graph = jax.jit(_graph(is_averaged=is_averaged))
        before = graph(*classes[:2], weights, classes.relation)
        for given in (absent, shared):
            after = graph(classes.action_features, features, given, relation)
            assert np.allclose(after, before, rtol=1e-5, atol=1e-5) == is_averaged


def test_gradients_through_means_are_finite_differences():
    """Of an action's features, of an animal's weights and edges, in float64."""
    classes = tiny.classes()
    weights = RANDOM.random((CLIPS, tiny.ANIMALS))
    weights[0] = 0
    direction = RANDOM.standard_normal((CLIPS, tiny.ACTIONS, tiny.EMBED))
    with jax.enable_x64(True):
        graph = _graph(is_averaged=True, dtype=jnp.float64)

        def total(actions, weights, relation):
            return jnp.sum(direction * graph(actions, classes.animal_features, weights, relation))

        given = (np.float64(classes.action_features), weights, np.float64(classes.relation))
        # Nodes near 0, where the leaky ReLU bends, have gradients that differences do not find.
        check_grads(jax.jit(total), given, order=1, modes=["rev"], eps=1e-6, rtol=1e-4)


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
