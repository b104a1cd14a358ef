"""Ending a run on request: Ctrl-C, or SIGTERM when a preemptible machine is taken away."""

import os
import signal
import time
import types
from typing import Any

import jax
from jax.experimental import multihost_utils

from animal_clip_jax.errors import Interrupted

_SECONDS_BETWEEN_LOOKS = 0.02
_ON_CTRL_C = b"\nstopping, and saving; Ctrl-C again ends at once, and saves nothing\n"


class InterruptionNotice:
    """Notices SIGTERM and the first Ctrl-C while it is entered; `is_due` says when all processes
    stop. A second Ctrl-C ends the process at once."""

    def __init__(self):
        self._is_due = False
        self._questions = 0
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "InterruptionNotice":
        self._previous[signal.SIGINT] = signal.signal(signal.SIGINT, self._receive_ctrl_c)
        # In a job of several processes the runtime watches for SIGTERM, since all must agree on
        # the step.
        if jax.process_count() == 1:
            self._previous[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._receive)
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: types.FrameType | None) -> None:
        self._is_due = True

    def _receive_ctrl_c(self, number: int, frame: types.FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.write(2, _ON_CTRL_C)  # print could be in the middle of a line
        os.kill(os.getpid(), signal.SIGTERM)

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
            raise Interrupted("stopped while evaluating: run the same command again")
