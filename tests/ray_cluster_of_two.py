"""A Ray cluster of two nodes on this machine, and a kill of one of its workers."""

import contextlib
import os
import pathlib
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("ray", reason="the extra [cluster] is not installed")


@contextlib.contextmanager
def cluster_of_two() -> Iterator[str]:
    """The address of two nodes of one CPU each, for workers of one CPU."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    try:
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        cluster.shutdown()


def workers() -> list[int]:
    """The processes of this process's cluster that are at a task."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and b"ray::_Worker.work" in (entry / "cmdline").read_bytes():
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                grandparent = (
                    pathlib.Path("/proc", parent, "stat").read_text().rpartition(")")[2].split()[1]
                )
                if int(grandparent) == os.getpid():
                    found.append(int(entry.name))
    return found


@contextlib.contextmanager
def killed_once(is_working: Callable[[], bool]) -> Iterator[list[int]]:
    """Meanwhile, a worker is killed as soon as something is written; gives which."""
    killed: list[int] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.01):
            if is_working() and (found := workers()):
                os.kill(found[0], signal.SIGKILL)
                killed.append(found[0])
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        ended.set()
        thread.join()
