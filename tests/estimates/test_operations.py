"""Operations counted off a program, beside closed forms and what others published."""

import jax
import jax.numpy as jnp
import pytest

from animal_clip_jax.estimates.operations import operations
from animal_clip_jax.estimates.theory import forward_flops, training_flops
from animal_clip_jax.models.description import ModelDescription
from animal_clip_jax.models.presets import preset


def convolved(x, kernel, stride=1, groups=1):
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(1, 1), (1, 1)],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


@pytest.mark.parametrize(("stride", "groups"), [(1, 1), (2, 1), (1, 4)])
def test_a_convolution_and_its_gradients(stride, groups):
    """Every output is a product with the inputs of its group; each gradient takes as many."""
    x, kernel = jnp.zeros((2, 8, 8, 4)), jnp.zeros((3, 3, 4 // groups, 12))
    forward = 2 * 2 * (8 // stride) ** 2 * 12 * 9 * (4 // groups)

    def total(x, kernel):
        return jnp.sum(convolved(x, kernel, stride, groups))

    assert operations(total, x, kernel) == forward
    # The padding is counted where a gradient has it: one more row and column of eight.
    found = operations(jax.grad(total, (0, 1)), x, kernel)
    assert 3 * forward <= found <= 3 * forward * (9 / 8) ** 2


def test_a_loop_counts_as_often_as_it_turns():
    a = jnp.zeros((3, 5))

    def looped(a):
        return jax.lax.scan(lambda total, _: (total + a @ a.T, None), jnp.zeros((3, 3)), None, 7)

    assert operations(looped, a) == 7 * 2 * 3 * 3 * 5
    assert operations(jax.jit(looped), a) == 7 * 2 * 3 * 3 * 5
    assert operations(lambda a: a @ jnp.zeros((5, 2)) + 1, a) == 2 * 3 * 5 * 2


@pytest.mark.parametrize(
    ("family", "name", "size", "published"),
    [
        pytest.param("x3d", "X3D-S", 160, 1.96, marks=pytest.mark.slow),
        pytest.param("slowfast", "SlowFast R50 4x16", 256, 36.10, marks=pytest.mark.slow),
    ],
)
def test_as_many_as_pyslowfast_published_for_a_view(family, name, size, published):
    """In billions of multiply-adds, of 400 classes."""
    architecture = preset(family, name, image_size=size)
    model = ModelDescription(
        family, architecture, num_frames=architecture.num_frames, num_classes=400
    )
    found = forward_flops(model, num_actions=400, num_animals=1)
    assert round(found / 2e9, 2) == published
    if family == "x3d":
        ratio = training_flops(model, num_actions=400, num_animals=1) / found
        assert 2.9 < ratio < 3.0  # nothing asks for the gradient of the pixels
