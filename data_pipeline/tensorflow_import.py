"""TensorFlow without what it says on being imported, and without the GPUs, which JAX has.

    from data_pipeline.tensorflow_import import tf

Its native code writes notes on standard error before any setting can stop it, an "error" about the
GPU that it does not find among them. They hide the errors of our own commands.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def held_standard_error() -> Iterator[None]:
    """Holds back what this process writes on standard error, and shows it if the block fails."""
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(original, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)


# Of what it says later, errors alone.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
with held_standard_error():
    import tensorflow as tf

    # It would take their memory.
    if tf.config.get_visible_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")

__all__ = ["tf"]
