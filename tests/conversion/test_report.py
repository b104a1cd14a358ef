"""What a conversion shows while it runs."""

import io

from rich.console import Console

from animal_clip_jax.conversion.conversion import PHASES
from animal_clip_jax.conversion.report import PhaseLine


def shown(*, is_terminal: bool, silent_seconds: float) -> str:
    output = io.StringIO()
    console = Console(file=output, force_terminal=is_terminal, width=80)
    with PhaseLine(console, silent_seconds=silent_seconds) as line:
        for phase in (*PHASES, "writing"):
            line.show(phase)
    return output.getvalue()


def test_phases_on_a_terminal():
    text = shown(is_terminal=True, silent_seconds=0)
    for phase in (*PHASES, "writing"):
        assert phase in text
    assert "s so far" not in text


def test_phases_elsewhere_once_it_takes_long():
    assert shown(is_terminal=False, silent_seconds=60) == ""
    lines = shown(is_terminal=False, silent_seconds=0).splitlines()
    assert [line.partition(" (")[0] for line in lines] == [*PHASES, "writing"]
