"""A calibration as if it had been fitted."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from animal_clip_jax.evaluation.calibration import Calibrated, Reliability
from animal_clip_jax.run import calibration
from animal_clip_jax.run.calibration import Calibration
from animal_clip_jax.run.trained_run import TrainedRun


def made(*, thresholds: Mapping[str, float] | None = None, **fields: Any) -> Calibration:
    """A calibration of a step 1 that has no digests, but for what is given."""
    curve = Reliability(np.array([3, 2]), np.array([0.25, 0.75]), np.array([1 / 3, 0.5]))
    values: dict[str, Any] = dict(
        step=1,
        checkpoint="",
        outputs="sigmoid" if thresholds else "softmax",
        animal_source="none",
        temperature=3.0,
        is_fitted=True,
        thresholds=thresholds or {},
        default_thresholds=(),
        clips={"data": "made", "split": "validation", "number": 5},
        views={"temporal_views": 1, "crops": 1},
        before=Calibrated(0.7, 0.2, curve),
        after=Calibrated(0.5, 0.1, curve),
        cross_fitted=None,
        program="of the tests",
    )
    return Calibration(**{**values, **fields})


def calibrated(folder: str | os.PathLike[str], **fields: Any) -> Calibration:
    """Writes a calibration of the latest checkpoint into the folder of a run; see `made`."""
    run = TrainedRun.open(folder)
    of_run = dict(step=run.step, checkpoint=calibration.checkpoint_digest(run))
    found = made(**{**of_run, **fields})
    calibration.write(run.folder, found)
    return found
