"""Child processes that do not outlive their parent."""

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """Lets a worker process end when its parent has been killed, instead of waiting for ever.

    To be called in the worker, as the initializer of a pool.
    """
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
