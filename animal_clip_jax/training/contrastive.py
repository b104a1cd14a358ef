"""Contrastive training of an image–text model: CLIP's loss, and the jitted step.

Source: Radford et al., Learning Transferable Visual Models From Natural Language Supervision
(2021), figure 3 and section 2.5.
"""

import math

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.scipy.special import logsumexp
from jax.sharding import Mesh, NamedSharding

from animal_clip_jax.models import parameters
from animal_clip_jax.models.clip import Clip, unit_length
from animal_clip_jax.models.normalisation import Normalisation, normalise
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.parallel.compiler_options import compiler_options
from animal_clip_jax.training.state import TrainState
from animal_clip_jax.training.step import Batch, Metrics

LOGIT_SCALE = "logit_scale"
# The logits' factor is at most 100, as published: a larger one makes the training unstable.
MOST_LOGIT_SCALE = math.log(100)


@jax.named_scope("contrastive_loss")
def contrastive_loss(images: jax.Array, texts: jax.Array, logit_scale: jax.Array) -> jax.Array:
    """The mean of two cross entropies: of each picture among all texts, and of each text among all
    pictures.

    Args:
        images, texts: (pairs, embed_dim) of unit length; those of a pair are in one row.
        logit_scale: () the logarithm of the logits' factor.

    Returns:
        (), float32. Of features that are spread over devices, the loss is that of all of them.
    """
    factor = jnp.exp(logit_scale)
    logits = factor * images @ texts.T
    matching = factor * jnp.sum(images * texts, axis=1)
    among = (logsumexp(logits, axis=1) + logsumexp(logits, axis=0)) / 2
    return jnp.mean(among - matching)


def make_contrastive_step(
    graphdef: nnx.GraphDef,
    optimizer: optax.GradientTransformation,
    *,
    normalisation: Normalisation,
    mesh: Mesh,
    state_shardings: TrainState,
) -> jax.stages.Wrapped:
    """The jitted training step of a `Clip`, all of which is trained.

    Args:
        graphdef: structure of the model.
        optimizer: over its parameters.
        normalisation: of the pixels.
        mesh: the devices; `state_shardings` says how the state lies on them. Each computes the
            features of its share of the pairs; the loss is over all of them.

    Returns:
        a function of (state, batch) that gives the next state and the metrics "loss",
        "gradient_norm", "parameter_norm" (after the step) and "logit_factor" (in the step). The
        batch has `images` (pairs, size, size, 3) uint8 and `tokens` (pairs, length) int32. The
        state's buffers are given up.
    """

    def batch_loss(values: Parameters, batch: Batch) -> jax.Array:
        model = parameters.merge(graphdef, values)
        assert isinstance(model, Clip)
        images = unit_length(model.visual(normalise(batch["images"], *normalisation)))
        texts = unit_length(model.text(batch["tokens"]))
        return contrastive_loss(images, texts, values[LOGIT_SCALE])

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        # As in the training of video models: the parameters are brought together once.
        whole = mesh_lib.without_fsdp(state_shardings.trained)
        with jax.named_scope("gather_parameters"):
            gathered = jax.lax.with_sharding_constraint(state.trained, whole)
        loss, gradients = jax.value_and_grad(batch_loss)(gathered, batch)
        with jax.named_scope("optimizer"):
            gradients = jax.lax.with_sharding_constraint(gradients, state_shardings.trained)
            updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.trained)
            trained = optax.apply_updates(state.trained, updates)
            trained[LOGIT_SCALE] = jnp.minimum(trained[LOGIT_SCALE], MOST_LOGIT_SCALE)
        metrics = {
            "loss": loss,
            "gradient_norm": optax.global_norm(gradients),
            "parameter_norm": optax.global_norm(trained),
            "logit_factor": jnp.exp(state.trained[LOGIT_SCALE]),
        }
        next_state = state._replace(step=state.step + 1, trained=trained, optimizer=optimizer_state)
        return next_state, metrics

    replicated = NamedSharding(mesh, mesh_lib.REPLICATED)
    return jax.jit(
        step,
        donate_argnums=0,
        compiler_options=compiler_options(mesh),
        in_shardings=(state_shardings, NamedSharding(mesh, mesh_lib.BATCH)),
        out_shardings=(state_shardings, replicated),
    )
