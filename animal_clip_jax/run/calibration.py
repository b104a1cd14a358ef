"""What `animal-clip calibrate` found for a run, as it lies in the run's folder."""

import dataclasses
import hashlib
import json
import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from animal_clip_jax.digests import sealed, unsealed
from animal_clip_jax.errors import DamagedError, UserError
from animal_clip_jax.evaluation.calibration import DEFAULT_THRESHOLD, Calibrated, Reliability
from animal_clip_jax.files import read_json_object, write_whole
from animal_clip_jax.models.animal_sources import IN_WORDS
from animal_clip_jax.run.config import source_without_labels
from animal_clip_jax.run.trained_run import TrainedRun
from animal_clip_jax.run.workdir import CALIBRATION_FILE

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The temperature and the thresholds of a checkpoint, and what they were fitted on.

    Attributes:
        step: of the checkpoint.
        checkpoint: a digest of its arrays, "" of a run that has none.
        outputs: "softmax" or "sigmoid", see `evaluation.calibration`.
        animal_source: where the animals of the clips came from.
        temperature: divides the logits of each view.
        is_fitted: whether the clips have a best temperature; without one it is 1.
        thresholds: of the probability of each action, by its label, from which it counts as shown;
            {} where the probabilities of all actions add up to 1.
        default_thresholds: actions of these that had too few clips, or were not told apart, and
            have `DEFAULT_THRESHOLD`.
        clips: which clips: their data set, split, number and digest.
        views: of each clip: "temporal_views" and "crops".
        before: how well calibrated these clips were.
        after: at the temperature, which was fitted on the same clips.
        cross_fitted: at temperatures that were fitted without the clips that are judged; None of
            too few clips.
        program: that fitted it, with its version.
    """

    step: int
    checkpoint: str
    outputs: str
    animal_source: str
    temperature: float
    is_fitted: bool
    thresholds: Mapping[str, float]
    default_thresholds: tuple[str, ...]
    clips: Mapping[str, Any]
    views: Mapping[str, int]
    before: Calibrated
    after: Calibrated
    cross_fitted: Calibrated | None
    program: str

    def thresholds_of(self, actions: tuple[str, ...]) -> tuple[float, ...] | None:
        """The threshold of each action, `DEFAULT_THRESHOLD` of those that it does not know; None
        without thresholds."""
        if not self.thresholds:
            return None
        return tuple(self.thresholds.get(action, DEFAULT_THRESHOLD) for action in actions)

    def misfit(self, run: TrainedRun, animal_source: str) -> str:
        """Why it is not for a use of a run; "" if it is."""
        if self.step != run.step:
            return f"it is of step {self.step}, not {run.step}"
        if self.checkpoint != checkpoint_digest(run):
            return f"it is of another checkpoint of step {run.step}"
        if self.animal_source != animal_source:
            ours, theirs = IN_WORDS[self.animal_source], IN_WORDS[animal_source]
            return f"it was fitted with the animals {ours}, and now they are {theirs}"
        return ""

    def to_json(self) -> dict[str, Any]:
        """Nested dictionaries, lists, texts and numbers."""
        content = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in _JUDGED
        }
        content["default_thresholds"] = list(self.default_thresholds)
        judged = {name: _judged_to_json(getattr(self, name)) for name in _JUDGED}
        return {"version": VERSION, **content, **judged}


_JUDGED = ("before", "after", "cross_fitted")


def checkpoint_digest(run: TrainedRun) -> str:
    """What tells the checkpoint of a run from others of the same step; "" of an older run."""
    digests = run.description.digests
    if digests is None:
        return ""
    return hashlib.sha256(json.dumps(sorted(digests.items())).encode()).hexdigest()


def write(folder: epath.Path, calibration: Calibration) -> epath.Path:
    """Writes `calibration.json` into the folder of a run; its path.

    Raises:
        UserError: it cannot be written.
    """
    path = folder / CALIBRATION_FILE
    write_whole(path, json.dumps(sealed(calibration.to_json()), indent=2) + "\n")
    return path


def read(folder: epath.Path) -> Calibration | None:
    """The calibration in the folder of a run, None if it has none.

    Raises:
        UserError: it is damaged, or of a newer version of this program; names it.
    """
    path = folder / CALIBRATION_FILE
    if not path.exists():
        return None
    mend = "run `animal-clip calibrate` again, or remove it"
    try:
        content = read_json_object(path)
    except UserError as error:
        raise UserError(f"{error}; {mend}") from error
    version = content.get("version")
    if isinstance(version, int) and version > VERSION:
        raise UserError(
            f"{path} is of version {version}, made by a newer program; this one reads up to "
            f"{VERSION}: update it, or {mend}"
        )
    try:
        return _parsed(unsealed(content))
    except DamagedError as error:
        raise UserError(f"{path} is damaged or was changed; {mend}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged: {error!r}; {mend}") from error


def calibration_in_use(run: TrainedRun, config: ConfigDict) -> Calibration | None:
    """The calibration of a run that videos without labels are answered with; None without one, if
    `config.predict.calibration` is False, and, with a warning, if it is of something else.

    Args:
        run: opened.
        config: of the use.
    """
    found = read(run.folder) if config.predict.calibration else None
    reason = "" if found is None else found.misfit(run, source_without_labels(config))
    if not reason:
        return found
    warnings.warn(
        f"{run.folder / CALIBRATION_FILE} is not used, {reason}; probabilities are not calibrated: "
        "run `animal-clip calibrate` again",
        stacklevel=3,
    )
    return None


def _parsed(content: dict[str, Any]) -> Calibration:
    del content["version"]
    judged = {name: _judged_of_json(content.pop(name)) for name in _JUDGED}
    content["default_thresholds"] = tuple(content["default_thresholds"])
    calibration = Calibration(**content, **judged)
    if not 0 < calibration.temperature < math.inf:
        raise ValueError(f"the temperature is {calibration.temperature}")
    for label, threshold in calibration.thresholds.items():
        if not 0 < threshold < 1:
            raise ValueError(f"the threshold of {label!r} is {threshold}")
    return calibration


def _judged_to_json(judged: Calibrated | None) -> dict[str, Any] | None:
    if judged is None:
        return None
    curve = {name: array.tolist() for name, array in judged.reliability._asdict().items()}
    return {"nll": judged.nll, "ece": judged.ece, "reliability": curve}


def _judged_of_json(content: dict[str, Any] | None) -> Any:
    if content is None:
        return None
    curve = content["reliability"]
    return Calibrated(
        content["nll"],
        content["ece"],
        Reliability(
            np.array(curve["counts"], np.int64),
            np.array(curve["confidences"], np.float64),
            np.array(curve["accuracies"], np.float64),
        ),
    )
