"""TensorFlow without what it says on being imported, and without the GPUs, which JAX has.

    from data_pipeline.tensorflow_import import tf

Its native code writes notes on standard error before any setting can stop it, an "error" about the
GPU that it does not find among them. They hide the errors of our own commands.
"""

import os

from data_pipeline.standard_error import held_standard_error

# Of what it says later, errors alone.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
with held_standard_error():
    import tensorflow as tf

    # It would take their memory.
    if tf.config.get_visible_devices("GPU"):
        tf.config.set_visible_devices([], "GPU")

__all__ = ["tf"]
