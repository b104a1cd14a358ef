"""The figures of a run as a program reads them: `metrics.jsonl`."""

import json
from collections.abc import Mapping

from etils import epath

from animal_clip_jax.files import append


class MetricsLog:
    """Appends figures to `metrics.jsonl`.

    Args:
        is_written: false in the processes that leave it to the first.
    """

    def __init__(self, workdir: epath.Path, *, is_written: bool = True):
        self.path = workdir / "metrics.jsonl"
        self._is_written = is_written

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
        """Adds the line {"step": …, "kind": …, …source, …figures}.

        Args:
            kind: "train" or "evaluation".
            source: what the figures were made of.

        Raises:
            UserError: the file cannot be written.
        """
        if self._is_written:
            content = {"step": step, "kind": kind, **(source or {}), **figures}
            append(self.path, json.dumps(content) + "\n")
