"""Several processes: starting them up, and making sure that they do the same thing."""

import json
import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

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
        ValueError: some of the three are given, but not all.
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
        raise ValueError(
            f"a job of several processes needs {', '.join(missing)} too, from the environment or "
            "as --coordinator_address, --num_processes, --process_id"
        )
    address, count, index = str(given[0]), int(str(given[1])), int(str(given[2]))
    if not 0 <= index < count:
        raise ValueError(f"process {index} of {count}: expected --process_id from 0 to {count - 1}")
    if count > 1:
        jax.distributed.initialize(address, count, index)


def check_same_config(flat_config: Mapping[str, Any]) -> None:
    """Makes sure that all processes were given the same configuration.

    Raises:
        ValueError: on every process that disagrees with process 0, and on process 0, naming the
            processes and their fields.
    """
    if jax.process_count() == 1:
        return
    text = json.dumps(dict(flat_config), sort_keys=True, default=list).encode()
    length = int(np.max(multihost_utils.process_allgather(np.int32(len(text)))))
    padded = np.frombuffer(text.ljust(length), np.uint8)
    everyone = [
        json.loads(bytes(row)) for row in np.asarray(multihost_utils.process_allgather(padded))
    ]
    differences = [
        f"process {index} has {name} {theirs.get(name)!r}, process 0 {everyone[0].get(name)!r}"
        for index, theirs in enumerate(everyone)
        for name in sorted(theirs.keys() | everyone[0].keys())
        if theirs.get(name) != everyone[0].get(name)
    ]
    if differences:
        raise ValueError(f"the processes disagree on the configuration: {'; '.join(differences)}")
