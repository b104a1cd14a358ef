"""Fits an image–text model to the animals of a data set: a better recogniser than its names alone.

    python -m animal_clip_jax.recognition.finetune --config=configs/animal_kingdom.py \
      --config.init_from=weights/bioclip --output=weights/bioclip_animal_kingdom

The image tower learns to tell single frames by the names of their animals; the text tower stays as
it is, so names that the data set lacks keep their meaning. `config.init_from` is what it starts
from; "" starts from random weights of `config.model.architecture`. The output is for
`config.animals.weights`.
"""

import pathlib
import sys
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import app, flags, logging
from flax import nnx
from jax.sharding import Mesh, NamedSharding
from ml_collections import ConfigDict, config_flags

from animal_clip_jax.classes import features
from animal_clip_jax.conversion import weights
from animal_clip_jax.models import parameters
from animal_clip_jax.models.architectures import ClipArchitecture
from animal_clip_jax.models.clip import Clip, unit_length
from animal_clip_jax.models.description import ModelDescription
from animal_clip_jax.models.normalisation import Normalisation, normalise
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.recognition.zero_shot import Recogniser

_CONFIG = config_flags.DEFINE_config_file("config", None, "configuration file", lock_config=True)
_OUTPUT = flags.DEFINE_string("output", None, "folder to write the weights to")
_OVERWRITE = flags.DEFINE_boolean("overwrite", False, "replace weights that are there")
_STEPS = flags.DEFINE_integer("steps", 2000, "batches to train on", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "frames a step", lower_bound=1)
_LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-5, "at its highest", lower_bound=0.0)

_WARMUP = 0.05  # share of the steps in which the rate rises
_WEIGHT_DECAY = 0.001
_PRINT_EVERY = 100


def start_from(config: ConfigDict) -> Recogniser:
    """The model before the first step: from `config.init_from`, or random.

    Raises:
        FileNotFoundError, ValueError: see `Recogniser.load`.
    """
    if config.init_from:
        return Recogniser.load(config.init_from)
    architecture = ClipArchitecture(**config.model.architecture)
    graphdef, values = parameters.split(Clip(architecture, rngs=nnx.Rngs(config.seed)))
    normalisation = Normalisation(tuple(config.data.mean), tuple(config.data.std))
    return Recogniser(graphdef, values, architecture, normalisation)


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
                raise FloatingPointError(
                    f"step {number}: the loss is {float(value)}; lower --learning_rate"
                )
            print(f"step {number}/{steps}  loss {float(value):.3f}", flush=True)
    return jax.device_get({**trained, **frozen})


def _is_frozen(path: str) -> bool:
    return path.startswith("text.")


def main(argv: list[str]) -> None:
    """Runs the command line; what is wrong with the input is said in one line, with exit code 2."""
    del argv
    logging.set_verbosity(logging.FATAL)
    try:
        _train(_CONFIG.value, pathlib.Path(str(_OUTPUT.value)))
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


def _train(config: ConfigDict, output: pathlib.Path) -> None:
    from data_pipeline.batches import input as input_pipeline
    from data_pipeline.dataset import load_info

    weights.check_destination(output, overwrite=_OVERWRITE.value)
    if not config.data.directory:
        raise ValueError("config.data.directory is empty; give a converted data set")
    info = load_info(config.data.directory)
    texts = features.class_texts(config.animals.prompts, info.animal_names, "animal")
    recogniser = start_from(config)
    mesh = mesh_lib.make_mesh(config.mesh)
    mesh_lib.check_batch_size(_BATCH_SIZE.value, 1, mesh)
    batches = input_pipeline.train_batches(
        config.data.directory,
        num_frames=1,
        image_size=recogniser.architecture.image_size,
        batch_size=_BATCH_SIZE.value,
        seed=config.seed,
        multi_scale_crop=config.data.multi_scale_crop,
        flip=config.data.flip,
        num_workers=config.data.num_workers or None,
        split=config.data.train_split,
    )
    values = fit(
        recogniser,
        batches,
        features.encode_classes(recogniser.model().text, texts, pooling="mean"),
        steps=_STEPS.value,
        learning_rate=_LEARNING_RATE.value,
        mesh=mesh,
    )
    metadata = weights.WeightsMetadata(
        model=ModelDescription("clip", recogniser.architecture),
        normalisation=recogniser.normalisation,
        source_files={},
    )
    weights.save_weights(output, values, metadata, overwrite=_OVERWRITE.value)
    print(f"{output}: an image–text model, for config.animals.weights")


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "output"])
    app.run(main)
