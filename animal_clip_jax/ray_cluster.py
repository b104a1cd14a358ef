"""A Ray cluster: joining it, what workers may take of it, and whether its machines can do the work.

Everything that a worker reads and writes is in files that all machines see under the same paths.
"""

import contextlib
import importlib.metadata
import os
import re
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from animal_clip_jax.errors import UserError, shortened
from animal_clip_jax.version import VERSION

# What the results may depend on.
_SAME_VERSIONS = ("jax", "av")
_ANSWER_SECONDS = 20.0


class Resources(NamedTuple):
    """What workers take of a cluster.

    Attributes:
        name: of the resource, "GPU", "TPU" or "CPU".
        number: of workers.
        options: for Ray, of each worker.
    """

    name: str
    number: int
    options: dict[str, Any]

    @property
    def needed(self) -> str:
        """What one worker takes, in words."""
        return ", ".join(
            f"{number:g} {name.removeprefix('num_').upper()}"
            for name, number in [*self.options.items(), *self.options.get("resources", {}).items()]
            if isinstance(number, int | float)
        )


class Seen(NamedTuple):
    """What all machines have to see.

    Attributes:
        what: it is, for a message.
        path: where.
        size: in bytes; None of a folder.
    """

    what: str
    path: str
    size: int | None = None

    @classmethod
    def at(cls, what: str, path: str | os.PathLike[str]) -> "Seen":
        """What is there on this machine."""
        absolute = os.path.abspath(path)
        size = os.path.getsize(absolute) if os.path.isfile(absolute) else None
        return cls(what, absolute, size)


@contextlib.contextmanager
def joined(address: str | None) -> Iterator[None]:
    """This process as one that gives work to a cluster.

    Args:
        address: "HOST:PORT" of a cluster; None starts Ray on this machine, for as long as this
            lasts.

    Raises:
        UserError: no cluster answers there.
    """
    options: dict[str, Any] = {"address": address}
    if address is None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options = {"address": "local", "include_dashboard": False}
    try:
        if address is not None:
            _check_answers(address)
        ray.init(**options, log_to_driver=False, logging_level="ERROR")
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"--address={address or 'local'}: no Ray cluster could be joined there "
            f"({shortened(' '.join(str(error).split()))}); expected the address that "
            "`ray start --head` prints, and the same versions of Ray and Python there"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Raises OSError if nobody does: Ray would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not re.fullmatch("[0-9]{1,5}", port):
        raise ValueError("it is no HOST:PORT")
    socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_SECONDS).close()


def one_a_device() -> Resources:
    """A worker for each GPU; else for each machine with TPUs; else for each machine."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if gpus:
        return Resources("GPU", gpus, {"num_gpus": 1, "num_cpus": 1})
    tpus = [int(node["TPU"]) for node in nodes if node.get("TPU", 0) >= 1]
    if tpus:
        return Resources(
            "TPU", len(tpus), {"resources": {"TPU": min(tpus)}, "scheduling_strategy": "SPREAD"}
        )
    machines = sum(node.get("CPU", 0) >= 1 for node in nodes)
    return Resources("CPU", machines, {"num_cpus": 1, "scheduling_strategy": "SPREAD"})


def one_a_cpu(cpus: int) -> Resources:
    """As many workers as there are `cpus` CPUs for each."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    number = sum(int(node.get("CPU", 0)) // cpus for node in nodes)
    return Resources("CPU", number, {"num_cpus": cpus, "scheduling_strategy": "SPREAD"})


def begin_worker(directory: str) -> None:
    """What every worker does first.

    Args:
        directory: in which the command was started: paths count from it.
    """
    os.chdir(directory)
    # Processes that it starts, to decode, would import Ray's main program before anything else,
    # which takes longer than all that they need. Python leaves that out where there is no file.
    sys.modules["__main__"].__file__ = None  # type: ignore[assignment]


def check_machines(resources: Resources, seen: Sequence[Seen]) -> None:
    """Makes sure that the machines have the same program as this one, and see the same files.

    Raises:
        UserError: there is none with such resources, or one lacks something; names it.
    """
    machines = [
        node
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get(resources.name, 0) >= 1
    ]
    if not machines or not resources.number:
        raise UserError(
            "no machine of the Ray cluster has what each worker takes: "
            f"{resources.needed or resources.name}; see `ray status`"
        )
    versions = {name: importlib.metadata.version(name) for name in _SAME_VERSIONS}
    looks = [
        _look_around()
        .options(
            num_cpus=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
        )
        .remote([tuple(one) for one in seen], list(versions))
        for node in machines
    ]
    for node, (own, others, missing) in zip(machines, ray.get(looks), strict=True):
        name = f"node {node['NodeName']} of the Ray cluster ({node['NodeManagerAddress']})"
        if not own:
            raise UserError(f"{name} has no animal_clip_jax; install version {VERSION} there")
        for package, here, there in [
            ("animal_clip_jax", VERSION, own),
            *((package, versions[package], others[package]) for package in versions),
        ]:
            if here != there:
                raise UserError(
                    f"{name} has {package} {there}, this machine has {here}; install the same"
                )
        if missing:
            what, path = missing[0]
            raise UserError(
                f"{name} does not see {what}, {path}, as this machine does: all machines need a "
                "file system that they share, under the same path"
            )


def _look_around():
    # Within a function, so that Ray sends it as it is: the machine may have no animal_clip_jax.
    def look(seen, packages):
        import importlib.metadata
        import os

        def version(package):
            try:
                return importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                return "none"

        try:
            from animal_clip_jax.version import VERSION
        except ModuleNotFoundError:
            VERSION = ""
        missing = [
            (what, place)
            for what, place, size in seen
            if not os.path.exists(place) or (size is not None and os.path.getsize(place) != size)
        ]
        return VERSION, {package: version(package) for package in packages}, missing

    return ray.remote(max_retries=3)(look)
