"""Initial values are drawn array by array, by `nnx.Module`s outside of `jax.jit`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_video_networks
import tiny

from animal_clip_jax.models import parameters
from animal_clip_jax.models.description import build
from animal_clip_jax.models.evl_decoder import DecoderLayer


def _network(name):
    module, architecture = small_video_networks.MODELS[name]
    return lambda rngs: module(architecture, num_classes=5, rngs=rngs)


BUILDS = {
    "animal_clip": lambda rngs: build(tiny.description(), rngs=rngs),
    "xclip": lambda rngs: build(tiny.description("xclip"), rngs=rngs),
    "x3d": _network("x3d"),
    "evl_layer": lambda rngs: DecoderLayer(
        64, 1, num_frames=4, side=2, activation="quick_gelu", dtype=jnp.float32, rngs=rngs
    ),
}


@pytest.mark.parametrize("build_model", BUILDS.values(), ids=BUILDS)
def test_they_are_those_of_one_program_that_draws_all(build_model):
    """As a conversion makes them, which compiles what it asks for: bit for bit, though a compiler
    may round otherwise what it fuses."""

    def values_of(key):
        return parameters.split(build_model(parameters.rngs_for_values(key)))[1]

    key = jax.random.key(7)
    expected, found = jax.jit(values_of)(key), values_of(key)
    assert found.keys() == expected.keys()
    assert any(value.std() > 0 for value in found.values())
    for path, value in expected.items():
        np.testing.assert_array_equal(found[path], value, err_msg=path)
