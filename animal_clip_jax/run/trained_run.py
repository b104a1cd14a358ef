"""A trained run, opened: the one place that makes a model of a folder."""

import dataclasses
import functools
import os
import pathlib

import jax
import numpy as np
from etils import epath
from flax import nnx
from ml_collections import ConfigDict

from animal_clip_jax.classes.vocabulary import Labels
from animal_clip_jax.conversion import weights
from animal_clip_jax.conversion.baselines import read_baseline
from animal_clip_jax.errors import UserError
from animal_clip_jax.files import absolute, as_path
from animal_clip_jax.models.class_context import ClassContext, without_texts
from animal_clip_jax.models.description import BASELINES, ModelDescription
from animal_clip_jax.models.normalisation import Normalisation
from animal_clip_jax.models.parameters import Parameters
from animal_clip_jax.run import assembly, workdir
from animal_clip_jax.run.checkpoints import RunCheckpoints
from animal_clip_jax.run.config import complete
from animal_clip_jax.run.run_description import RunDescription
from data_pipeline.dataset import load_info


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """How the frames of a video are chosen and sized before the model's own views of them.

    Attributes:
        short_side: in pixels.
        max_frames: the most that are looked at, evenly spaced; 0 looks at all.
    """

    short_side: int
    max_frames: int


@dataclasses.dataclass(frozen=True)
class TrainedRun:
    """The model of a run as it was trained.

    Examples:
        >>> run = TrainedRun.open("runs/demo/run")
        >>> values, classes = run.restore(sharding)
        >>> model = parameters.merge(run.graphdef, values)

    Attributes:
        folder: of the run, whole.
        config: as it was trained, with `VALUES_OF_OLDER_RUNS` for fields that it lacks.
        description: labels, counts, preprocessing.
        step: of the checkpoint.
        record: what the run was made from.
    """

    folder: epath.Path
    config: ConfigDict
    description: RunDescription
    step: int
    record: workdir.RunRecord

    @classmethod
    def open(cls, folder: str | os.PathLike[str], checkpoint: str | int = "latest") -> "TrainedRun":
        """Opens the run in a folder.

        Args:
            checkpoint: "latest", "best", or the step of one.

        Raises:
            MissingFileError: there is no such folder, or no such checkpoint in it.
            UserError: the folder holds no run, or one of a newer version, or is damaged.
        """
        path = absolute(folder)
        workdir.check_is_run(path)
        record = workdir.read_record(path)
        checkpoints, step = RunCheckpoints.open(path, checkpoint)
        try:
            description = checkpoints.describe(step)
        finally:
            checkpoints.close()
        try:
            config = complete(description.config)
        except UserError as error:
            raise UserError(f"{path}: the checkpoint of step {step} is damaged: {error}") from error
        return cls(path, config, description, step, record)

    @property
    def labels(self) -> Labels:
        """The actions and animals that it was trained on."""
        return Labels(self.description.action_names, self.description.animal_names)

    @property
    def model(self) -> ModelDescription:
        """Family and dimensions of the model."""
        return assembly.model_description(self.config.model)

    @functools.cached_property
    def graphdef(self) -> nnx.GraphDef:
        """The structure of the model, for any device; see also `run.attention.attention_in_use`."""
        return assembly.abstract_model(self.config.model)[0]

    @property
    def normalisation(self) -> Normalisation:
        """Of the pixels that it was trained on."""
        return assembly.normalisation(self.config)

    @property
    def preprocessing(self) -> Preprocessing:
        """How videos were made into frames.

        Raises:
            UserError: the run is older than its own record of it, and its data is gone.
        """
        description = self.description
        if description.short_side is not None and description.max_frames is not None:
            return Preprocessing(description.short_side, description.max_frames)
        try:
            info = load_info(self.config.data.directory)
        except UserError as error:
            raise UserError(
                f"{self.folder}: this run of an older version does not say how large the frames "
                f"are that it was trained on, and its data cannot be asked: {error}; give a copy "
                "of it as config.data.directory"
            ) from error
        return Preprocessing(info.short_side, info.max_frames)

    def with_data_at(self, directory: str) -> "TrainedRun":
        """The run with its data at another place."""
        config = self.config.copy_and_resolve_references()
        config.data.directory = directory
        return dataclasses.replace(self, config=config)

    def restore(self, sharding) -> tuple[Parameters, ClassContext]:
        """Reads the parameters (their averages where there are some) and the class context.

        Args:
            sharding: of all arrays.

        Raises:
            UserError: the checkpoint is damaged; names it, and an older one that is not.
        """
        checkpoints = RunCheckpoints(self.folder)
        try:
            values, classes = checkpoints.restore_weights(self.step, sharding)
        finally:
            checkpoints.close()
        if classes is None:
            classes = jax.device_put(without_texts(len(self.labels.actions)), sharding)
        return values, classes

    def as_weights(self) -> weights.Weights:
        """The parameters on the host, to start another training from."""
        device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        values, _ = self.restore(device)
        return weights.Weights(
            {path: np.asarray(value) for path, value in values.items()},
            weights.WeightsMetadata(self.model, self.normalisation, source_files={}),
        )


def is_run(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder is that of a run."""
    path = as_path(folder)
    return (path / workdir.CONFIG_FILE).exists() or (path / "checkpoints").is_dir()


def load_start(path: str, family: str, preset: str = "") -> weights.Weights:
    """The weights that `config.init_from` names: a folder of the converter, a run, or a file of
    others with a model of `BASELINES`.

    Args:
        family, preset: of the model that is asked for, which such a file does not say.

    Raises:
        UserError: it is missing, damaged or something else.
    """
    if not weights.is_weights(path) and is_run(path):
        return TrainedRun.open(path).as_weights()
    if family in BASELINES and as_path(path).is_file():
        return read_baseline(pathlib.Path(path), family, preset_name=preset).weights
    return weights.load_weights(path)
