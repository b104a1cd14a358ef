"""What an evaluation was of and what came of it."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from animal_clip_jax.pages.plain_text import plain
from animal_clip_jax.run.data import ClipSet
from animal_clip_jax.run.evaluator import Known, Result, SourceResult


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """An evaluation, and the clips that it was of.

    Attributes:
        source: see `results.provenance`.
        result: with the features of the clips.
        clips: in the order of the result's rows.
        known: the labels, and what training showed of them.
        outputs: what made probabilities of logits, "softmax" or "sigmoid".
        directory: of the data.
    """

    source: Mapping[str, Any]
    result: Result
    clips: ClipSet
    known: Known
    outputs: str
    directory: str

    @property
    def part(self) -> SourceResult:
        """What is reported in detail."""
        return self.result.by_source[0]

    @property
    def multi_label(self) -> bool:
        """Whether a clip may show several actions."""
        return self.known.info.multi_label

    @property
    def actions(self) -> list[str]:
        """The names of the actions, as they are shown."""
        return [plain(name) for name in self.known.info.action_names]

    @property
    def animals(self) -> list[str]:
        """The names of the animals, as they are shown."""
        return [plain(name) for name in self.known.info.animal_names]

    @functools.cached_property
    def targets(self) -> np.ndarray:
        """Annotated actions, multi-hot (clips, actions)."""
        targets = np.zeros(self.part.probabilities.shape, np.int64)
        for row, actions in enumerate(self.clips.index.actions):
            targets[row, list(actions)] = 1
        return targets
