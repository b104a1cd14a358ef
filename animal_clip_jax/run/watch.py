"""Watching that the losses and gradients stay finite, without waiting for every step."""

import math
from collections.abc import Sequence

import jax
import numpy as np
from etils import epath

from animal_clip_jax.errors import DivergenceError
from animal_clip_jax.parallel.distributed import gather_texts
from animal_clip_jax.run.checkpoints import RunCheckpoints


class StepWatch:
    """Keeps the figures of the steps since the last `check`, still on the devices.

    Args:
        workdir, checkpoints: where the run saves, for the message of an error.
        unit: what a batch is of, likewise.
    """

    def __init__(self, workdir: epath.Path, checkpoints: RunCheckpoints, *, unit: str = "clips"):
        self._workdir = workdir
        self._checkpoints = checkpoints
        self._unit = unit
        self._pending: list[tuple[int, dict[str, jax.Array], Sequence[str]]] = []

    def add(self, step: int, metrics: dict[str, jax.Array], ids: Sequence[str]) -> None:
        """Notes a step; does not wait for it."""
        self._pending.append((step, metrics, ids))

    def check(self) -> dict[str, float]:
        """Waits for the steps noted since the last call, and looks at all of them.

        Returns:
            the figures of the last one; empty if there is none.

        Raises:
            DivergenceError: a figure is not finite; names the step, what was in its batch, and
                the last good checkpoint.
        """
        figures: dict[str, float] = {}
        for step, metrics, ids in self._pending:
            figures = {name: float(np.asarray(value)) for name, value in metrics.items()}
            wrong = [name for name, value in figures.items() if not math.isfinite(value)]
            if wrong:
                self._checkpoints.wait()  # one that is being saved counts once it is on disk
                last = self._checkpoints.latest_step()
                good = "there is no checkpoint" if last is None else f"step {last} is the last good"
                raise DivergenceError(
                    f"step {step}: {', '.join(f'{name} is {figures[name]}' for name in wrong)}; "
                    f"its {self._unit}: {', '.join(gather_texts(', '.join(ids)))}; {good} in "
                    f"{self._workdir}"
                )
        self._pending.clear()
        return figures
