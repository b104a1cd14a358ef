"""I3D, SlowFast and X3D: their sizes, initial values and randomness, and what they refuse."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from animal_clip_jax.errors import UserError
from animal_clip_jax.models import parameters
from animal_clip_jax.models.convolution import BottleneckBlock
from animal_clip_jax.models.i3d import I3D, I3D_ARCHITECTURES, I3DArchitecture
from animal_clip_jax.models.position_classifier import PositionClassifier
from animal_clip_jax.models.slowfast import (
    SLOWFAST_ARCHITECTURES,
    SlowFast,
    SlowFastArchitecture,
    slow_frames,
)
from animal_clip_jax.models.x3d import X3D, X3D_ARCHITECTURES, X3DArchitecture, X3DBlock

TINY = {
    I3D: I3D_ARCHITECTURES["tiny"],
    SlowFast: SLOWFAST_ARCHITECTURES["tiny"],
    X3D: X3D_ARCHITECTURES["tiny"],
}


def structure(module, architecture, num_classes=5, **arguments):
    return parameters.abstract(
        lambda: module(
            architecture,
            num_classes=num_classes,
            rngs=parameters.rngs_for_shapes(),
            **arguments,
        )
    )


@pytest.mark.parametrize(
    ("module", "architecture", "millions"),
    [
        (I3D, I3D_ARCHITECTURES["I3D R50 8x8"], 28.04),
        (SlowFast, SLOWFAST_ARCHITECTURES["SlowFast R50 4x16"], 34.48),
        (X3D, X3D_ARCHITECTURES["X3D-M"], 3.79),
    ],
)
def test_as_many_parameters_as_published_for_kinetics_400(module, architecture, millions):
    _, shapes = structure(module, architecture, 400)
    count = sum(
        np.prod(value.shape) for path, value in shapes.items() if not parameters.is_statistic(path)
    )
    assert round(count / 1e6, 2) == millions


def test_x3d_of_medium_size_is_the_small_one_on_more_and_larger_frames():
    small, medium = X3D_ARCHITECTURES["X3D-S"], X3D_ARCHITECTURES["X3D-M"]
    assert dataclasses.replace(small, num_frames=16, image_size=224) == medium


@pytest.mark.parametrize("module", TINY)
def test_statistics_are_known_by_their_paths(module):
    graphdef, shapes = structure(module, TINY[module])
    model = nnx.eval_shape(lambda: parameters.merge(graphdef, shapes))
    flat = nnx.to_flat_state(nnx.state(model, nnx.BatchStat))
    found = {path for path in shapes if parameters.is_statistic(path)}
    assert found == {".".join(map(str, path)) for path, _ in flat}
    assert 0 < 2 * len(found) < len(shapes)


@pytest.mark.parametrize(
    "build",
    [
        lambda rngs: BottleneckBlock(
            16, 16, 64, temporal_kernel=3, stride=2, dtype=jnp.float32, rngs=rngs
        ),
        lambda rngs: X3DBlock(16, 36, 32, stride=2, squeezed=8, dtype=jnp.float32, rngs=rngs),
    ],
)
def test_initial_values_of_a_block(build):
    """He-normal by outputs whatever the groups; the branch begins as zero."""
    _, values = parameters.split(build(nnx.Rngs(0)))
    for path, value in values.items():
        leaf = path.rpartition(".")[2]
        if leaf == "kernel":
            std = np.sqrt(2 / (value.shape[-1] * np.prod(value.shape[:3])))
            # Five standard errors of estimates from so many values.
            assert float(value.std()) == pytest.approx(std, rel=5 / np.sqrt(2 * value.size)), path
            assert abs(float(value.mean())) < 5 * std / np.sqrt(value.size), path
        else:
            is_one = leaf in ("scale", "running_variance") and path != "c.norm.scale"
            np.testing.assert_array_equal(value, 1 if is_one else 0, path)


def test_initial_values_of_the_projection():
    head = PositionClassifier(500, 20, dropout_rate=0.5, rngs=nnx.Rngs(0))
    assert float(head.projection.kernel[...].std()) == pytest.approx(0.01, rel=0.04)
    np.testing.assert_array_equal(head.projection.bias[...], 0)


def test_dropout_is_drawn_by_the_key_and_keeps_the_mean():
    width = 400
    head = PositionClassifier(width, 2, dropout_rate=0.5, rngs=nnx.Rngs(0))
    head.projection.kernel[...] = jnp.ones((width, 2))
    encoded = jnp.ones((200, 1, 1, 1, width))
    plain = head.score_encoded(encoded)
    np.testing.assert_array_equal(plain, width)
    dropped = head.score_encoded(encoded, key=jax.random.key(0))
    assert set(np.unique(np.asarray(dropped) % 2)) == {0}  # each kept value counts twice
    assert dropped.std() == pytest.approx(np.sqrt(width), rel=0.2)
    assert dropped.mean() == pytest.approx(width, rel=0.02)
    again = head.score_encoded(encoded, key=jax.random.key(0))
    np.testing.assert_array_equal(again, dropped)
    assert not np.array_equal(head.score_encoded(encoded, key=jax.random.key(1)), dropped)


def test_frames_of_the_slow_pathway():
    """trunc(linspace(0, T - 1, T/α)), in exact arithmetic."""
    assert slow_frames(8, 4) == (0, 7)
    assert slow_frames(32, 4) == (0, 4, 8, 13, 17, 22, 26, 31)
    assert slow_frames(4, 4) == (0,)
    for frames in range(2, 150, 2):
        expected = np.trunc(np.linspace(0, frames - 1, frames // 2) + 1e-9)
        np.testing.assert_array_equal(slow_frames(frames, 2), expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: I3DArchitecture(num_frames=1),
            "num_frames is 1; an I3D pools 2 frames to one: expected at least 2",
        ),
        (
            lambda: I3DArchitecture(image_size=100),
            r"image_size is 100; the head's window of 3×3 \(100 // 32\) does not fit its features "
            "of 4×4: expected a multiple of 32",
        ),
        (
            lambda: SlowFastArchitecture(num_frames=10),
            r"10 frames for a SlowFast whose slow pathway sees every 4th \(alpha\): expected a "
            "multiple of 4",
        ),
        (
            lambda: SlowFastArchitecture(image_size=16),
            "image_size is 16; the head's window of 0×0",
        ),
        (lambda: SlowFastArchitecture(width=12), "width is 12; expected a multiple of beta 8"),
        (lambda: SlowFastArchitecture(fusion_kernel=4), "fusion_kernel is 4; expected odd numbers"),
        (lambda: I3DArchitecture(depths=(3, 4)), r"depths is \(3, 4\); expected one for each of 4"),
        (lambda: I3DArchitecture(width=True), "width is True; expected positive integers"),
        (lambda: X3DArchitecture(num_frames=0), "num_frames is 0; expected positive integers"),
        (lambda: X3DArchitecture(depth_factor=-1.0), "depth_factor is -1.0; expected a positive"),
        (lambda: X3DArchitecture(depth_factor="2"), "depth_factor is '2'; expected a positive"),
        (
            lambda: X3DArchitecture(width_factor=float("nan")),
            "width_factor is nan; expected a positive number",
        ),
    ],
)
def test_dimensions_that_make_no_model(make, message):
    with pytest.raises(UserError, match=message):
        make()


@pytest.mark.parametrize("architecture", TINY.values())
def test_dimensions_are_the_same_after_json(architecture):
    fields = json.loads(json.dumps(dataclasses.asdict(architecture)))
    assert type(architecture)(**fields) == architecture
    hash(type(architecture)(**fields))


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (I3D, (2, 6, 32, 32, 3), "clips have 6 frames; the head's window of this I3D needs 8"),
        (X3D, (2, 8, 32, 31, 3), "32×31 pixels; the head's window of this X3D needs 32×32"),
        (SlowFast, (2, 10, 32, 32, 3), "clips of 10 frames .* expected a multiple of 4"),
        (SlowFast, (2, 12, 32, 32, 3), "clips have 12 frames; this SlowFast takes 8"),
        (X3D, (2, 8, 3, 32, 32), r"expected \(clips, frames, height, width, 3\)"),
    ],
)
def test_clips_that_do_not_fit(module, shape, message):
    graphdef, values = structure(module, TINY[module])
    with pytest.raises(UserError, match=message):
        jax.eval_shape(
            lambda values, clips: parameters.merge(graphdef, values)(clips),
            values,
            jax.ShapeDtypeStruct(shape, np.float32),
        )
