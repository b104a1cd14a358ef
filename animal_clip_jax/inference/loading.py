"""Opening a trained model."""

import dataclasses
import os
import warnings
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh, NamedSharding
from ml_collections import ConfigDict

from animal_clip_jax.classes.vocabulary import Labels, names_or
from animal_clip_jax.conversion import weights as weights_lib
from animal_clip_jax.errors import UserError
from animal_clip_jax.evaluation import scoring
from animal_clip_jax.files import as_path
from animal_clip_jax.inference.predictor import Predictor
from animal_clip_jax.models import parameters
from animal_clip_jax.models.animal_sources import RECOGNISED
from animal_clip_jax.models.attention_maps import attention_maps
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.description import build
from animal_clip_jax.models.normalisation import Normalisation, normalise
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.parallel import mesh as mesh_lib
from animal_clip_jax.run import assembly
from animal_clip_jax.run.animals import AnimalRecognition
from animal_clip_jax.run.attention import attention_in_use, fastest_attention
from animal_clip_jax.run.calibration import Calibration, calibration_in_use
from animal_clip_jax.run.config import source_without_labels
from animal_clip_jax.run.evaluate import expected_recogniser, open_for_use
from animal_clip_jax.run.trained_run import Preprocessing, TrainedRun
from data_pipeline.video import Views

# Of weights without a run, as the data sets are converted by default.
_DEFAULT_PREPROCESSING = Preprocessing(short_side=256, max_frames=64)
_DEFAULT_FRAMES = 8


def load(
    folder: str | os.PathLike[str],
    *,
    checkpoint: str | int | None = None,
    config: ConfigDict | None = None,
) -> Predictor:
    """Opens a trained model.

    Examples:
        >>> model = load("runs/demo/run")
        >>> model.predict("clip.mp4").actions[0]
        Prediction(label='Walking', probability=0.93)

    A run that was calibrated (`animal-clip calibrate`) answers with calibrated probabilities,
    unless `config.predict.calibration` is False. A calibration of another checkpoint, or with
    animals from elsewhere than here, is not used, and a warning says so. It is used whatever views
    are taken, and for videos whose animals are given.

    Args:
        folder: a run's folder, of this machine or any other; or weights written by
            `animal-clip convert`, which have no labels yet: see
            `Predictor.with_actions`.
        checkpoint: of a run: "latest", "best" or a step; None takes what its configuration says.
        config: the run's configuration with fields of `run.config.FREE_WHEN_TRAINED` changed: the
            views, where animals come from. None takes it as it is.

    Returns:
        the model on all devices of this process.

    Raises:
        MissingFileError: there is no such folder, or a recogniser of animals is missing that the
            run needs.
        UserError: the folder holds something else, is damaged, or is of a newer version.
    """
    if weights_lib.is_weights(folder) and not (as_path(folder) / "checkpoints").is_dir():
        return _of_weights(folder)
    run, config = open_for_use(folder, config)
    if checkpoint is not None:
        run = dataclasses.replace(TrainedRun.open(folder, checkpoint), config=run.config)
    source = source_without_labels(config)
    calibration = calibration_in_use(run, config)
    mesh = _local_mesh()
    attention, note = attention_in_use(config, run, mesh)
    if note and config.model.attention == "fused":  # what "auto" takes is said when it is trained
        warnings.warn(note, stacklevel=2)
    graphdef, _ = assembly.abstract_model(config.model, attention)
    replicated = NamedSharding(mesh, mesh_lib.REPLICATED)
    values, classes = run.restore(replicated)
    recognition = None
    if source in RECOGNISED:
        digest = expected_recogniser(run, config)
        recognition = AnimalRecognition(config, run.folder, run.labels.animals, mesh, digest=digest)
    return _predictor(
        graphdef,
        values,
        classes,
        labels=run.labels,
        normalisation=run.normalisation,
        outputs=assembly.outputs(config),
        preprocessing=run.preprocessing,
        views=Views(
            run.config.model.num_frames,
            run.config.model.architecture.image_size,
            config.evaluation.temporal_views,
            config.evaluation.crops,
        ),
        animal_source=source,
        family=run.model.family,
        architecture=run.model.architecture,
        mesh=mesh,
        run=run,
        config=config,
        recognition=recognition,
        calibration=calibration,
    )


