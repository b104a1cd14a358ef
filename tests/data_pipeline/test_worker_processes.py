import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import pytest

from data_pipeline.processes import end_with_parent, fresh_processes


def test_a_worker_ends_at_ctrl_c_wherever_it_is():
    """An exception could leave a lock taken by a process that lives, for which all others wait."""
    context = fresh_processes("data_pipeline.processes")
    with ProcessPoolExecutor(1, context, initializer=end_with_parent) as pool:
        pid = pool.submit(os.getpid).result()
        (worker,) = [child for child in multiprocessing.active_children() if child.pid == pid]
        os.kill(pid, signal.SIGINT)
        with pytest.raises(BrokenProcessPool):
            pool.submit(os.getpid).result(timeout=60)
    assert worker.exitcode == -signal.SIGINT
