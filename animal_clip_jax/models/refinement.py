"""Fitting the text features to the clip: Animal-CLIP's relation graph and adaptive prompts, and
X-CLIP's video-specific prompts."""

import jax
import jax.numpy as jnp
from flax import nnx

from animal_clip_jax.models.class_context import Array
from animal_clip_jax.models.layers import NEW_STD, Mlp, layer_norm

ALPHA_INIT = 0.1  # how much of a generated prompt is added at the start of training


class GraphLayer(nnx.Module):
    """One layer of the relation graph, norm(φ(M (X W))), in pieces.

    The adjacency M is applied by `RelationGraph`, which knows which rows are needed.
    """

    def __init__(self, in_width: int, out_width: int, *, dtype: jnp.dtype, rngs: nnx.Rngs):
        self.dtype = dtype
        self.is_activated = out_width <= in_width
        self.kernel = nnx.Param(
            jax.nn.initializers.normal(1.0)(rngs.params(), (in_width, out_width), jnp.float32)
        )
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
    """

    def __init__(
        self, embed_dim: int, *, hidden_width: int = 256, dtype: jnp.dtype, rngs: nnx.Rngs
    ):
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
            relation: (actions, animals) 1 where the animal performs the action, else 0.

        Returns:
            (clips, actions, embed_dim).
        """
        first, second = self.layers
        relation = jnp.asarray(relation, self.dtype)
        weights = jnp.asarray(animal_weights, self.dtype)[:, :, None]
        actions = first.transform(jnp.asarray(action_features, self.dtype))
        animals = weights * first.transform(jnp.asarray(animal_features, self.dtype))
        action_nodes = first.finish(actions + jnp.einsum("ka,bad->bkd", relation, animals))
        animal_nodes = first.finish(animals + jnp.einsum("ka,kd->ad", relation, actions))
        # M (X W) = (M X) W: summing neighbours in the narrow hidden width is the cheaper order.
        neighbours = action_nodes + jnp.einsum("ka,bad->bkd", relation, animal_nodes)
        return second.finish(second.transform(neighbours))


def _linear(
    in_width: int, out_width: int, *, use_bias: bool = True, dtype: jnp.dtype, rngs: nnx.Rngs
) -> nnx.Linear:
    return nnx.Linear(
        in_width,
        out_width,
        use_bias=use_bias,
        kernel_init=jax.nn.initializers.normal(NEW_STD),
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
        init = jax.nn.initializers.normal(NEW_STD)
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
