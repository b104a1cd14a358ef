"""The figures of a run as a program reads them: `metrics.jsonl`, and TensorBoard's events."""

import json
from collections.abc import Mapping

from etils import epath

from animal_clip_jax.files import append, is_remote


class MetricsLog:
    """Appends figures to `metrics.jsonl` and, in a local workdir, to TensorBoard's event files.

    Args:
        is_written: false in the processes that leave it to the first.
    """

    def __init__(self, workdir: epath.Path, *, is_written: bool = True):
        self.path = workdir / "metrics.jsonl"
        self._tensorboard = None
        self._is_written = is_written
        # Into a cloud's folder it would need that cloud's own library.
        if is_written and not is_remote(workdir):
            # Imported here: it imports torch where that is installed.
            from tensorboardX import SummaryWriter

            self._tensorboard = SummaryWriter(str(workdir / "tensorboard"))

    def holds(self, step: int, kind: str) -> bool:
        """Whether the file has a line of this step and kind."""
        if not self.path.exists():
            return False
        beginning = json.dumps({"step": step, "kind": kind})[:-1]
        return any(line.startswith(beginning) for line in self.path.read_text().splitlines())

    def write(
        self,
        step: int,
        kind: str,
        figures: Mapping[str, float],
        source: Mapping[str, object] | None = None,
    ) -> None:
        """Adds the line {"step": …, "kind": …, …source, …figures}, and scalars.

        Args:
            kind: "train" or "evaluation".
            source: what the figures were made of; not for TensorBoard.

        Raises:
            UserError: the file cannot be written.
        """
        if not self._is_written:
            return
        line = json.dumps({"step": step, "kind": kind, **(source or {}), **figures}) + "\n"
        append(self.path, line)
        if self._tensorboard is None:
            return
        for name, value in figures.items():
            self._tensorboard.add_scalar(f"{kind}/{name}", value, step)
        self._tensorboard.flush()
