"""What a person sees of a training or an evaluation while it runs."""

import sys
import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from animal_clip_jax.parallel import accelerator


class Activity:
    """Shows how far an evaluation is: a line on a terminal, or a line now and then elsewhere.

    Use it as a context manager.

    Args:
        total: clips.
        is_shown: false in the processes that leave it to the first.
        console: to print on; standard output unless given.
    """

    _SECONDS_BETWEEN_LINES = 10.0

    def __init__(self, total: int, *, is_shown: bool, console: Console | None = None):
        self._console = console or Console(file=sys.stdout, quiet=not is_shown)
        self._is_live = self._console.is_terminal and is_shown and console is None
        self._progress = Progress(
            TextColumn("{task.description}: {task.completed}/{task.total} clips"),
            BarColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._is_live,
            transient=True,
        )
        self._task = self._progress.add_task("evaluation", total=total)
        self._total = total
        self._last_line = time.monotonic()

    def __enter__(self) -> "Activity":
        self._progress.start()
        return self

    def __exit__(self, *exception) -> None:
        self._progress.stop()

    def show(self, title: str, done: int) -> None:
        """Shows that so many clips are scored.

        Args:
            title: of what is being scored, such as "animals from none".
        """
        if self._is_live:
            self._progress.update(self._task, description=title, completed=done)
            return
        now = time.monotonic()
        if now - self._last_line >= self._SECONDS_BETWEEN_LINES:
            self._last_line = now
            text = f"{title}: {done}/{self._total} clips"
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)


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

    @property
    def console(self) -> Console:
        """What it prints on."""
        return self._console

    def say(self, text: str) -> None:
        """Prints above the progress line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
