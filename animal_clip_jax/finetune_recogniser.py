"""Fits an image–text model to the animals of a data set, for others to use.

    animal-clip finetune-recogniser --config=configs/animal_kingdom.py \
      --config.init_from=weights/bioclip --output=weights/bioclip_animal_kingdom

`config.init_from` is what it starts from; "" starts from random weights of
`config.model.architecture`, ViT-B/16 where that says nothing. The output is for
`config.animals.weights`: of runs that evaluate or predict with it, or that train on other clips
than these.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from flax import nnx
from ml_collections import ConfigDict

from animal_clip_jax import command_line
from animal_clip_jax.classes import features
from animal_clip_jax.command_line import Parser, numeric
from animal_clip_jax.conversion import weights
from animal_clip_jax.models import parameters
from animal_clip_jax.models.architectures import ClipArchitecture
from animal_clip_jax.models.clip import Clip
from animal_clip_jax.models.description import ModelDescription
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.recognition.finetune import fit
from animal_clip_jax.recognition.zero_shot import Recogniser
from animal_clip_jax.run import assembly, schema
from animal_clip_jax.run.config import check_directory
from animal_clip_jax.run.config_flags import read_config_file, with_fields
from animal_clip_jax.run.start import as_published
from animal_clip_jax.whole_outputs import replacing


def start_from(config: ConfigDict) -> Recogniser:
    """The model before the first step: from `config.init_from`, or random.

    Raises:
        FileNotFoundError, ValueError: see `Recogniser.load`.
    """
    if config.init_from:
        return Recogniser.load(config.init_from)
    config = as_published(config)
    architecture = ClipArchitecture(**config.model.architecture)
    graphdef, values = parameters.split(Clip(architecture, rngs=nnx.Rngs(config.seed)))
    return Recogniser(graphdef, values, architecture, assembly.normalisation(config))


def main(arguments: Sequence[str] | None = None) -> int:
    """`animal-clip finetune-recogniser`; returns the exit code."""
    parser = Parser(
        "finetune-recogniser",
        usage="--config=FILE --output=DIR [options]",
        summary="Fits an image–text model to the animals of a data set, for others to use.",
        examples=(
            "animal-clip finetune-recogniser --config=configs/animal_kingdom.py \\",
            "  --config.init_from=weights/bioclip --output=weights/bioclip_animal_kingdom",
        ),
        takes_fields=True,
    )
    add = parser.add_argument
    add("--config", metavar="FILE", required=True, help="configs/NAME.py, for data and init_from")
    add("--output", metavar="DIR", required=True, help="folder to write the weights to")
    add("--overwrite", action="store_true", help="replace weights that are there")
    positive = numeric(int, least=1)
    add("--steps", metavar="N", type=positive, default=2000, help="batches to train on (2000)")
    add("--batch_size", metavar="N", type=positive, default=64, help="frames a step (64)")
    add(
        "--learning_rate",
        metavar="RATE",
        type=numeric(float),
        default=1e-5,
        help="the highest, after warming up (1e-5)",
    )
    return command_line.run(lambda: _train(parser.parse(arguments)))


def _train(options: argparse.Namespace) -> None:
    command_line.need("tensorflow", "tensorflow_datasets")
    # Not what several fields say together: that is of a training, which may need what is made here.
    problems_of = schema.problems_of_values
    config = with_fields(read_config_file(options.config), options.fields, problems_of)
    schema.refuse(problems_of(config))
    output = pathlib.Path(options.output)
    from data_pipeline.batches import input as input_pipeline
    from data_pipeline.dataset import dataset_digest, load_info

    weights.check_destination(output, overwrite=options.overwrite)
    check_directory(config)
    info = load_info(config.data.directory)
    texts = features.class_texts(config.animals.prompts, info.animal_names, "animal")
    recogniser = start_from(config)
    mesh = mesh_lib.make_mesh(config.mesh)
    mesh_lib.check_batch_size(options.batch_size, 1, mesh)
    batches = input_pipeline.train_batches(
        config.data.directory,
        num_frames=1,
        image_size=recogniser.architecture.image_size,
        batch_size=options.batch_size,
        seed=config.seed,
        multi_scale_crop=config.data.multi_scale_crop,
        flip=config.data.flip,
        num_workers=config.data.num_workers or None,
        split=config.data.train_split,
    )
    metadata = weights.WeightsMetadata(
        model=ModelDescription("clip", recogniser.architecture),
        normalisation=recogniser.normalisation,
        source_files={},
        fitted_to=f"{dataset_digest(config.data.directory)}/{config.data.train_split}",
    )
    # Somebody else who writes there is noticed before hours are spent.
    with replacing(output) as folder:
        values = fit(
            recogniser,
            batches,
            features.encode_classes(recogniser.model().text, texts, pooling="mean", mesh=mesh),
            steps=options.steps,
            learning_rate=options.learning_rate,
            mesh=mesh,
        )
        weights.write_weights(folder, values, metadata, named=output)
    print(f"{output}: an image–text model, for config.animals.weights")


if __name__ == "__main__":
    sys.exit(main())
