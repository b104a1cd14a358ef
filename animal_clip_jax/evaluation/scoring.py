"""Scoring clips in several views, under several sources of animals.

A view of a clip goes through the video tower once. What comes out of that is scored under every
source of the animals, which costs next to nothing beside it.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding

from animal_clip_jax.models import parameters
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.normalisation import Normalisation, normalise
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.models.video_model import video_features
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.parallel.compiler_options import compiler_options

PROBABILITIES = {"softmax": jax.nn.softmax, "sigmoid": jax.nn.sigmoid}
LOGITS = "logits"
WaitFor = Callable[[jax.Array], object]


class ViewScores(NamedTuple):
    """One view of each clip of a batch, on the devices.

    Attributes:
        probabilities: under each source of animals, (clips, actions) float32; of steps for
            `LOGITS`, these.
        features: (clips, embed_dim) float32, of the video, not of unit length.
    """

    probabilities: tuple[jax.Array, ...]
    features: jax.Array


@dataclasses.dataclass(frozen=True)
class ScoringSteps:
    """The programs that score one view of each clip of a batch.

    A view at a time, so that memory does not grow with their number, and a job that is asked to
    stop does not have to finish all of them.

    Attributes:
        encode: the video tower. A function of (parameters, frames) with frames (clips, frames,
            size, size, 3) uint8, that gives what the model's `encode_video` gives, for `score`, and
            the video features (clips, embed_dim) float32, on every process.
        score: all that depends on the animals. A function of (parameters, encoded, animal weights,
            classes, temperature) with animal weights (clips, animals), and a number that divides
            the logits: at 1 they are as they were, bit by bit. It gives (clips, actions) float32,
            on every process.
        encode_actions: of a model that prompts the names of actions. A function of (parameters,
            tokens) that gives features, as `video_prompt` has them, on every process.
    """

    encode: Callable[[Parameters, jax.Array], tuple[Any, jax.Array]]
    score: Callable[[Parameters, Any, jax.Array, ClassContext, Any], jax.Array]
    encode_actions: Callable[[Parameters, jax.Array], jax.Array]

    def prepared(self, values: Parameters, classes: ClassContext) -> ClassContext:
        """Classes with all that is the same for every clip: prompted names are encoded."""
        if not jnp.issubdtype(classes.action_features.dtype, jnp.integer):
            return classes
        features = self.encode_actions(values, jnp.asarray(classes.action_features))
        return classes._replace(action_features=features)


def scoring_functions(
    graphdef: nnx.GraphDef, *, normalisation: Normalisation, outputs: str, parameter_shardings
) -> ScoringSteps:
    """The programs for a model, not compiled.

    Args:
        graphdef: structure of the model.
        normalisation: of the pixels.
        outputs: what turns logits into probabilities, "softmax" or "sigmoid"; `LOGITS` leaves them.
        parameter_shardings: how the parameters lie on the devices.
    """
    to_probabilities = _unchanged if outputs == LOGITS else PROBABILITIES[outputs]

    def model_of(values: Parameters) -> Any:
        # As in training: parameters move between devices, and activations do not.
        whole = mesh_lib.without_fsdp(parameter_shardings)
        return parameters.merge(graphdef, jax.lax.with_sharding_constraint(values, whole))

    def encode(values: Parameters, frames: jax.Array) -> tuple[Any, jax.Array]:
        encoded = model_of(values).encode_video(normalise(frames, *normalisation))
        return encoded, video_features(encoded)

    def score(
        values: Parameters,
        encoded: Any,
        weights: jax.Array,
        classes: ClassContext,
        temperature: jax.Array,
    ) -> jax.Array:
        logits = model_of(values).score_encoded(encoded, classes, weights)
        return to_probabilities(logits / temperature)

    def encode_actions(values: Parameters, tokens: jax.Array) -> jax.Array:
        return model_of(values).encode_actions(tokens)

    return ScoringSteps(encode, score, encode_actions)


def make_scoring_steps(
    graphdef: nnx.GraphDef,
    *,
    normalisation: Normalisation,
    outputs: str,
    mesh: Mesh,
    parameter_shardings,
) -> ScoringSteps:
    """The programs for a model, to be compiled when they are first called.

    Args:
        mesh: the devices.
        graphdef, normalisation, outputs, parameter_shardings: see `scoring_functions`.
    """
    functions = scoring_functions(
        graphdef,
        normalisation=normalisation,
        outputs=outputs,
        parameter_shardings=parameter_shardings,
    )
    options = compiler_options(mesh)
    replicated = NamedSharding(mesh, mesh_lib.REPLICATED)
    batch = NamedSharding(mesh, mesh_lib.BATCH)
    return ScoringSteps(
        encode=jax.jit(
            functions.encode,
            compiler_options=options,
            in_shardings=(parameter_shardings, batch),
            out_shardings=(batch, replicated),
        ),
        score=jax.jit(
            functions.score,
            compiler_options=options,
            in_shardings=(parameter_shardings, batch, batch, replicated, replicated),
            out_shardings=replicated,
        ),
        encode_actions=jax.jit(
            functions.encode_actions,
            compiler_options=options,
            in_shardings=(parameter_shardings, replicated),
            out_shardings=replicated,
        ),
    )


def score_views(
    steps: ScoringSteps,
    values: Parameters,
    classes: ClassContext,
    views: Iterable[np.ndarray],
    weights: Sequence[np.ndarray],
    mesh: Mesh,
    *,
    temperature: float = 1.0,
    wait_for: WaitFor = jax.block_until_ready,
) -> ViewScores:
    """Scores all views of a batch of clips: the sums over views of what each view gives.

    Args:
        values, classes: on the devices, `prepared`.
        views: at least one, of (clips, frames, size, size, 3) uint8, this process's share of the
            batch.
        weights: of the animals by each source, (clips, animals).
        temperature: divides the logits of each view; another one does not compile anew.
        wait_for: waits for an array of a view, and may raise to give the rest up.
    """
    placed = place_weights(weights, mesh)
    total: ViewScores | None = None
    for view in views:
        total = add_view(
            steps,
            values,
            classes,
            view,
            placed,
            mesh,
            total,
            temperature=temperature,
            wait_for=wait_for,
        )
    assert total is not None
    wait_for(total.probabilities[-1])
    return total


def place_weights(weights: Sequence[np.ndarray], mesh: Mesh) -> list[jax.Array]:
    """The weights of animals by each source, (clips, animals), on the devices."""
    return [mesh_lib.put_batch({"weights": told}, mesh)["weights"] for told in weights]


def add_view(
    steps: ScoringSteps,
    values: Parameters,
    classes: ClassContext,
    view: np.ndarray,
    weights: Sequence[jax.Array],
    mesh: Mesh,
    total: ViewScores | None,
    *,
    temperature: float = 1.0,
    wait_for: WaitFor = jax.block_until_ready,
) -> ViewScores:
    """The sums over views with one more view in them; arguments as `score_views`.

    Args:
        view: (clips, frames, size, size, 3) uint8.
        weights: of `place_weights`.
        total: of the views before, None for the first; waited for while this one is computed.
    """
    frames = mesh_lib.put_batch({"frames": view}, mesh)["frames"]
    encoded, features = steps.encode(values, frames)
    probabilities = tuple(
        steps.score(values, encoded, told, classes, np.float32(temperature)) for told in weights
    )
    scored = ViewScores(probabilities, features)
    if total is None:
        return scored
    wait_for(total.probabilities[-1])
    return jax.tree.map(jnp.add, total, scored)


def _unchanged(arrays):
    return arrays


def batch_size_for(wanted: int, num_clips: int, mesh: Mesh) -> int:
    """The batch size for a split: `wanted`, or less where that would only add padding.

    Returns:
        a multiple of the devices that share a batch.
    """
    shares = mesh.shape["data"] * mesh.shape["fsdp"]
    return min(wanted, -(-num_clips // shares) * shares)
