"""Programs that are compiled in a thread, while the process does something else."""

import concurrent.futures
from typing import Any

import jax

Compiling = concurrent.futures.Future[jax.stages.Compiled]


def compile_ahead(function: jax.stages.Wrapped, *arguments: Any) -> Compiling:
    """Begins to compile a function. Most of that, or of reading what was compiled before, needs no
    Python, which is free for other things meanwhile.

    A process that ends before waits for it.

    Args:
        arguments: arrays, or `jax.ShapeDtypeStruct`s in their place; they are not held.

    Returns:
        what is there, or raises what went wrong, when it is asked for.
    """
    shapes = jax.eval_shape(lambda *given: given, *arguments)
    thread = concurrent.futures.ThreadPoolExecutor(1, "compilation")
    compiling = thread.submit(lambda: function.lower(*shapes).compile())
    thread.shutdown(wait=False)
    return compiling
