"""A run that was never trained: random parameters, which the order of the frames matters to."""

import pathlib

import numpy as np
import tiny
from first_step import FirstStep, first_step
from ml_collections import ConfigDict

from animal_clip_jax.run.checkpoints import RunCheckpoints
from animal_clip_jax.run.data import open_training_data
from animal_clip_jax.run.run_description import RunDescription
from data_pipeline.dataset import dataset_digest


def make_run(config: ConfigDict, workdir: pathlib.Path) -> FirstStep:
    """Writes the folder of a run with one checkpoint, as if trained for a step.

    The first weights of a training hardly tell one frame from another; these do.
    """
    start = first_step(config, workdir)
    trained = tiny.random_parameters(start.state.trained)
    if "integration.position_embedding" in trained:
        trained["integration.position_embedding"] *= 5
    state = start.state._replace(
        step=np.int32(1),
        trained=trained,
        frozen={
            path: np.float32(4.6) if path == "logit_scale" else np.asarray(value)
            for path, value in start.state.frozen.items()
        },
    )
    data = open_training_data(config)
    description = RunDescription(
        config=config.to_dict(),
        action_names=data.info.action_names,
        animal_names=data.info.animal_names,
        relation_counts=data.info.relation_counts,
        action_clips=data.action_clips(),
        multi_label=data.info.multi_label,
        short_side=data.info.short_side,
        max_frames=data.info.max_frames,
        data_digest=dataset_digest(config.data.directory),
        recogniser_digest="",
        selection="none",
    )
    checkpoints = RunCheckpoints(workdir)
    checkpoints.save(state, start.classes, description, 1)
    checkpoints.close()
    return start
