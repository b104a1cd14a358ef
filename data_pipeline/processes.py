"""Child processes: how they are started, and that they do not outlive their parent."""

import multiprocessing
import os
import signal
import threading
from multiprocessing.context import ForkServerContext, SpawnContext


def fresh_processes(module: str) -> ForkServerContext | SpawnContext:
    """How processes are started that share no threads with this one: a fork of a process in which
    JAX or TensorFlow runs threads can hang.

    They are forks of a process that has imported the module and has done nothing else, so that the
    libraries it needs are imported once and not by every process. Where the system has no such
    forks, each starts from nothing.

    Args:
        module: the name of the one whose functions they run. All processes that this one starts
            are forks of the same, which has imported what was named first.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    return context


def end_with_parent() -> None:
    """Lets a worker process end when its parent has been killed, instead of waiting for ever, and
    at once at Ctrl-C, which reaches it too.

    To be called in the worker, as the initializer of a pool.
    """
    # An exception may come just as it has taken the lock of the results, which it then keeps, and
    # everyone waits. A process that has died is noticed.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
