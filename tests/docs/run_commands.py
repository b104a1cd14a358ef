"""Runs every command and program of README.md and docs/ as it is written, in a copy of the project.

    python tests/docs/run_commands.py

prints each with its outcome, and what is not run here with the reason that its page gives. Takes
minutes. `stand_ins` makes the videos, weights and data sets that the pages ask a reader to bring.
"""

import dataclasses
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

sys.path[:0] = [str(folder) for folder in pathlib.Path(__file__).absolute().parents[:3]]

import documented  # noqa: E402
import stand_ins  # noqa: E402

TIMEOUT = 900  # seconds, for one command
Status = Literal["ran", "failed", "not run here", "ran before"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a command, or of the Python lines of a page.

    Attributes:
        place: page and line.
        what: the command.
        status: a command that stands on several pages runs once.
        seconds: how long it took.
        output: its last lines; of one that is not run, the reason.
    """

    place: str
    what: str
    status: Status
    seconds: float = 0
    output: str = ""

    def __str__(self) -> str:
        lines = [f"{self.status:<12} {self.seconds:6.1f} s  {self.place}: {self.what}"]
        if self.status in ("failed", "not run here"):
            lines += [f"    {line}" for line in self.output.splitlines()]
        return "\n".join(lines)


def run_all(folder: pathlib.Path, *, show: Callable[[Outcome], None]) -> list[Outcome]:
    """Runs all pages in one copy of the project, in the order in which a reader meets them.

    Args:
        folder: an empty one, to work in.
        show: is called with every outcome as soon as it is known.

    Returns:
        the outcomes in order.
    """
    project, hub = folder / "project", folder / "hub"
    project.mkdir()
    stand_ins.copy_project(project)
    stand_ins.add_environment(project)
    stand_ins.add_videos(project)
    stand_ins.add_pictures(project)
    stand_ins.add_weights(project, hub)
    environment = stand_ins.environment(project, hub)
    outcomes = []
    for outcome in _outcomes(project, environment):
        show(outcome)
        outcomes.append(outcome)
    return outcomes


def _outcomes(project: pathlib.Path, environment: Mapping[str, str]) -> Iterator[Outcome]:
    done: set[str] = set()
    for page in documented.pages():
        for block in documented.blocks("sh"):
            if block.page != page:
                continue
            commands = documented.commands(block.text)
            if block.reason:
                what = commands[0] + (" …" if len(commands) > 1 else "")
                yield Outcome(block.place, what, "not run here", output=block.reason)
                continue
            for command in commands:
                if command in done:
                    yield Outcome(block.place, command, "ran before")
                else:
                    yield _run(block.place, command, ["bash", "-c", command], project, environment)
                done.add(command)
        program = [block for block in documented.blocks("python") if block.page == page]
        if program:
            # One after the other, as a reader types them.
            text = "\n".join(block.text for block in program)
            what = f"{len(program)} blocks of Python"
            yield _run(program[0].place, what, [sys.executable, "-c", text], project, environment)


def _run(
    place: str,
    what: str,
    command: list[str],
    project: pathlib.Path,
    environment: Mapping[str, str],
) -> Outcome:
    start = time.perf_counter()
    try:
        finished = subprocess.run(
            command,
            cwd=project,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return Outcome(place, what, "failed", TIMEOUT, f"not ended after {TIMEOUT} s")
    output = "\n".join((finished.stdout + finished.stderr).splitlines()[-15:])
    status: Status = "failed" if finished.returncode else "ran"
    return Outcome(place, what, status, time.perf_counter() - start, output)


def main() -> int:
    """Runs all in a temporary folder; 1 if any command failed."""
    with tempfile.TemporaryDirectory() as folder:
        outcomes = run_all(pathlib.Path(folder), show=lambda outcome: print(outcome, flush=True))
    counts = {
        status: sum(outcome.status == status for outcome in outcomes)
        for status in ("ran", "ran before", "not run here", "failed")
    }
    print(", ".join(f"{count} {status}" for status, count in counts.items()))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
