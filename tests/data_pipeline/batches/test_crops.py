"""Where clips are cropped, and the resizing after it."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from data_pipeline.batches.crops import (
    evaluation_crops,
    multi_scale_crops,
    resize_bilinear,
)

SIDES = st.integers(8, 600)
UNIT = st.floats(0, 1, exclude_max=True)


def crop_once(height, width, scale, place):
    return multi_scale_crops(np.array([height]), np.array([width]), np.array([[scale, place]]))[0]


@given(SIDES, SIDES, UNIT, UNIT)
def test_crops_lie_inside_at_one_of_five_places(height, width, scale, place):
    top, left, crop_height, crop_width = crop_once(height, width, scale, place)
    bottom_room, right_room = height - crop_height, width - crop_width
    assert min(top, left) >= 0
    assert crop_height >= 1 <= crop_width
    assert (top, left) in {
        (0, 0),
        (0, right_room),
        (bottom_room, 0),
        (bottom_room, right_room),
        (bottom_room // 2, right_room // 2),
    }


@given(SIDES, SIDES, UNIT, UNIT)
def test_sides_are_scales_of_the_short_side_at_most_one_step_apart(height, width, scale, place):
    sizes = [max(int(min(height, width) * scale), 1) for scale in (1, 0.875, 0.75, 0.66)]
    _, _, crop_height, crop_width = crop_once(height, width, scale, place)
    assert any(
        (crop_height, crop_width) == (sizes[i], sizes[j])
        for i in range(4)
        for j in range(4)
        if abs(i - j) <= 1
    )


def test_all_shapes_and_places_are_alike_likely():
    uniforms = np.random.default_rng(0).random((50_000, 2))
    crops = multi_scale_crops(np.full(50_000, 400), np.full(50_000, 600), uniforms)
    _, shapes = np.unique(crops[:, 2:], axis=0, return_counts=True)
    assert len(shapes) == 10
    assert abs(shapes - 5000).max() < 5 * np.sqrt(50_000 * 0.1 * 0.9)
    full = crops[(crops[:, 2:] == 300).all(axis=1)]
    _, places = np.unique(full[:, :2], axis=0, return_counts=True)
    assert len(places) == 5


def test_every_published_scale_is_drawn():
    """Of a short side of 400 pixels."""
    uniforms = np.random.default_rng(0).random((1000, 2))
    crops = multi_scale_crops(np.full(1000, 600), np.full(1000, 400), uniforms)
    for sides in crops[:, 2:].T:
        assert set(sides) == {400, 350, 300, 264}


def test_evaluation_crops_of_the_published_sizes():
    one = evaluation_crops(np.array([256, 400]), np.array([455, 256]), 1)
    assert one.tolist() == [[[16, 115, 224, 224]], [[88, 16, 224, 224]]]
    three = evaluation_crops(np.array([224, 300]), np.array([400, 224]), 3)
    assert three.tolist() == [
        [[0, 0, 224, 224], [0, 176, 224, 224], [0, 88, 224, 224]],
        [[0, 0, 224, 224], [76, 0, 224, 224], [38, 0, 224, 224]],
    ]


@pytest.mark.parametrize("num_crops", [0, 2, 5])
def test_other_numbers_of_crops_are_refused(num_crops):
    with pytest.raises(ValueError, match="1 or 3 crops"):
        evaluation_crops(np.array([256]), np.array([256]), num_crops)


@pytest.mark.parametrize("shape", [(2, 48, 48, 3), (3, 37, 61, 3), (1, 200, 256, 3), (2, 1, 9, 3)])
@pytest.mark.parametrize("size", [32, 48, 224])
def test_resizing_is_tensorflows(shape, size):
    frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    expected = tf.image.resize(frames, (size, size), method="bilinear").numpy()
    found = resize_bilinear(frames, size)
    assert found.dtype == np.uint8
    # Rounded: half a level, and what float32 sums in another order differ by.
    assert abs(found - expected).max() <= 0.5 + 1e-3
