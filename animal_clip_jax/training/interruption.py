"""Ending a run on request: a preemptible machine that is taken away says so with SIGTERM."""

import signal
import types

import jax
from jax.experimental import multihost_utils

EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: nothing is wrong, run the command again


class Interrupted(Exception):
    """The run was asked to stop, and has saved its state."""


class InterruptionNotice:
    """Notices SIGTERM while it is entered; `is_due` says at which step all processes stop."""

    def __init__(self):
        self._received = False
        self._previous: signal.Handlers | object = signal.SIG_DFL

    def __enter__(self) -> "InterruptionNotice":
        # In a job of several processes the runtime watches for the signal, since all must agree on
        # the step.
        if jax.process_count() == 1:
            self._previous = signal.signal(signal.SIGTERM, self._receive)
        return self

    def __exit__(self, *exception) -> None:
        if jax.process_count() == 1:
            signal.signal(signal.SIGTERM, self._previous)  # type: ignore[arg-type]

    def _receive(self, number: int, frame: types.FrameType | None) -> None:
        self._received = True

    def is_due(self, step: int) -> bool:
        """Whether the run stops after `step`; the same answer on every process."""
        if jax.process_count() == 1:
            return self._received
        return multihost_utils.reached_preemption_sync_point(step)
