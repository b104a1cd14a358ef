"""The one jitted step that advances the training state."""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from animal_clip_jax.models import parameters
from animal_clip_jax.models.animal_sources import animal_weights
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.normalisation import normalise
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.parallel.compiler_options import compiler_options
from animal_clip_jax.training import augmentation
from animal_clip_jax.training.losses import Loss
from animal_clip_jax.training.state import TrainState

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class StepSettings:
    """What a step does to a batch before the model sees it. The fields are those of the default
    configuration's `augmentation`, `data` and `animals`."""

    accumulation: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    jitter_probability: float
    brightness: float
    contrast: float
    saturation: float
    hue: float
    grey_probability: float
    mix: bool
    mixup_alpha: float
    cutmix_alpha: float
    animal_source: str
    label_dropout: float
    otherwise: str = "none"
    ema_decay: float = 0.0


def make_train_step(
    graphdef: nnx.GraphDef,
    optimizer: optax.GradientTransformation,
    loss: Loss,
    *,
    reduction: str,
    settings: StepSettings,
    mesh: Mesh,
    state_shardings: TrainState,
) -> jax.stages.Wrapped:
    """The jitted training step.

    Args:
        graphdef: structure of the model.
        optimizer: over the trained parameters.
        loss: values of clips.
        reduction: "mean" or "sum" of those over the batch.
        settings: augmentation and accumulation.
        mesh: the devices; `state_shardings` says how the state lies on them.

    Returns:
        a function of (state, batch, classes) that gives the next state and the metrics "loss",
        "gradient_norm" and "parameter_norm" (of the trained, after the step). The batch has
        `frames` (clips, frames, size, size, 3) uint8, `actions` (clips, actions), `animals`
        (clips, animals) and, where the settings name a recognised source of animals,
        `animal_weights` (clips, animals). The state's buffers are given up.
    """

    def batch_loss(
        trained: Parameters, frozen: Parameters, statistics: Parameters, batch: Batch, classes, key
    ) -> tuple[jax.Array, Parameters]:
        jitter_key, mix_key, path_key, dropout_key = jax.random.split(key, 4)
        frames = batch["frames"].astype(jnp.float32)
        animals = animal_weights(batch, settings.animal_source)
        if settings.label_dropout > 0:
            is_told = jax.random.bernoulli(
                dropout_key, 1 - settings.label_dropout, (animals.shape[0], 1)
            )
            animals = jnp.where(is_told, animals, animal_weights(batch, settings.otherwise))
        targets = batch["actions"]
        if settings.jitter_probability > 0 or settings.grey_probability > 0:
            frames = augmentation.colour_jitter(
                frames,
                jitter_key,
                probability=settings.jitter_probability,
                brightness=settings.brightness,
                contrast=settings.contrast,
                saturation=settings.saturation,
                hue=settings.hue,
                grey_probability=settings.grey_probability,
            )
        if settings.mix:
            frames, (targets, animals) = augmentation.mix(
                frames,
                (targets, animals),
                mix_key,
                mixup_alpha=settings.mixup_alpha,
                cutmix_alpha=settings.cutmix_alpha,
            )
        frames = normalise(frames, settings.mean, settings.std)
        logits, statistics = parameters.with_new_statistics(
            graphdef,
            {**trained, **frozen, **statistics},
            lambda model: model(frames, classes, animals, key=path_key),
        )
        with jax.named_scope("loss"):
            return jnp.sum(loss(logits, targets)), statistics

    def step(state: TrainState, batch: Batch, classes: ClassContext):
        key = jax.random.fold_in(state.rng, state.step)
        # The parameters are brought together once a step, and each device computes with all of them
        # on its own clips. Left to itself, the compiler moves activations instead, which are far
        # larger.
        whole = mesh_lib.without_fsdp((state_shardings.trained, state_shardings.frozen))
        with jax.named_scope("gather_parameters"):
            gathered = jax.lax.with_sharding_constraint((state.trained, state.frozen), whole)

        def gradient_of(statistics: Parameters, batch: Batch, key: jax.Array):
            (total, statistics), gradients = jax.value_and_grad(batch_loss, has_aux=True)(
                *gathered, statistics, batch, classes, key
            )
            return (total, gradients), statistics

        def as_whole(total_and_gradients: tuple[jax.Array, Parameters]):
            total, gradients = total_and_gradients
            return total, jax.lax.with_sharding_constraint(gradients, whole[0])

        if settings.accumulation == 1:
            (total, gradients), statistics = gradient_of(state.statistics, batch, key)
        else:
            micro_batches = {
                name: _micro_batches(value, settings.accumulation, mesh)
                for name, value in batch.items()
            }

            def accumulate(sums_and_statistics, micro):
                sums, statistics = sums_and_statistics
                index, micro_batch = micro
                value, statistics = gradient_of(
                    statistics, micro_batch, jax.random.fold_in(key, index)
                )
                with jax.named_scope("sum_gradients"):
                    sums = as_whole(jax.tree.map(jnp.add, sums, as_whole(value)))
                return (sums, statistics), None

            # What the devices add to is whole, or each would keep its part of every micro-batch's
            # gradients. So nothing needs their sum over the devices before the loop ends, and the
            # compilers for accelerators exchange it there, once.
            zeros = as_whole((jnp.float32(0), jax.tree.map(jnp.zeros_like, gathered[0])))
            indices = jnp.arange(settings.accumulation)
            (sums, statistics), _ = jax.lax.scan(
                accumulate, (zeros, state.statistics), (indices, micro_batches)
            )
            if mesh.shape["fsdp"] > 1:  # or there are no parts, and nothing to keep apart
                sums = jax.lax.optimization_barrier(as_whole(sums))
            total, gradients = sums
        scale = 1.0 / batch["frames"].shape[0] if reduction == "mean" else 1.0
        with jax.named_scope("optimizer"):
            # Each device keeps the part that its share of the optimizer's state needs.
            gradients = jax.lax.with_sharding_constraint(gradients, state_shardings.trained)
            gradients = jax.tree.map(lambda gradient: gradient * scale, gradients)
            updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.trained)
            trained = optax.apply_updates(state.trained, updates)
            metrics = {
                "loss": total * scale,
                "gradient_norm": optax.global_norm(gradients),
                "parameter_norm": optax.global_norm(trained),
            }
        next_state = TrainState(
            step=state.step + 1,
            trained=trained,
            frozen=state.frozen,
            statistics=statistics,
            optimizer=optimizer_state,
            averaged={
                path: settings.ema_decay * average + (1 - settings.ema_decay) * trained[path]
                for path, average in state.averaged.items()
            },
            rng=state.rng,
        )
        return next_state, metrics

    replicated = NamedSharding(mesh, mesh_lib.REPLICATED)
    batch_sharding = NamedSharding(mesh, mesh_lib.BATCH)
    return jax.jit(
        step,
        donate_argnums=0,
        compiler_options=compiler_options(mesh),
        in_shardings=(state_shardings, batch_sharding, replicated),
        out_shardings=(state_shardings, replicated),
    )


def _micro_batches(x: jax.Array, accumulation: int, mesh: Mesh) -> jax.Array:
    """(clips, …) → (accumulation, clips/accumulation, …), without moving clips between devices:
    each micro-batch takes every accumulation-th clip."""
    # Not -1: there may be no animals, and nothing in it.
    x = x.reshape(x.shape[0] // accumulation, accumulation, *x.shape[1:]).swapaxes(0, 1)
    spec = PartitionSpec(None, *mesh_lib.BATCH)
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, spec))
