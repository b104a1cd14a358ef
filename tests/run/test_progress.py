"""Screens: what stands on them, and that nothing waits for the devices to show it."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from animal_clip_jax.run.progress import Screen, TrainingProgress, clock


class Clock:
    """Seconds that a test sets."""

    def __init__(self):
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now() -> Clock:
    return Clock()


def plain(now) -> tuple[Screen, io.StringIO]:
    """A screen that is no terminal; what it prints."""
    text = io.StringIO()
    return Screen(console=Console(file=text, width=80), now=now), text


def terminal(now, width: int) -> tuple[Screen, io.StringIO]:
    text = io.StringIO()
    console = Console(
        file=text,
        width=width,
        height=40,
        force_terminal=True,
        color_system=None,
        legacy_windows=False,
    )
    return Screen(console=console, now=now), text


def training(screen: Screen, **arguments) -> TrainingProgress:
    settings = dict(start_step=0, total_steps=10, batch_size=4, rates=np.linspace(0.1, 1, 10))
    return TrainingProgress(screen, **{**settings, **arguments})


def drawn(screen: Screen, width: int) -> list[str]:
    """The bars as lines."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(screen._bars())
    return capture.get().splitlines()


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "0:00"), (7.9, "0:07"), (754, "12:34"), (3723, "1:02:03")]
)
def test_clock(seconds, expected):
    assert clock(seconds) == expected


class Loss:
    """A loss as a device gives it: it cannot be read before it is ready, or only by waiting."""

    def __init__(self, value: float):
        self._value = value
        self.is_computed = False

    def is_ready(self) -> bool:
        return self.is_computed

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        assert self.is_computed, "this would have waited for the device"
        return np.asarray(self._value, dtype)


def test_the_bar_shows_finished_steps_only_and_waits_for_none(now):
    screen, _ = terminal(now, 80)
    progress, first, second = training(screen), Loss(2.0), Loss(1.5)
    with progress:
        progress.dispatched(1, first)
        screen.look()
        assert drawn(screen, 80)[0].startswith("step 0/10") and len(drawn(screen, 80)) == 1

        now.seconds += 3
        first.is_computed = True
        progress.dispatched(2, second)
        screen.look()
        bar, status = drawn(screen, 80)
        assert bar.startswith("step 1/10") and bar.rstrip().endswith("0:27 left")
        assert status.rstrip() == "loss 2.0000  rate 1.00e-01  1.3 clips/s"

        now.seconds += 1
        second.is_computed = True
        screen.look()
        bar, status = drawn(screen, 80)
        # Two steps in four seconds; eight are left.
        assert bar.startswith("step 2/10") and bar.rstrip().endswith("0:16 left")
        assert status.startswith("loss 1.5000  rate 2.00e-01  2.0 clips/s")
    assert drawn(screen, 80) in ([], [""])


def test_compilation_and_evaluation_are_no_part_of_the_time_that_is_left(now):
    screen, _ = terminal(now, 80)
    progress = training(screen)
    with progress:
        now.seconds += 1000  # compiling
        progress.restart_clock(0)
        now.seconds += 2
        progress.dispatched(1, jnp.float32(1))
        progress.look()
        now.seconds += 500  # evaluating
        progress.restart_clock(1)
        now.seconds += 2
        progress.dispatched(2, jnp.float32(1))
        progress.look()
        assert drawn(screen, 80)[0].rstrip().endswith("0:16 left")


def test_without_a_terminal_a_line_comes_with_every_log_and_else_now_and_then(now):
    screen, text = plain(now)
    progress = training(screen)
    with progress:
        now.seconds += 2
        progress.dispatched(1, jnp.float32(0.25))
        figures = progress.advance(1, {"loss": 0.25, "learning_rate": 0.1})
        assert figures["clips_per_second"] == 2
        assert text.getvalue() == (
            "step 1/10  loss 0.2500  rate 1.00e-01  2.0 clips/s  0:18 left\n"
        )
        now.seconds += 19
        screen.look()
        assert text.getvalue().count("\n") == 1
        progress.dispatched(2, jnp.float32(0.125))
        now.seconds += 2
        screen.look()
        assert text.getvalue().splitlines()[1].startswith("step 2/10  loss 0.1250")
        screen.look()
        assert text.getvalue().count("\n") == 2


def test_what_takes_long_is_said_without_a_terminal(now):
    screen, text = plain(now)
    screen.doing("compiling the training step")
    for done in range(4):
        now.seconds += 15
        if done == 2:
            screen.doing("")
            screen.track("test, animals not given", 8, 32)
        screen.look()
    assert text.getvalue().splitlines() == [
        "compiling the training step: 0:30",
        "test, animals not given: 8/32 clips, 0:15, 0:45 left",
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_the_longest_lines_fit(width, now):
    screen, _ = terminal(now, width)
    progress = training(
        screen, total_steps=999_999, batch_size=1024, rates=np.ones(999_999), best="92.8 %"
    )
    progress._device_figures = "  75.3 GiB  MFU 45%"
    with progress:
        now.seconds += 1
        for step in range(1, 3):
            progress.dispatched(step, jnp.float32(12.5))
            now.seconds += 1
            progress.look()
        screen.track("validation, animals ground truth, shuffled", 12345, 99999)
        now.seconds += 1000
        lines = drawn(screen, width)
    assert len(lines) == 3 and all(len(line.rstrip()) <= width for line in lines)
    assert "…" not in "".join(lines)
    assert lines[1].rstrip().endswith("best 92.8 %")
    assert "12345/99999 clips" in lines[2]
    assert len(progress.as_line()) <= width or width == 80


def test_something_done_vanishes_and_what_is_under_way_comes_back(now):
    screen, _ = terminal(now, 80)
    screen.doing("preparing the model")
    screen.track("encoding actions", 32, 64, "texts")
    assert drawn(screen, 80)[0].startswith("encoding actions")
    screen.track("encoding actions", 64, 64, "texts")
    assert drawn(screen, 80)[0].startswith("preparing the model")


def test_processes_that_leave_it_to_the_first_show_nothing(now):
    text = io.StringIO()
    screen = Screen(is_shown=False, console=Console(file=text), now=now)
    with screen, training(screen) as progress:
        progress.dispatched(1, jnp.float32(1))
        now.seconds += 100
        screen.say("something")
        screen.track("test", 1, 2)
        assert progress.advance(1, {"loss": 1.0, "learning_rate": 0.1})["clips_per_second"] > 0
        screen.look()
    assert text.getvalue() == ""


def test_a_step_that_failed_does_not_end_the_screen(now):
    screen, _ = terminal(now, 80)

    class Failed(Loss):
        def __array__(self, dtype=None, copy=None):
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

    loss = Failed(1)
    loss.is_computed = True
    with training(screen) as progress:
        progress.dispatched(1, loss)
        screen.look()
        assert drawn(screen, 80)[0].startswith("step 1/10")
