"""Small networks of the convolutional families, and state dicts of theirs as torch keeps them."""

import functools

import baseline_figures
import jax
import numpy as np

from animal_clip_jax.conversion.state_dicts import pyslowfast_keys, to_state_dict
from animal_clip_jax.conversion.video_weights import Taken
from animal_clip_jax.models import parameters
from animal_clip_jax.models.i3d import I3D, I3DArchitecture
from animal_clip_jax.models.slowfast import SlowFast, SlowFastArchitecture
from animal_clip_jax.models.x3d import X3D, X3DArchitecture

SMALL = {"image_size": 32, "width": 8, "depths": (1, 2, 1, 1)}
MODELS = {
    "i3d": (I3D, I3DArchitecture(**SMALL)),
    "slowfast": (SlowFast, SlowFastArchitecture(num_frames=8, **SMALL)),
    "x3d": (X3D, X3DArchitecture(base_width=4, depth_factor=0.5, head_width=16)),
}


@functools.cache
def shapes(name: str, num_classes: int = 5) -> dict[str, jax.ShapeDtypeStruct]:
    """Of all arrays of a small model, by our path."""
    module, architecture = MODELS[name]
    return parameters.abstract(
        lambda: module(architecture, num_classes=num_classes, rngs=parameters.rngs_for_shapes())
    )[1]


@functools.cache
def _state_dict(name: str, num_classes: int) -> dict[str, np.ndarray]:
    values = shapes(name, num_classes)
    of_torch = {
        key: layout.torch_shape(values[path].shape)
        for path, ((key,), layout) in pyslowfast_keys(values).items()
    }
    counters = {
        f"{key.removesuffix('running_mean')}num_batches_tracked": np.array(12)
        for key in of_torch
        if key.endswith("running_mean")
    }
    return baseline_figures.state_dict(of_torch) | counters


def state_dict(name: str, num_classes: int = 5) -> dict[str, np.ndarray]:
    """A random state dict with the keys of a small model, counters of batches included."""
    return dict(_state_dict(name, num_classes))


def assert_all_read(weights: Taken, name: str) -> None:
    """All of the file's values, bit by bit, under our paths and under theirs again."""
    assert not weights.lines()
    back = to_state_dict(weights.parameters, pyslowfast_keys(weights.parameters))
    state = state_dict(name)
    assert back.keys() == {key for key in state if not key.endswith("num_batches_tracked")}
    for key, array in back.items():
        np.testing.assert_array_equal(array, state[key], strict=True)
