"""Fitting an image–text model to a data set's animals: a better recogniser than names alone.

The image tower learns to tell single frames by the names of their animals; the text tower stays as
it is, so names that the data set lacks keep their meaning.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding

from animal_clip_jax.errors import DivergenceError
from animal_clip_jax.models.clip import unit_length
from animal_clip_jax.models.normalisation import normalise
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.recognition.zero_shot import Recogniser

_WARMUP = 0.05  # share of the steps in which the rate rises
_WEIGHT_DECAY = 0.001
_PRINT_EVERY = 100


def fit(
    recogniser: Recogniser,
    batches: Iterator[dict[str, np.ndarray]],
    name_features: np.ndarray,
    *,
    steps: int,
    learning_rate: float,
    mesh: Mesh,
) -> Parameters:
    """Trains the image tower and the logits' factor.

    The loss is the cross entropy of each frame against the names of all animals, shared equally
    among those of its clip.

    Args:
        recogniser: the model to start from.
        batches: `frames` (clips, 1, size, size, 3) uint8 and `animals` (clips, animals).
        name_features: (animals, embed_dim), of any length.
        learning_rate: at its highest; it falls to 0 in half a cosine.

    Returns:
        all parameters by path.
    """
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, learning_rate, warmup_steps=round(_WARMUP * steps), decay_steps=steps
    )
    optimizer = optax.adamw(
        schedule,
        weight_decay=_WEIGHT_DECAY,
        mask=lambda values: {path: value.ndim > 1 for path, value in values.items()},
    )
    names = unit_length(jnp.asarray(name_features))
    frozen = {path: value for path, value in recogniser.values.items() if _is_frozen(path)}

    def loss(trained: Parameters, frozen: Parameters, batch: dict[str, jax.Array]) -> jax.Array:
        model = recogniser.model({**trained, **frozen})
        pixels = normalise(batch["frames"][:, 0], *recogniser.normalisation)
        logits = jnp.exp(model.logit_scale[...]) * unit_length(model.visual(pixels)) @ names.T
        animals = batch["animals"]
        shares = animals / jnp.maximum(animals.sum(axis=1, keepdims=True), 1)
        return jnp.mean(optax.softmax_cross_entropy(logits, shares))

    @jax.jit
    def step(trained: Parameters, state, frozen: Parameters, batch: dict[str, jax.Array]):
        value, gradient = jax.value_and_grad(loss)(trained, frozen, batch)
        updates, state = optimizer.update(gradient, state, trained)
        return optax.apply_updates(trained, updates), state, value

    replicated = NamedSharding(mesh, mesh_lib.REPLICATED)
    frozen = jax.device_put(frozen, replicated)
    trained = jax.device_put(
        {path: value for path, value in recogniser.values.items() if not _is_frozen(path)},
        replicated,
    )
    state = optimizer.init(trained)
    for number in range(1, steps + 1):
        batch = next(batches)
        arrays = {"frames": batch["frames"], "animals": batch["animals"]}
        trained, state, value = step(trained, state, frozen, mesh_lib.put_batch(arrays, mesh))
        if number % _PRINT_EVERY == 0 or number == steps:
            if not np.isfinite(float(value)):
                raise DivergenceError(
                    f"step {number}: the loss is {float(value)}; lower --learning_rate"
                )
            print(f"step {number}/{steps}  loss {float(value):.3f}", flush=True)
    return jax.device_get({**trained, **frozen})


def _is_frozen(path: str) -> bool:
    return path.startswith("text.")
