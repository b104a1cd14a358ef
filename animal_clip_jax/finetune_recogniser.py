"""Fits an image–text model to the animals of a data set, to recognise them in others.

    python -m animal_clip_jax.finetune_recogniser --config=configs/animal_kingdom.py \
      --config.init_from=weights/bioclip --output=weights/bioclip_animal_kingdom

`config.init_from` is what it starts from; "" starts from random weights of
`config.model.architecture`. The output is for `config.animals.weights`: of runs that evaluate or
predict with it, or that train on other clips than these.
"""

import pathlib
import sys

from absl import app, flags, logging
from flax import nnx
from ml_collections import ConfigDict, config_flags

from animal_clip_jax.classes import features
from animal_clip_jax.conversion import weights
from animal_clip_jax.errors import UserError
from animal_clip_jax.models import parameters
from animal_clip_jax.models.architectures import ClipArchitecture
from animal_clip_jax.models.clip import Clip
from animal_clip_jax.models.description import ModelDescription
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.recognition.finetune import fit
from animal_clip_jax.recognition.zero_shot import Recogniser
from animal_clip_jax.run import assembly
from animal_clip_jax.run.config import check_directory

_CONFIG = config_flags.DEFINE_config_file("config", None, "configuration file", lock_config=True)
_OUTPUT = flags.DEFINE_string("output", None, "folder to write the weights to")
_OVERWRITE = flags.DEFINE_boolean("overwrite", False, "replace weights that are there")
_STEPS = flags.DEFINE_integer("steps", 2000, "batches to train on", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "frames a step", lower_bound=1)
_LEARNING_RATE = flags.DEFINE_float(
    "learning_rate", 1e-5, "the highest, after warming up", lower_bound=0.0
)


def start_from(config: ConfigDict) -> Recogniser:
    """The model before the first step: from `config.init_from`, or random.

    Raises:
        FileNotFoundError, ValueError: see `Recogniser.load`.
    """
    if config.init_from:
        return Recogniser.load(config.init_from)
    architecture = ClipArchitecture(**config.model.architecture)
    graphdef, values = parameters.split(Clip(architecture, rngs=nnx.Rngs(config.seed)))
    return Recogniser(graphdef, values, architecture, assembly.normalisation(config))


def main(argv: list[str]) -> None:
    """Runs the command line; what is wrong with the input is said in one line, with exit code 2."""
    del argv
    logging.set_verbosity(logging.FATAL)
    try:
        _train(_CONFIG.value, pathlib.Path(str(_OUTPUT.value)))
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


def _train(config: ConfigDict, output: pathlib.Path) -> None:
    from data_pipeline.batches import input as input_pipeline
    from data_pipeline.dataset import dataset_digest, load_info

    weights.check_destination(output, overwrite=_OVERWRITE.value)
    check_directory(config)
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
        fitted_to=f"{dataset_digest(config.data.directory)}/{config.data.train_split}",
    )
    weights.save_weights(output, values, metadata, overwrite=_OVERWRITE.value)
    print(f"{output}: an image–text model, for config.animals.weights")


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "output"])
    app.run(main)