def load_as_configured(
    folder: str | os.PathLike[str], config: ConfigDict, *, finds_blank: bool = False
) -> Predictor:
    """A run with the labels that its configuration gives a prediction. Errors as `load`.

    Args:
        folder, config: as for `load`.
        finds_blank: whether it has to tell videos without animals; an error if it cannot.
    """
    model = load(folder, config=config)
    labels = (
        names_or(config.predict.action_labels, model.actions),
        names_or(config.predict.animal_labels, model.animals),
    )
    if labels != tuple(model.labels):
        model = model.with_actions(labels[0], animals=labels[1])
    if finds_blank:
        try:
            model = model.with_presence()
        except UserError as error:
            raise UserError(f"--blank_below: {error}") from error
    return model


def _of_weights(folder: str | os.PathLike[str]) -> Predictor:
    values, metadata = weights_lib.load_weights(folder)
    if metadata.initialised:
        warnings.warn(
            f"{os.fspath(folder)}: {len(metadata.initialised)} of its {len(values)} arrays were "
            "not in what it was converted from and hold initial values, so what it says means "
            f"little before it is trained: {', '.join(metadata.initialised[:3])}, …",
            stacklevel=3,
        )
    description = metadata.model
    mesh = _local_mesh()
    attention = fastest_attention(description, jnp.dtype(jnp.float32), mesh).attention
    graphdef, _ = parameters.abstract(
        lambda: build(description, attention=attention, rngs=parameters.rngs_for_shapes())
    )
    return _predictor(
        graphdef,
        jax.device_put(values, NamedSharding(mesh, mesh_lib.REPLICATED)),
        None,
        labels=Labels((), ()),
        normalisation=metadata.normalisation,
        outputs="softmax",
        preprocessing=_DEFAULT_PREPROCESSING,
        views=Views(
            description.num_frames or _DEFAULT_FRAMES, description.architecture.image_size, 1, 1
        ),
        animal_source="none",
        family=description.family,
        architecture=description.architecture,
        mesh=mesh,
    )


def _predictor(
    graphdef: nnx.GraphDef,
    values: Parameters,
    classes: ClassContext | None,
    *,
    labels: Labels,
    normalisation: Normalisation,
    outputs: str,
    preprocessing: Preprocessing,
    views: Views,
    animal_source: str,
    family: str,
    architecture: Any,
    mesh: Mesh,
    run: TrainedRun | None = None,
    config: ConfigDict | None = None,
    recognition: AnimalRecognition | None = None,
    calibration: Calibration | None = None,
) -> Predictor:
    replicated = NamedSharding(mesh, mesh_lib.REPLICATED)

    @jax.jit
    def maps(values: Parameters, frames: jax.Array) -> jax.Array:
        model: Any = parameters.merge(graphdef, values)
        return attention_maps(model, normalise(frames, *normalisation))

    steps = scoring.make_scoring_steps(
        graphdef,
        normalisation=normalisation,
        outputs=outputs,
        mesh=mesh,
        parameter_shardings=replicated,
    )
    return Predictor(
        family=family,
        labels=labels,
        preprocessing=preprocessing,
        views=views,
        animal_source=animal_source,
        run=run,
        _config=config,
        _values=values,
        _classes=None if classes is None else steps.prepared(values, classes),
        _architecture=architecture,
        _mesh=mesh,
        _steps=steps,
        _attention_maps=maps if family in ("animal_clip", "xclip") else None,
        _recognition=recognition,
        judges_each_action=outputs == "sigmoid",
        calibration=calibration,
    )


def _local_mesh() -> Mesh:
    return mesh_lib.make_mesh({"data": -1, "fsdp": 1, "model": 1}, jax.local_devices())
