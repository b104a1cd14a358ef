"""A light probe that learns a data set's animals from what a frozen recogniser sees.

It is a softmax regression: convex, so that it has one solution, which depends on no seed.
"""

import hashlib
import io
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from animal_clip_jax.errors import UserError, shortened
from animal_clip_jax.numpy_archives import read_arrays
from animal_clip_jax.recognition.zero_shot import keep_best, softmax

FOLDS = 5
_MAX_STEPS = 500
_TOLERANCE = 1e-5  # of the gradient's norm
_NEVER = -1e9  # the logit of an animal without a training clip


class LinearProbe(NamedTuple):
    """logits = image_features @ kernel + bias.

    Attributes:
        kernel: (embed_dim, animals) float32.
        bias: (animals,) float32; -inf for an animal without a training clip.
        animal_names: the labels, in order.
        settings: digest of what it was fitted with: the recogniser, how it looks at clips, `l2`.
    """

    kernel: np.ndarray
    bias: np.ndarray
    animal_names: tuple[str, ...]
    settings: str

    def probabilities(self, image_features: np.ndarray, *, top_k: int = 0) -> np.ndarray:
        """What is seen (clips, embed_dim) → (clips, animals) float32, rows of sum 1."""
        return keep_best(softmax(image_features @ self.kernel + self.bias), top_k)

    def for_animals(self, animal_names: Sequence[str]) -> "LinearProbe":
        """The probe for other labels: what it does not know gets probability 0.

        Raises:
            ValueError: it knows none of them.
        """
        known = {
            name: column
            for column, name in enumerate(self.animal_names)
            if np.isfinite(self.bias[column])
        }
        columns = np.array([known.get(name, -1) for name in animal_names])
        if (columns < 0).all():
            raise UserError(
                f"the learned probe knows none of the {len(animal_names)} animals "
                f"({', '.join(animal_names[:5])}, ...): it was fitted to "
                f"{', '.join(self.animal_names[:5])}, ...; take 'predicted' as their source"
            )
        kernel = np.where(columns >= 0, self.kernel[:, columns], 0.0)
        bias = np.where(columns >= 0, self.bias[columns], -np.inf)
        return self._replace(kernel=kernel, bias=bias, animal_names=tuple(animal_names))

    def to_bytes(self) -> bytes:
        """A NumPy archive."""
        content = io.BytesIO()
        np.savez(
            content,
            kernel=self.kernel,
            bias=self.bias,
            animal_names=np.array(self.animal_names),
            settings=np.array(self.settings),
        )
        return content.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes, path: str) -> "LinearProbe":
        """The inverse of `to_bytes`.

        Args:
            path: of the file that holds it, for the message.

        Raises:
            UserError: it is something else; names the path.
        """
        try:
            arrays = read_arrays(content)
            names = tuple(map(str, arrays["animal_names"]))
            settings = str(arrays["settings"])
            probe = cls(arrays["kernel"], arrays["bias"], names, settings)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}: no linear probe that recognises animals ({shortened(error)}); "
                "delete it to have it made anew"
            ) from error
        if probe.kernel.shape[1:] != (len(names),) or probe.bias.shape != (len(names),):
            raise UserError(
                f"{path}: kernel {probe.kernel.shape}, bias {probe.bias.shape} and {len(names)} "
                "animals do not fit each other; delete it to have it made anew"
            )
        return probe


