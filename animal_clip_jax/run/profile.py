"""A trace of a few training steps, for the profiler's viewers."""

import os

import jax

# After the start: compiled and warm by then.
_FIRST, _LAST = 5, 10


class Profile:
    """Traces a few steps of a run, or of a shorter run what there is. A context manager.

    Args:
        folder: to write to; None traces nothing.
        start_step, total_steps: the steps from one to the other are run.
    """

    def __init__(self, folder: os.PathLike[str] | None, *, start_step: int, total_steps: int):
        self._folder = folder
        self._first = min(start_step + _FIRST, total_steps)
        self._last = min(start_step + _LAST, total_steps)
        self._is_tracing = False

    def __enter__(self) -> "Profile":
        return self

    def __exit__(self, *exception) -> None:
        self._stop()

    def before(self, step: int) -> None:
        """Begins the trace where `step` is the first to be traced."""
        if self._folder is not None and step == self._first:
            options = jax.profiler.ProfileOptions()
            # Calls in Python are five sixths of what would be written, and slow the steps down.
            options.python_tracer_level = 0
            jax.profiler.start_trace(str(self._folder), profiler_options=options)
            self._is_tracing = True

    def after(self, step: int, state) -> None:
        """Ends the trace once `step`, the last to be traced, has been computed."""
        if self._is_tracing and step == self._last:
            jax.block_until_ready(state)
            self._stop()

    def _stop(self) -> None:
        if self._is_tracing:
            jax.profiler.stop_trace()
            self._is_tracing = False
