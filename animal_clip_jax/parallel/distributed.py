"""Several processes: starting them up, and making sure that they do the same thing."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from animal_clip_jax.errors import UserError
from animal_clip_jax.locks import only_writer

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_ENVIRONMENT = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def initialize(
    coordinator_address: str | None,
    num_processes: int | None,
    process_id: int | None,
    *,
    is_cluster: bool = False,
) -> None:
    """Joins the other processes of the job; does nothing for a job of one process.

    A field that is None comes from the environment: JAX_COORDINATOR_ADDRESS (host:port of process
    0), JAX_NUM_PROCESSES, JAX_PROCESS_ID. Must come before anything that touches a device.

    Args:
        is_cluster: find all three by what the cluster says (TPU pod, Slurm, Open MPI, Kubernetes).

    Raises:
        UserError: some of the three are given, but not all; they make no sense; or the others
            cannot be reached there.
    """
    if is_cluster:
        jax.distributed.initialize()
        return
    given = [
        value if value is not None else os.environ.get(name)
        for value, name in zip(
            (coordinator_address, num_processes, process_id), _ENVIRONMENT, strict=True
        )
    ]
    if all(value is None for value in given):
        return
    missing = [name for name, value in zip(_ENVIRONMENT, given, strict=True) if value is None]
    if missing:
        raise UserError(
            f"a job of several processes needs {', '.join(missing)} too, from the environment or "
            "as --coordinator_address, --num_processes, --process_id"
        )
    address = str(given[0])
    try:
        count, index = int(str(given[1])), int(str(given[2]))
    except ValueError as error:
        raise UserError(
            f"{_ENVIRONMENT[1]} is {given[1]!r} and {_ENVIRONMENT[2]} {given[2]!r}; expected whole "
            "numbers"
        ) from error
    if not 0 <= index < count:
        raise UserError(f"process {index} of {count}: expected --process_id from 0 to {count - 1}")
    if count > 1:
        try:
            jax.distributed.initialize(address, count, index)
        except RuntimeError as error:
            raise UserError(
                f"process {index} of {count} could not join the others at {address}: {error}"
            ) from error


def is_first() -> bool:
    """Whether this is process 0, which prints and writes for all."""
    return jax.process_index() == 0


def check_same_config(flat_config: Mapping[str, Any]) -> None:
    """Makes sure that all processes were given the same configuration.

    Raises:
        UserError: on every process that disagrees with process 0, and on process 0, naming the
            processes and their fields.
    """
    if jax.process_count() == 1:
        return
    text = json.dumps(dict(flat_config), sort_keys=True, default=list)
    everyone = [json.loads(theirs) for theirs in gather_texts(text)]
    differences = [
        f"process {index} has {name} {theirs.get(name)!r}, process 0 {everyone[0].get(name)!r}"
        for index, theirs in enumerate(everyone)
        for name in sorted(theirs.keys() | everyone[0].keys())
        if theirs.get(name) != everyone[0].get(name)
    ]
    if differences:
        raise UserError(f"the processes disagree on the configuration: {'; '.join(differences)}")


def gather_texts(text: str) -> list[str]:
    """The texts of all processes, in their order. All must call it."""
    if jax.process_count() == 1:
        return [text]
    encoded = np.frombuffer(text.encode(), np.uint8)
    lengths = np.asarray(multihost_utils.process_allgather(np.int32(len(encoded))))
    if not lengths.any():
        return [""] * len(lengths)
    padded = np.zeros(lengths.max(), np.uint8)
    padded[: len(encoded)] = encoded
    rows = np.asarray(multihost_utils.process_allgather(padded))
    return [bytes(row[:length]).decode() for row, length in zip(rows, lengths, strict=True)]


def from_first(value: np.ndarray | np.generic) -> np.ndarray:
    """Process 0's value, on all. All must call it, with the same shape and dtype."""
    if jax.process_count() == 1:
        return np.asarray(value)
    return np.asarray(multihost_utils.broadcast_one_to_all(value))


def on_all(
    function: Callable[_Arguments, _Result], *args: _Arguments.args, **kwargs: _Arguments.kwargs
) -> _Result:
    """Calls a function on every process, and raises on all if it fails on one, so that none is left
    waiting for one that has given up.

    Raises:
        UserError: what the function raised here, or else a UserError with the message of
            the first process on which it failed.
    """
    result, failure = None, None
    try:
        result = function(*args, **kwargs)
    except (ValueError, OSError) as error:
        failure = error
    messages = gather_texts("" if failure is None else str(failure) or type(failure).__name__)
    if failure is not None:
        raise failure
    for index, message in enumerate(messages):
        if message:
            raise UserError(f"process {index} gave up: {message}")
    return result  # type: ignore[return-value]


def on_first(
    function: Callable[_Arguments, object], *args: _Arguments.args, **kwargs: _Arguments.kwargs
) -> None:
    """Calls a function on process 0 while the others wait, and raises on all if it fails there.

    Raises:
        UserError: as `on_all`.
    """

    def first() -> None:
        if jax.process_index() == 0:
            function(*args, **kwargs)

    on_all(first)


@contextlib.contextmanager
def only_writer_of_all(
    folder: str | os.PathLike[str], at: str | os.PathLike[str] | None = None
) -> Iterator[None]:
    """Sees to it that no other job writes into a folder meanwhile: process 0 has the lock of
    `locks.only_writer`, and its arguments and errors are these.

    Raises:
        UserError: on all processes, as `on_all`.
    """
    with contextlib.ExitStack() as lock:
        on_first(lambda: lock.enter_context(only_writer(folder, at)))
        yield