def fit_linear_probe(
    image_features: np.ndarray,
    animals: np.ndarray,
    animal_names: Sequence[str],
    *,
    l2: float,
    settings: str = "",
    learnt_from: np.ndarray | None = None,
) -> LinearProbe:
    """Learns the animals of clips.

    Minimises the mean cross entropy of the clips, each shared equally among its animals, plus
    l2 / 2 × the squared length of the kernel over centred features of mean square 1.

    Args:
        image_features: (clips, embed_dim) float32.
        animals: (clips, animals) multi-hot; clips without an animal are left out.
        animal_names: the labels, in order.
        l2: weight of the penalty, above 0.
        settings: see `LinearProbe`.
        learnt_from: (clips,) bool; the others are left out.

    Raises:
        ValueError: no clip has an animal.
    """
    inside = np.asarray(animals.any(axis=1))
    if learnt_from is not None:
        inside = inside & learnt_from
    if not inside.any():
        raise UserError(
            "a probe cannot learn to recognise animals: no clip that it may learn from has one; "
            "take 'predicted' or 'none' as the source of animals"
        )
    shown = animals[inside].any(axis=0)
    centre = image_features[inside].mean(axis=0)
    scale = np.sqrt(np.mean((image_features[inside] - centre) ** 2)) + np.finfo(np.float32).tiny
    # What is left out has no weight, so that all parts of a split compile to one program.
    targets = animals * inside[:, None] / np.maximum(animals.sum(axis=1, keepdims=True), 1)
    fitted = _minimise(
        (image_features - centre) / scale, targets.astype(np.float32), shown, np.float32(l2)
    )
    kernel, bias = (np.asarray(array) for array in fitted)
    kernel = np.where(shown, kernel / scale, 0.0).astype(np.float32)
    bias = np.where(shown, bias - centre @ kernel, -np.inf).astype(np.float32)
    return LinearProbe(kernel, bias, tuple(animal_names), settings)


@jax.jit
def _minimise(
    x: jax.Array, targets: jax.Array, shown: jax.Array, l2: jax.Array
) -> tuple[jax.Array, jax.Array]:
    def loss(weights):
        kernel, bias = weights
        logits = jnp.where(shown, x @ kernel + bias, _NEVER)
        entropy = optax.softmax_cross_entropy(logits, targets)
        return jnp.sum(entropy) / jnp.sum(targets) + l2 / 2 * jnp.sum(kernel**2)

    optimizer = optax.lbfgs()
    value_and_gradient = optax.value_and_grad_from_state(loss)

    def step(carry):
        weights, state, count, _ = carry
        value, gradient = value_and_gradient(weights, state=state)
        updates, state = optimizer.update(
            gradient, state, weights, value=value, grad=gradient, value_fn=loss
        )
        return optax.apply_updates(weights, updates), state, count + 1, optax.global_norm(gradient)

    def goes_on(carry):
        *_, count, norm = carry
        return (count < _MAX_STEPS) & (norm > _TOLERANCE)

    weights = (jnp.zeros((x.shape[1], targets.shape[1])), jnp.zeros(targets.shape[1]))
    start = (weights, optimizer.init(weights), jnp.int32(0), jnp.float32(jnp.inf))
    return jax.lax.while_loop(goes_on, step, start)[0]


def held_out_probabilities(
    image_features: np.ndarray,
    animals: np.ndarray,
    clip_ids: Sequence[str],
    animal_names: Sequence[str],
    *,
    l2: float,
    top_k: int = 0,
) -> np.ndarray:
    """For every training clip, what a probe says that was not fitted to it.

    A probe knows the clips that it was fitted to better than any new clip. What is to learn from
    its mistakes must see them as they will be.

    Args:
        image_features, animals, l2: as in `fit_linear_probe`.
        clip_ids: decide which of the `FOLDS` parts a clip is in.
        top_k: as in `LinearProbe.probabilities`.

    Returns:
        (clips, animals) float32, rows of sum 1.
    """
    folds = np.array([fold_of(clip_id) for clip_id in clip_ids])
    probabilities = np.zeros(animals.shape, np.float32)
    for fold in np.unique(folds):
        inside = folds == fold
        probe = fit_linear_probe(image_features, animals, animal_names, l2=l2, learnt_from=~inside)
        probabilities[inside] = probe.probabilities(image_features[inside], top_k=top_k)
    return probabilities


def fold_of(clip_id: str) -> int:
    """The part of the training split that a clip is in, from 0 to `FOLDS` - 1, by its name."""
    return int.from_bytes(hashlib.sha256(clip_id.encode()).digest()[:8]) % FOLDS
