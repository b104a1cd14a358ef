"""Attention drawn over frames."""

import io

import numpy as np
import pytest
from PIL import Image

from animal_clip_jax.inference.attention_overlay import overlays

FRAMES = np.full((2, 32, 48, 3), 100, np.uint8)


def _pictures(maps, **options) -> list[np.ndarray]:
    files = overlays(FRAMES, np.asarray(maps, np.float32), form="PNG", **options)
    return [np.asarray(Image.open(io.BytesIO(file))).astype(int) for file in files]


def test_the_patch_that_is_looked_at_is_coloured_and_the_others_are_not():
    maps = np.zeros((2, 4, 6))
    maps[1, 3, 0] = 0.4
    first, second = _pictures(maps)
    np.testing.assert_array_equal(first, FRAMES[0])
    changed = np.abs(second - FRAMES[1]).sum(axis=-1)
    row, column = np.unravel_index(changed.argmax(), changed.shape)
    assert row >= 24 and column < 8  # the patch in the fourth row and the first column
    assert not changed[:16].any() and not changed[:, 24:].any()


def test_frames_share_one_scale():
    """More attention is brighter, in the other frame too, by grey level alone."""
    maps = np.ones((2, 1, 1)) * np.array([0.2, 0.8])[:, None, None]
    weak, strong = (picture.mean() for picture in _pictures(maps))
    assert strong > weak
    np.testing.assert_array_equal(_pictures(maps), _pictures(10 * maps))


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_pictures_have_the_form_and_size_that_were_asked_for(form):
    for file in overlays(FRAMES, np.ones((2, 2, 3), np.float32), size=96, form=form):
        picture = Image.open(io.BytesIO(file))
        assert picture.format == form and picture.size == (96, 64)


def test_no_attention_at_all_leaves_the_frames():
    np.testing.assert_array_equal(_pictures(np.zeros((2, 2, 3))), FRAMES)
