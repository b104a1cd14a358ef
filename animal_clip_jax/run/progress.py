"""What a person and a program see of a running training: a line, `metrics.jsonl`, TensorBoard."""

import json
import pathlib
import sys
import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from tensorboardX import SummaryWriter

from animal_clip_jax.parallel import accelerator


class MetricsLog:
    """Appends figures to `metrics.jsonl` and to TensorBoard's event files in a workdir.

    Args:
        is_written: false in the processes that leave it to the first.
    """

    def __init__(self, workdir: pathlib.Path, *, is_written: bool = True):
        self.path = workdir / "metrics.jsonl"
        self._is_written = is_written
        self._tensorboard = SummaryWriter(str(workdir / "tensorboard")) if is_written else None

    def write(self, step: int, kind: str, figures: Mapping[str, float]) -> None:
        """Adds the line {"step": …, "kind": "train" or "evaluation", …figures}, and scalars."""
        if self._tensorboard is None:
            return
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "kind": kind, **figures}) + "\n")
        for name, value in figures.items():
            self._tensorboard.add_scalar(f"{kind}/{name}", value, step)
        self._tensorboard.flush()


class TrainingProgress:
    """A progress line on a terminal, plain lines elsewhere. Use it as a context manager."""

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
        self._seconds_at_peak: float | None = None
        self._last = (start_step, time.monotonic())

    def __enter__(self) -> "TrainingProgress":
        self._progress.start()
        return self

    def __exit__(self, *exception) -> None:
        self._progress.stop()

    def set_ideal(self, seconds_a_step: float | None) -> None:
        """Says how long a step takes at the devices' peak, None where that is not known."""
        self._seconds_at_peak = seconds_a_step

    def advance(self, step: int, figures: Mapping[str, float]) -> dict[str, float]:
        """Shows that `step` steps are done.

        Args:
            figures: with "loss" and "learning_rate".

        Returns:
            "clips_per_second", and where they are known "peak_memory_gib" and "mfu", the share of
            the devices' peak arithmetic.
        """
        last_step, last_time = self._last
        now = time.monotonic()
        self._last = (step, now)
        seconds_a_step = max(now - last_time, 1e-9) / max(step - last_step, 1)
        speed = {"clips_per_second": self._batch_size / seconds_a_step}
        status = (
            f"loss {figures['loss']:.4f}  rate {figures['learning_rate']:.2e}  "
            f"{speed['clips_per_second']:.1f} clips/s"
        )
        memory = accelerator.peak_memory()
        if memory is not None:
            speed["peak_memory_gib"] = memory / 2**30
            status += f"  {speed['peak_memory_gib']:.1f} GiB"
        if self._seconds_at_peak is not None:
            speed["mfu"] = self._seconds_at_peak / seconds_a_step
            status += f"  MFU {speed['mfu']:.1%}"
        if self._is_live:
            self._progress.update(self._task, completed=step, status=status)
        else:
            remaining = (self._total_steps - step) * seconds_a_step
            self.say(f"step {step}/{self._total_steps}  {status}  {remaining:.0f} s left")
        return speed

    def restart_clock(self, step: int) -> None:
        """Leaves out of the speed what was done since the last call (evaluation, saving)."""
        self._last = (step, time.monotonic())

    def say(self, text: str) -> None:
        """Prints above the progress line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
