"""Ending a run on request: a preemptible machine that is taken away says so with SIGTERM."""

import signal
import time
import types
from typing import Any

import jax
from jax.experimental import multihost_utils

EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: nothing is wrong, run the command again
_SECONDS_BETWEEN_LOOKS = 0.02


class Interrupted(Exception):
    """The run was asked to stop, and has saved its state."""


class InterruptionNotice:
    """Notices SIGTERM while it is entered; `is_due` says when all processes stop."""

    def __init__(self):
        self._is_due = False
        self._questions = 0
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
        self._is_due = True

    def is_due(self) -> bool:
        """Whether the run stops here; the same answer on every process, as all must ask equally
        often."""
        if jax.process_count() > 1 and not self._is_due:
            self._questions += 1
            self._is_due = multihost_utils.reached_preemption_sync_point(self._questions)
        return self._is_due

    def wait_for(self, array: Any) -> None:
        """Waits until an array has been computed, or the run is to stop.

        A process by itself looks for the signal while it waits, as a computation can take minutes;
        several ask each other once it is done.

        Raises:
            Interrupted: the run is to stop; the array may not have been computed.
        """
        if jax.process_count() == 1:
            while not array.is_ready() and not self._is_due:
                time.sleep(_SECONDS_BETWEEN_LOOKS)
        else:
            array.block_until_ready()
        if self.is_due():
            raise Interrupted("stopped by SIGTERM while evaluating: run the same command again")
