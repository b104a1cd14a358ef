"""TensorFlow without what it says on being imported, without Keras, and without the GPUs, which JAX
has.

    from data_pipeline.tensorflow_import import tf

Its native code writes notes on standard error before any setting can stop it, an "error" about the
GPU that it does not find among them. They hide the errors of our own commands.
"""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator

from data_pipeline.standard_error import held_standard_error


@contextlib.contextmanager
def _without_keras() -> Iterator[None]:
    """TensorFlow imports Keras where it can, and that scikit-learn and Matplotlib: a third of the
    time, for what nothing here uses. It does without, and whoever uses it later still finds it."""
    if "keras" in sys.modules or (keras := importlib.util.find_spec("keras")) is None:
        yield
        return
    sys.modules["keras"] = None  # type: ignore[assignment]  # as Python says: an ImportError
    try:
        yield
    finally:
        del sys.modules["keras"]
    # Where TensorFlow would have found it, for `import tensorflow.keras`.
    folders = keras.submodule_search_locations or []
    sys.modules["tensorflow"].__path__[:0] = [os.path.join(at, "_tf_keras") for at in folders]


# Of what it says later, errors alone.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
with held_standard_error(), _without_keras():
    import tensorflow as tf

    # It would take their memory.
    if tf.config.get_visible_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")

# Decorates what `tf.data` maps over elements. TensorFlow would write each such function anew, so
# that its `if` and `for` may depend on tensors; none here does, and the first batch comes half a
# second earlier.
as_written = tf.autograph.experimental.do_not_convert

__all__ = ["as_written", "tf"]
