"""What a person and a program see of a running training: a line, and `metrics.jsonl`."""

import json
import pathlib
import sys
import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class MetricsFile:
    """Appends one JSON object a line to `metrics.jsonl` in the workdir."""

    def __init__(self, workdir: pathlib.Path):
        self.path = workdir / "metrics.jsonl"

    def write(self, step: int, kind: str, metrics: Mapping[str, float]) -> None:
        """Adds {"step": …, "kind": "train" or "evaluation", …metrics}."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "kind": kind, **metrics}) + "\n")


class TrainingProgress:
    """A progress line on a terminal, plain lines elsewhere.

    Use as a context manager; `advance` returns clips a second since its last call.
    """

    def __init__(self, *, start_step: int, total_steps: int, batch_size: int, is_shown: bool):
        self._console = Console(file=sys.stdout, quiet=not is_shown)
        self._is_live = self._console.is_terminal
        self._progress = Progress(
            TextColumn("step {task.completed}/{task.total}"),
            BarColumn(),
            TextColumn("{task.fields[status]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not (self._is_live and is_shown),
        )
        self._task = self._progress.add_task(
            "train", total=total_steps, completed=start_step, status=""
        )
        self._total_steps = total_steps
        self._batch_size = batch_size
        self._last = (start_step, time.monotonic())

    def __enter__(self) -> "TrainingProgress":
        self._progress.start()
        return self

    def __exit__(self, *exception) -> None:
        self._progress.stop()

    def advance(self, step: int, loss: float, learning_rate: float) -> float:
        """Shows that `step` steps are done."""
        last_step, last_time = self._last
        now = time.monotonic()
        self._last = (step, now)
        clips_per_second = (step - last_step) * self._batch_size / max(now - last_time, 1e-9)
        status = f"loss {loss:.4f}  rate {learning_rate:.2e}  {clips_per_second:.1f} clips/s"
        if self._is_live:
            self._progress.update(self._task, completed=step, status=status)
        else:
            remaining = (self._total_steps - step) * self._batch_size / clips_per_second
            self.say(f"step {step}/{self._total_steps}  {status}  {remaining:.0f} s left")
        return clips_per_second

    def restart_clock(self, step: int) -> None:
        """Leaves out of the speed what was done since the last call (evaluation, saving)."""
        self._last = (step, time.monotonic())

    def say(self, text: str) -> None:
        """Prints above the progress line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
