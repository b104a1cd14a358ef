"""What a person sees while something runs: bars on a terminal, lines now and then elsewhere.

Nothing here waits for a device. What is shown is looked at from a thread of its own, a few times a
second, so that bars move while the program waits.
"""

import contextlib
import dataclasses
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from animal_clip_jax.parallel import accelerator

_SECONDS_BETWEEN_LOOKS = 0.2
# Where there is no terminal: at least so often something is said.
_SECONDS_BETWEEN_LINES = 20.0
_WIDE = 100  # columns
# Steps, or looks at many steps, that the speed is an average over.
_WINDOW = 50


def clock(seconds: float) -> str:
    """A duration as a clock shows it: "0:07", "12:34", "1:02:03"."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@dataclasses.dataclass
class _Activity:
    """Something that is under way; a total of None is not known."""

    title: str
    unit: str
    started: float
    done: int = 0
    total: int | None = None

    def times(self, now: float, *, short: bool = False) -> str:
        elapsed = now - self.started
        if self.total is None or not 0 < self.done < self.total:
            return clock(elapsed)
        left = f"{clock(elapsed / self.done * (self.total - self.done))} left"
        return left if short else f"{clock(elapsed)}, {left}"

    def counts(self) -> str:
        return "" if self.total is None else f"{self.done}/{self.total} {self.unit}"

    def as_line(self, now: float) -> str:
        parts = [part for part in (self.counts(), self.times(now)) if part]
        return f"{self.title}: {', '.join(parts)}"

    def as_bar(self, now: float, *, short: bool) -> RenderableType:
        rest = f"{self.counts()}  {self.times(now, short=short)}"
        return _bar(self.title, self.done, self.total, rest)


class Screen:
    """Shows what is under way, and prints what is to stay. Use it as a context manager.

    Args:
        is_shown: false in the processes that leave it to the first.
        console: to print on; standard output unless given.
        now: seconds of a clock.
    """

    def __init__(
        self,
        *,
        is_shown: bool = True,
        console: Console | None = None,
        now: Callable[[], float] = time.monotonic,
    ):
        self._console = console or Console(file=sys.stdout)
        self._is_shown = is_shown
        self._is_live = (
            is_shown and self._console.is_terminal and not self._console.is_dumb_terminal
        )
        self._now = now
        self._activity: _Activity | None = None
        self._doing: _Activity | None = None
        self._training: TrainingProgress | None = None
        self._live: Live | None = None
        self._last_line = now()
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Screen":
        if self._is_live:
            self._live = Live(
                get_renderable=self._bars, console=self._console, auto_refresh=False, transient=True
            )
            self._live.start()
            # It would stay hidden where a second Ctrl-C ends the process.
            self._console.show_cursor(True)
        if self._is_shown:
            self._thread = threading.Thread(target=self._look_now_and_then, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *exception) -> None:
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()
        if self._live is not None:
            self._live.stop()
            self._live = None

    @property
    def is_live(self) -> bool:
        """Whether it is a terminal, with bars."""
        return self._is_live

    @property
    def is_shown(self) -> bool:
        """Whether this process shows anything."""
        return self._is_shown

    def now(self) -> float:
        """Seconds of its clock."""
        return self._now()

    def say(self, text: str) -> None:
        """Prints a text that stays, above the bars."""
        if not self._is_shown:
            return
        self._last_line = self._now()
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def track(self, title: str, done: int, total: int, unit: str = "clips") -> None:
        """Shows how far something is; it vanishes once all of it is done.

        Args:
            title: of what is done, such as "test clips".
            done, total: of the unit.
        """
        if not self._is_shown:
            return
        activity = self._activity
        if activity is None or (activity.title, activity.total) != (title, total):
            activity = _Activity(title, unit, self._now(), total=total)
        activity.done = done
        self._activity = activity if done < total else None
        if self._thread is None:
            self.look()

    def doing(self, title: str) -> None:
        """Shows what is under way, until the next call, where nobody knows how far it is; "" ends
        it."""
        self._doing = _Activity(title, "", self._now()) if title else None

    def attach(self, training: "TrainingProgress | None") -> None:
        """Shows the steps of a training too; None ends that."""
        self._training = training

    def look(self) -> None:
        """Brings what is shown up to date: the bars, or a line if the last is some time ago."""
        training, activity = self._training, self._activity or self._doing
        if training is not None:
            training.look()
        if self._live is not None:
            self._live.refresh()
            return
        now = self._now()
        if not self._is_shown or now - self._last_line < _SECONDS_BETWEEN_LINES:
            return
        if activity is not None:
            self.say(activity.as_line(now))
        elif training is not None:
            self.say(training.as_line())

    def _look_now_and_then(self) -> None:
        while not self._is_over.wait(_SECONDS_BETWEEN_LOOKS):
            self.look()

    def _bars(self) -> RenderableType:
        training, activity = self._training, self._activity or self._doing
        rows: list[RenderableType] = []
        short = self._console.width < _WIDE
        if training is not None:
            rows += training.as_bar(short=short)
        if activity is not None:
            rows.append(activity.as_bar(self._now(), short=short))
        return Group(*rows)


def _bar(title: str, done: int, total: int | None, rest: str) -> RenderableType:
    row = Table.grid(padding=(0, 2, 0, 0), expand=True)
    row.add_column(no_wrap=True, overflow="ellipsis")
    row.add_column(ratio=1)
    row.add_column(no_wrap=True)
    bar = Text() if total is None else ProgressBar(total=max(total, 1), completed=done)
    row.add_row(Text(title), bar, Text(rest.strip()))
    return row


class TrainingProgress:
    """How far a training is, by the steps that the devices have finished.

    Args:
        screen: to show it on while it is entered.
        start_step, total_steps: the steps from one to the other are run.
        batch_size: of the unit, a step.
        rates: (total_steps,) the learning rate of every step.
        best: the figure of the best checkpoint so far, as text; "" if none is chosen.
        unit: what a batch is of.

    Attributes:
        best: as above, to be kept up to date.
        speed_name: what `advance` calls the speed, such as "clips_per_second".
    """

    def __init__(
        self,
        screen: Screen,
        *,
        start_step: int,
        total_steps: int,
        batch_size: int,
        rates: Sequence[float] | np.ndarray,
        best: str = "",
        unit: str = "clips",
    ):
        self.best = best
        self.speed_name = f"{unit}_per_second"
        self._unit = unit
        self._screen = screen
        self._total_steps = total_steps
        self._batch_size = batch_size
        self._rates = rates
        self._seconds_at_peak: float | None = None
        # What `advance` measures, from one log line to the next.
        self._last = (start_step, screen.now())
        # What the screen shows: steps that were given to the devices, and those that are finished.
        self._lock = threading.Lock()
        self._pending: deque[tuple[int, Any]] = deque()
        self._done = start_step
        self._loss: float | None = None
        self._spent = 0.0  # in steps, without compilation, evaluation and saving
        self._since = screen.now()
        self._finished: deque[tuple[int, float]] = deque([(start_step, 0.0)], maxlen=_WINDOW)
        self._device_figures = ""

    def __enter__(self) -> "TrainingProgress":
        self._screen.attach(self)
        return self

    def __exit__(self, *exception) -> None:
        self._screen.attach(None)

    def finish(self) -> None:
        """Takes the bar away, as there are no more steps; on a terminal a line stays."""
        self.look()
        self._screen.attach(None)
        if self._screen.is_live and self._loss is not None:
            self._screen.say(f"{self.as_line()}  in {clock(self._spent)}")

    def set_ideal(self, seconds_a_step: float | None) -> None:
        """Says how long a step takes at the devices' peak, None where that is not known."""
        self._seconds_at_peak = seconds_a_step

    def dispatched(self, step: int, loss: jax.Array) -> None:
        """Notes that the devices were given a step; does not wait for it."""
        if self._screen.is_shown:
            self._pending.append((step, loss))

    def look(self) -> None:
        """Looks which steps are finished by now; does not wait for any."""
        with self._lock:
            loss = None
            while self._pending and self._pending[0][1].is_ready():
                self._done, loss = self._pending.popleft()
            if loss is None:
                return
            with contextlib.suppress(jax.errors.JaxRuntimeError):
                # Of a step that failed the training itself hears.
                self._loss = float(np.asarray(loss))
            now = self._screen.now()
            self._spent, self._since = self._spent + now - self._since, now
            self._finished.append((self._done, self._spent))

    def advance(self, step: int, figures: Mapping[str, float]) -> dict[str, float]:
        """Takes stock after `step`, which is finished; without a terminal prints a line.

        Args:
            figures: with "loss" and "learning_rate".

        Returns:
            `speed_name`, and where they are known "peak_memory_gib" and "mfu", the share of the
            devices' peak arithmetic.
        """
        last_step, last_time = self._last
        now = self._screen.now()
        self._last = (step, now)
        seconds_a_step = max(now - last_time, 1e-9) / max(step - last_step, 1)
        speed = {self.speed_name: self._batch_size / seconds_a_step}
        device_figures = ""
        memory = accelerator.peak_memory()
        if memory is not None:
            speed["peak_memory_gib"] = memory / 2**30
            device_figures += f"  {speed['peak_memory_gib']:.1f} GiB"
        if self._seconds_at_peak is not None:
            speed["mfu"] = self._seconds_at_peak / seconds_a_step
            device_figures += f"  MFU {speed['mfu']:.0%}"
        self._device_figures = device_figures
        if not self._screen.is_live:
            self.look()
            self._loss = figures["loss"]
            self._screen.say(self.as_line())
        return speed

    def restart_clock(self, step: int) -> None:
        """Leaves out of the speed what was done since the last step (evaluation, saving)."""
        self.look()
        with self._lock:
            self._since = self._screen.now()
        self._last = (step, self._screen.now())

    def as_line(self) -> str:
        """Where it is, on one line."""
        left = self._left()
        return (
            f"step {self._done}/{self._total_steps}{self._status(short=True)}"
            f"{'  ' + left if left else ''}"
        )

    def as_bar(self, *, short: bool) -> list[RenderableType]:
        """The same as two lines of a terminal, with shorter words for a narrow one."""
        title = f"step {self._done}/{self._total_steps}"
        status = Text(self._status(short=short).strip(), no_wrap=True, overflow="ellipsis")
        bar = _bar(title, self._done, self._total_steps, self._left())
        return [bar, status] if status.plain else [bar]

    def _seconds_a_step(self) -> float | None:
        (first, before), (last, after) = self._finished[0], self._finished[-1]
        return (after - before) / (last - first) if last > first else None

    def _left(self) -> str:
        seconds = self._seconds_a_step()
        if seconds is None or self._done >= self._total_steps:
            return ""
        return f"{clock(seconds * (self._total_steps - self._done))} left"

    def _status(self, *, short: bool) -> str:
        if self._loss is None:
            return ""
        rate = self._rates[max(self._done, 1) - 1]
        status = f"  loss {self._loss:.4f}  {'rate' if short else 'learning rate'} {rate:.2e}"
        seconds = self._seconds_a_step()
        if seconds:
            status += f"  {self._batch_size / seconds:.1f} {self._unit}/s"
        status += self._device_figures
        return status + (f"  best {self.best}" if self.best else "")
