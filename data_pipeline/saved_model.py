"""A JAX function as a SavedModel of TensorFlow."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from data_pipeline.tensorflow_import import tf

# Of a program that serves it: the name under which it is called.
SIGNATURE = "serving_default"


def write_saved_model(
    function: Callable[..., Mapping[str, jax.Array]],
    arrays: Mapping[str, np.ndarray],
    inputs: Sequence[tuple[str, tuple[int, ...], Any]],
    folder: str | os.PathLike[str],
    *,
    platforms: Sequence[str],
) -> None:
    """Writes a function for programs that have TensorFlow.

    Args:
        function: of the arrays and the inputs; its result has a name for each array in it.
        arrays: that are stored with it.
        inputs: name, shape of one example, dtype. The function takes any number of examples.
        folder: to write, which is not there.
        platforms: the devices that it can be called on, such as "cpu".
    """
    from jax.experimental import jax2tf  # it imports TensorFlow, which has to be quiet by then

    shapes = [f"(examples, {', '.join(map(str, shape))})" for _, shape, _ in inputs]
    converted = jax2tf.convert(
        function,
        polymorphic_shapes=[None, *shapes],
        native_serialization_platforms=tuple(platforms),
        with_gradient=False,
    )
    module = tf.Module()
    module.arrays = {name: tf.Variable(array) for name, array in arrays.items()}
    signature = [tf.TensorSpec((None, *shape), dtype, name) for name, shape, dtype in inputs]
    module.call = tf.function(
        lambda *given: converted(module.arrays, *given),
        input_signature=signature,
        autograph=False,
    )
    tf.saved_model.save(module, os.fspath(folder), signatures={SIGNATURE: module.call})
