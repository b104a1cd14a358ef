import gc
import threading
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from animal_clip_jax.parallel.compile_ahead import compile_ahead


def test_what_is_compiled_takes_arrays_as_the_function_does():
    x = jnp.arange(3.0)
    compiled = compile_ahead(jax.jit(lambda x, tree: x * tree["y"]), x, {"y": x}).result()
    np.testing.assert_array_equal(compiled(x, {"y": x + 1}), [0, 2, 6])


def test_shapes_stand_for_arrays_that_are_not_there_yet():
    shape = jax.ShapeDtypeStruct((2,), np.uint8)
    compiled = compile_ahead(jax.jit(lambda x: x.astype(np.int32) - 1), shape).result()
    np.testing.assert_array_equal(compiled(np.zeros(2, np.uint8)), [-1, -1])
    with pytest.raises(TypeError, match="uint8"):
        compiled(np.zeros(2, np.float32))


def test_the_caller_goes_on_while_it_is_traced_and_nothing_holds_the_arrays():
    may_go_on = threading.Event()

    @jax.jit
    def waiting(x):
        assert may_go_on.wait(timeout=60)
        return x + 1

    array = jnp.zeros(4)
    held = weakref.ref(array)
    compiling = compile_ahead(waiting, array)
    del array
    gc.collect()
    assert held() is None
    assert not compiling.done()
    may_go_on.set()
    np.testing.assert_array_equal(compiling.result()(jnp.zeros(4)), np.ones(4))


def test_an_error_comes_when_the_program_is_asked_for():
    def wrong(x):
        raise ValueError(f"no program for {x.shape}")

    compiling = compile_ahead(jax.jit(wrong), jnp.zeros(5))
    with pytest.raises(ValueError, match=r"no program for \(5,\)"):
        compiling.result()
