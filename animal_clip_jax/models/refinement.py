"""Fitting the text features to the clip: Animal-CLIP's relation graph and adaptive prompts, and
X-CLIP's video-specific prompts."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from animal_clip_jax.models.class_context import Array
from animal_clip_jax.models.initial_values import NEW_STD, normal
from animal_clip_jax.models.layers import Mlp, layer_norm
from animal_clip_jax.models.parameters import Parameters, split

ALPHA_INIT = 0.1  # how much of a generated prompt is added at the start of training


class GraphLayer(nnx.Module):
    """One layer of the relation graph, norm(φ(M (X W))), in pieces.

    The adjacency M is applied by `RelationGraph`, which knows which rows are needed.
    """

    def __init__(self, in_width: int, out_width: int, *, dtype: jnp.dtype, rngs: nnx.Rngs):
        self.dtype = dtype
        self.is_activated = out_width <= in_width
        self.kernel = nnx.Param(normal(1.0)(rngs.params(), (in_width, out_width), jnp.float32))
        self.norm = layer_norm(out_width, dtype=dtype, rngs=rngs)

    def transform(self, x: jax.Array) -> jax.Array:
        """X W: (..., in_width) → (..., out_width)."""
        return x @ self.kernel.astype(self.dtype)

    def finish(self, x: jax.Array) -> jax.Array:
        """norm(φ(x)): φ is a leaky ReLU (0.1) where the layer does not widen, else the identity."""
        return self.norm(jax.nn.leaky_relu(x, 0.1) if self.is_activated else x)


class RelationGraph(nnx.Module):
    """Two graph layers over animals and actions, joined where an animal performs an action.

    Equal to dense layers over all animals + actions nodes with a 0/1 adjacency with self-loops,
    computed from its only non-trivial part, the animals × actions block: what depends on no clip is
    computed once, and in the second layer only the action rows.

    As published, a node sums its neighbours. With R (actions × animals), the clip's animal weights
    p, and x̂ = x W, the two layers begin with

        action k:  x̂_k + Σ_a R_ka p_a x̂_a        animal a:  p_a x̂_a + Σ_k R_ka x̂_k      (first)
        action k:  x_k + Σ_a R_ka x_a                                                  (second)

    so that an action that forty animals perform is dominated by them; and by all of them: in the
    second layer also those that are not in the clip count.

    With `is_averaged` a node is the mean of itself and its neighbours, the rows of the adjacency
    over their sums, and animals count by their weights in the clip in both layers:

        action k:  (x_k + Σ_a R_ka p_a x_a) / (1 + Σ_a R_ka p_a)                       (both)
        animal a:  (x_a + Σ_k R_ka x_k) / (1 + Σ_k R_ka)                               (first)

    An animal of weight 0 then changes nothing, and the features keep their scale whatever the
    number of neighbours.
    """

    def __init__(
        self,
        embed_dim: int,
        *,
        hidden_width: int = 256,
        is_averaged: bool = False,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        self.is_averaged = is_averaged
        self.dtype = dtype
        self.layers = nnx.List(
            [
                GraphLayer(embed_dim, hidden_width, dtype=dtype, rngs=rngs),
                GraphLayer(hidden_width, embed_dim, dtype=dtype, rngs=rngs),
            ]
        )

    @jax.named_scope("graph")
    def __call__(
        self,
        action_features: Array,
        animal_features: Array,
        animal_weights: Array,
        relation: Array,
    ) -> jax.Array:
        """Refines the action features by the animals of each clip.

        Args:
            action_features: (actions, embed_dim).
            animal_features: (animals, embed_dim).
            animal_weights: (clips, animals) 0/1 or probabilities.
            relation: (actions, animals) 0 to 1, how surely the animal performs the action.

        Returns:
            (clips, actions, embed_dim).
        """
        first, second = self.layers
        relation = jnp.asarray(relation, self.dtype)
        weights = jnp.asarray(animal_weights, self.dtype)
        actions = first.transform(jnp.asarray(action_features, self.dtype))
        animals = first.transform(jnp.asarray(animal_features, self.dtype))
        put_together = self._averaged if self.is_averaged else self._summed
        # M (X W) = (M X) W: the neighbours are put together in the narrow hidden width, which is
        # the cheaper order.
        return second.finish(second.transform(put_together(actions, animals, weights, relation)))

    def _summed(
        self, actions: jax.Array, animals: jax.Array, weights: jax.Array, relation: jax.Array
    ) -> jax.Array:
        """What the second layer transforms: (actions, hidden_width), (animals, hidden_width),
        (clips, animals), (actions, animals) → (clips, actions, hidden_width)."""
        first = self.layers[0]
        animals = weights[:, :, None] * animals
        action_nodes = first.finish(actions + jnp.einsum("ka,bad->bkd", relation, animals))
        animal_nodes = first.finish(animals + jnp.einsum("ka,kd->ad", relation, actions))
        return action_nodes + jnp.einsum("ka,bad->bkd", relation, animal_nodes)

    def _averaged(
        self, actions: jax.Array, animals: jax.Array, weights: jax.Array, relation: jax.Array
    ) -> jax.Array:
        """As `_summed`, where nodes are means."""
        first = self.layers[0]
        edges = relation * weights[:, None]  # (clips, actions, animals)
        degree = 1 + edges.sum(axis=-1, keepdims=True)

        def means(nodes: jax.Array, neighbours: jax.Array) -> jax.Array:
            return (nodes + jnp.einsum("bka,ad->bkd", edges, neighbours)) / degree

        action_nodes = first.finish(means(actions, animals))
        actions_of = relation.T  # (animals, actions)
        animal_nodes = first.finish(
            (animals + actions_of @ actions) / (1 + actions_of.sum(axis=-1, keepdims=True))
        )
        return means(action_nodes, animal_nodes)


def _linear(
    in_width: int, out_width: int, *, use_bias: bool = True, dtype: jnp.dtype, rngs: nnx.Rngs
) -> nnx.Linear:
    return nnx.Linear(
        in_width,
        out_width,
        use_bias=use_bias,
        kernel_init=normal(NEW_STD),
        dtype=dtype,
        rngs=rngs,
    )


class CrossAttention(nnx.Module):
    """Multi-head attention from queries to a context; bias on the output projection only."""

    def __init__(self, width: int, num_heads: int, *, dtype: jnp.dtype, rngs: nnx.Rngs):
        self.num_heads = num_heads
        self.query = _linear(width, width, use_bias=False, dtype=dtype, rngs=rngs)
        self.key = _linear(width, width, use_bias=False, dtype=dtype, rngs=rngs)
        self.value = _linear(width, width, use_bias=False, dtype=dtype, rngs=rngs)
        self.out = _linear(width, width, dtype=dtype, rngs=rngs)

    def __call__(self, queries: jax.Array, context: jax.Array) -> jax.Array:
        """(clips, queries, width), (clips, tokens, width) → (clips, queries, width)."""
        attended = jax.nn.dot_product_attention(
            self._split_heads(self.query(queries)),
            self._split_heads(self.key(context)),
            self._split_heads(self.value(context)),
        )
        return self.out(attended.reshape(queries.shape))

    def _split_heads(self, x: jax.Array) -> jax.Array:
        return x.reshape(*x.shape[:2], self.num_heads, -1)

    def to_one_token(self, context: jax.Array) -> jax.Array:
        """What every query receives from a context of one token, where the softmax is 1.

        Neither the queries nor the `query` and `key` kernels matter. (clips, 1, width) both ways.
        """
        return self.out(self.value(context))


class PromptDecoderLayer(nnx.Module):
    """x + cross_attention(norm(x), context), then x + mlp(norm(x))."""

    def __init__(
        self, width: int, num_heads: int, *, activation: str, dtype: jnp.dtype, rngs: nnx.Rngs
    ):
        init = normal(NEW_STD)
        self.attention_norm = layer_norm(width, dtype=dtype, rngs=rngs)
        self.attention = CrossAttention(width, num_heads, dtype=dtype, rngs=rngs)
        self.mlp_norm = layer_norm(width, dtype=dtype, rngs=rngs)
        self.mlp = Mlp(
            width, activation=activation, in_init=init, out_init=init, dtype=dtype, rngs=rngs
        )

    def __call__(self, x: jax.Array, context: jax.Array) -> jax.Array:
        """(clips, queries, width), (clips, tokens, width) → (clips, queries, width)."""
        if context.shape[1] == 1:
            x = x + self.attention.to_one_token(context)
        else:
            x = x + self.attention(self.attention_norm(x), context)
        return x + self.mlp(self.mlp_norm(x))


class RefinementGate(nnx.Module):
    """How far the refinement of a clip is trusted, learned.

    Of the clip's video feature v, before it is refined, and its context c, the sum of its animals'
    features:

        g = σ(w · [v; c] + β)

    and of each feature, of video and actions, refined x' and not x:

        (1 − g) x / |x| + g x' / |x'|

    At 1 the model is the published one, at 0 one without refinement. So what refinement makes worse
    for some clips, such as those whose animals are not known or not related to anything, need not
    be. w and β begin at 0: every gate at ½, as neither is known to be better.
    """

    def __init__(self, width: int, *, dtype: jnp.dtype, rngs: nnx.Rngs):
        self.linear = nnx.Linear(
            2 * width,
            1,
            kernel_init=jax.nn.initializers.zeros,
            dtype=dtype,
            rngs=rngs,
        )

    def __call__(self, videos: jax.Array, context: jax.Array) -> jax.Array:
        """g in [0, 1] of each clip: (clips, width), (clips, width) → (clips, 1) float32."""
        with jax.named_scope("gate"):
            logits = self.linear(jnp.concatenate([videos, context], axis=-1))
            return jax.nn.sigmoid(logits.astype(jnp.float32))


def initial_gate(width: int) -> Parameters:
    """The parameters of a gate before training, by their paths in the model."""
    gate = RefinementGate(width, dtype=jnp.float32, rngs=nnx.Rngs(0))
    return {f"gate.{path}": np.asarray(value) for path, value in split(gate)[1].items()}


class PromptGenerator(nnx.Module):
    """Generates the prompt that is added to features, from a context.

    Animal-CLIP's context is one token, the clip's animals; X-CLIP's is the clip's patch tokens.
    """

    def __init__(
        self,
        width: int,
        num_layers: int,
        *,
        num_heads: int,
        activation: str,
        dtype: jnp.dtype,
        rngs: nnx.Rngs,
    ):
        self.dtype = dtype
        self.norm = layer_norm(width, dtype=dtype, rngs=rngs)
        self.layers = nnx.List(
            [
                PromptDecoderLayer(width, num_heads, activation=activation, dtype=dtype, rngs=rngs)
                for _ in range(num_layers)
            ]
        )
        self.alpha = nnx.Param(jnp.full((width,), ALPHA_INIT, jnp.float32))

    @jax.named_scope("prompts")
    def __call__(self, x: jax.Array, context: jax.Array) -> jax.Array:
        """(clips, queries, width), (clips, tokens, width) → (clips, queries, width)."""
        context = self.norm(context)
        for layer in self.layers:
            x = layer(x, context)
        return self.alpha.astype(self.dtype) * x
