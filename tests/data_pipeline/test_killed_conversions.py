"""Commands that are killed at random moments and run again end as if nothing had happened."""

import filecmp
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

KILLS = 40
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def run(command: list[str], stop_after: float | None = None, how: int = signal.SIGKILL) -> int:
    """Runs a command, which gets a signal after some seconds; returns its exit status.

    Its processes, and the threads that look after them, must say nothing of their own.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, errors = process.communicate(timeout=stop_after)
    except subprocess.TimeoutExpired:
        if how == signal.SIGINT:  # Ctrl-C reaches all processes of a terminal
            os.killpg(process.pid, how)
        else:
            process.send_signal(how)
        _, errors = process.communicate(timeout=60)
    assert "concurrent/futures" not in errors, errors
    return process.returncode


def differences(first: Path, second: Path) -> list[str]:
    """Files that are in one of two folders alone, or not the same in both."""
    one, other = (
        {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        for folder in (first, second)
    )
    _, changed, unreadable = filecmp.cmpfiles(first, second, sorted(one & other), shallow=False)
    return [*sorted(one ^ other), *changed, *unreadable]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["convert", "synthetic"])
def test_commands_that_are_killed_at_random_moments(name, source, tmp_path):
    commands = {
        "convert": [
            *("data_pipeline.convert", "--dataset=lote_animal", f"--source={source}"),
            *("--short_side=40", "--max_frames=16", "--clips_per_shard=4", "--workers=2"),
        ],
        "synthetic": [
            *("data_pipeline.synthetic", "--train_clips=48", "--test_clips=1", "--size=16"),
            *("--num_frames=2", "--workers=2"),
        ],
    }
    command = commands[name]
    undisturbed = tmp_path / "undisturbed"
    start = time.monotonic()
    assert run([*command, f"--output={undisturbed}"]) == 0
    duration = time.monotonic() - start
    rng = random.Random(name)
    stopped = 0
    for kill in range(KILLS):
        output = tmp_path / str(kill)
        # Mostly where it writes, which is after the imports.
        moment = duration * rng.uniform(0.2, 1.1)
        how = SIGNALS[kill % len(SIGNALS)]
        stopped += run([*command, f"--output={output}"], moment, how) != 0
        assert run([*command, f"--output={output}"]) == 0, (kill, how, moment)
        assert differences(undisturbed, output) == [], (kill, how, moment)
    assert stopped > KILLS // 4  # the others had finished
