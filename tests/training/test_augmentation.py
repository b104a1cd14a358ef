import colorsys
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from animal_clip_jax.models.normalisation import CLIP, IMAGENET, normalise
from animal_clip_jax.training import augmentation

LUMA = np.array([0.299, 0.587, 0.114])
OFF = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, "grey_probability": 0.0}


def _clips(low: int = 0, high: int = 256, clips: int = 6) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.integers(low, high, (clips, 2, 4, 5, 3), dtype=np.uint8)


@functools.partial(jax.jit, static_argnames=("probability", *OFF))
def _jit_jitter(frames, key, **arguments):
    return augmentation.colour_jitter(frames, key, **arguments)


def _jitter(frames: np.ndarray, seed: int = 0, **changes) -> np.ndarray:
    """Always jittered, by nothing but `changes`, in float64."""
    arguments = {"probability": 1.0, **OFF, **changes}
    return np.asarray(_jit_jitter(frames, jax.random.key(seed), **arguments), np.float64)


def _per_clip(values: np.ndarray) -> np.ndarray:
    """The one number that all values of each clip are."""
    flat = values.reshape(len(values), -1)
    np.testing.assert_allclose(flat, np.broadcast_to(flat[:, :1], flat.shape), rtol=2e-3)
    return flat[:, 0]


@pytest.mark.parametrize("statistics", [IMAGENET, CLIP])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_normalise(statistics, dtype):
    frames = _clips().astype(dtype)
    result = normalise(frames, statistics.mean, statistics.std)
    expected = (frames.astype(np.float64) - statistics.mean) / statistics.std
    assert result.dtype == jnp.float32
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_clips_published_statistics_on_the_scale_of_the_pixels():
    """(pixel/255 − mean) / std with the published values on [0, 1]."""
    frames = _clips()
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    expected = (frames / 255 - mean) / std
    np.testing.assert_allclose(normalise(frames, *CLIP), expected, atol=1e-5)


def test_no_jitter_leaves_clips_alone():
    frames = _clips()
    strong = {"brightness": 0.9, "contrast": 0.9, "saturation": 0.9, "hue": 0.5}
    np.testing.assert_array_equal(_jitter(frames, probability=0.0, **strong), frames)


def test_jitter_by_nothing_changes_nothing():
    np.testing.assert_allclose(_jitter(_clips()), _clips(), atol=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_colours_stay_in_range(seed):
    changed = _jitter(_clips(), seed, brightness=0.9, contrast=0.9, saturation=0.9, hue=0.5)
    assert changed.min() >= 0 and changed.max() <= 255


def test_brightness_is_a_factor_of_each_clip():
    frames = _clips(1, 180)
    factors = _per_clip(_jitter(frames, brightness=0.4) / frames)
    assert len(set(factors)) == len(frames)
    assert np.all((factors >= 0.6) & (factors <= 1.4))


def test_brightness_is_cut_at_white():
    frames = _clips()
    changed = _jitter(frames, brightness=0.4)
    dark = frames < 150
    for clip, before, is_dark in zip(changed, frames, dark, strict=True):
        factor = clip[is_dark & (before > 0)][0] / before[is_dark & (before > 0)][0]
        np.testing.assert_allclose(clip, np.minimum(before * factor, 255), rtol=1e-4, atol=1e-3)


def test_contrast_scales_the_distance_from_the_mean_luma():
    frames = _clips(100, 156)
    level = (frames @ LUMA).mean(axis=(1, 2, 3))[:, None, None, None, None]
    changed = _jitter(frames, contrast=0.4)
    # Leaves out distances that are mostly rounding.
    is_far = np.abs(frames - level) > 5
    for clip, before, mean, far in zip(changed, frames, level, is_far, strict=True):
        factors = ((clip - mean) / (before - mean))[far]
        np.testing.assert_allclose(factors, factors[0], rtol=1e-3)
        assert 0.6 <= factors[0] <= 1.4


def test_saturation_scales_the_distance_from_grey_and_keeps_the_luma():
    frames = _clips(100, 156)
    changed = _jitter(frames, saturation=0.2)
    np.testing.assert_allclose(changed @ LUMA, frames @ LUMA, atol=1e-2)
    grey = (frames @ LUMA)[..., None]
    is_far = np.abs(frames - grey) > 5
    for clip, before, level, far in zip(changed, frames, grey, is_far, strict=True):
        factors = ((clip - level) / (before - level))[far]
        np.testing.assert_allclose(factors, factors[0], rtol=1e-3)
        assert 0.8 <= factors[0] <= 1.2


def test_hue_turns_every_colour_of_a_clip_by_one_angle_and_keeps_the_luma():
    """Measured with the standard library's YIQ, whose constants are rounded."""
    frames = _clips(90, 166)
    changed = _jitter(frames, hue=0.1)
    np.testing.assert_allclose(changed @ LUMA, frames @ LUMA, atol=1e-2)

    def chroma(pixels: np.ndarray) -> np.ndarray:
        yiq = np.array([colorsys.rgb_to_yiq(*pixel) for pixel in pixels.reshape(-1, 3)])
        return (yiq[:, 1] + 1j * yiq[:, 2]).reshape(len(pixels), -1)

    before, after = chroma(frames.astype(np.float64)), chroma(changed)
    is_coloured = np.abs(before) > 10
    turns = after / np.where(is_coloured, before, 1)
    angles = []
    for clip_turns, coloured in zip(turns, is_coloured, strict=True):
        np.testing.assert_allclose(np.abs(clip_turns[coloured]), 1, atol=0.02)
        np.testing.assert_allclose(
            np.angle(clip_turns[coloured] / clip_turns[coloured][0]), 0, atol=0.02
        )
        angles.append(np.angle(clip_turns[coloured][0]))
    assert max(np.abs(angles)) <= 2 * math.pi * 0.1 + 0.02
    assert np.std(angles) > 0.05


def test_hue_turns_both_ways_alike():
    """Of 2000 clips of one colour; three standard deviations of a share are 0.035. Chroma as
    `colorsys` has it, whose matrix is rounded."""
    frames = np.tile(np.uint8([150, 110, 90]), (2000, 1, 1, 1, 1))

    def chroma(pixel: np.ndarray) -> complex:
        _, i, q = colorsys.rgb_to_yiq(*pixel)
        return complex(i, q)

    changed = _jitter(frames, hue=0.1).reshape(-1, 3)
    turns = np.angle([chroma(pixel) / chroma(frames[0].ravel()) for pixel in changed])
    turns /= 2 * math.pi
    assert (turns > 0).mean() == pytest.approx(0.5, abs=0.035)
    # Uniform from -0.1 to 0.1.
    for quarter in (-0.05, 0.05):
        assert (np.abs(turns - quarter) < 0.025).mean() == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("seed", range(3))
def test_grey_stays_grey(seed):
    frames = np.repeat(_clips()[..., :1], 3, axis=-1)
    changed = _jitter(frames, seed, brightness=0.4, contrast=0.4, saturation=0.9, hue=0.5)
    np.testing.assert_allclose(changed[..., 0], changed[..., 1], atol=1e-2)
    np.testing.assert_allclose(changed[..., 0], changed[..., 2], atol=1e-2)


def test_saturation_and_hue_leave_grey_clips_alone():
    frames = np.repeat(_clips()[..., :1], 3, axis=-1)
    np.testing.assert_allclose(_jitter(frames, saturation=0.9, hue=0.5), frames, atol=1e-2)


def test_losing_all_colour_leaves_the_luma():
    changed = _jitter(_clips(), probability=0.0, grey_probability=1.0)
    expected = np.broadcast_to((_clips() @ LUMA)[..., None], changed.shape)
    np.testing.assert_allclose(changed, expected, rtol=1e-5)


def test_all_frames_of_a_clip_are_changed_alike():
    frames = _clips()
    changed = _jitter(frames, brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)
    reversed_ = _jitter(frames[:, ::-1], brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)
    np.testing.assert_allclose(changed[:, ::-1], reversed_, atol=1e-3)


def test_shares_of_jittered_and_of_grey_clips():
    """Of 2000 clips of one pixel; three standard deviations are 0.03."""
    frames = np.tile(np.uint8([200, 100, 50]), (2000, 1, 1, 1, 1))
    changed = _jitter(frames, probability=0.8, brightness=0.4, grey_probability=0.2)
    is_grey = np.ptp(changed, axis=-1).ravel() < 1e-3
    assert is_grey.mean() == pytest.approx(0.2, abs=0.03)
    is_bright = np.abs(changed[~is_grey] - frames[~is_grey]).max(axis=-1).ravel() > 1e-3
    assert is_bright.mean() == pytest.approx(0.8, abs=0.03)


CLIPS, HEIGHT, WIDTH, DRAWS = 4, 12, 10, 200


@pytest.fixture(scope="module")
def mixed():
    """200 draws of a batch whose clip i is i everywhere: (frames, labels, other labels)."""
    frames = jnp.broadcast_to(
        jnp.arange(CLIPS, dtype=jnp.float32)[:, None, None, None, None],
        (CLIPS, 2, HEIGHT, WIDTH, 3),
    )
    labels = jnp.eye(CLIPS), jnp.eye(CLIPS)[:, ::-1] + 1
    keys = jax.random.split(jax.random.key(0), DRAWS)
    frames, labels = jax.jit(jax.vmap(lambda key: augmentation.mix(frames, labels, key)))(keys)
    return np.asarray(frames, np.float64), *(np.asarray(x, np.float64) for x in labels)


def _shares(frames: np.ndarray) -> np.ndarray:
    """How much of each pixel is its own clip's: clip i's neighbour is i − 1, clip 0's the last."""
    own = np.arange(CLIPS)[:, None, None, None, None]
    other = np.roll(own, 1, axis=0)
    return (frames - other) / (own - other)


def test_mixing_is_one_of_the_two_with_one_share_a_batch(mixed):
    frames, *_ = mixed
    num_cut = 0
    for draw in frames:
        shares = _shares(draw)
        # Every clip, frame and channel alike.
        pixels = shares[0, 0, :, :, 0]
        np.testing.assert_allclose(
            shares, np.broadcast_to(pixels[:, :, None], shares.shape), atol=1e-5
        )
        is_other, is_own = np.abs(pixels) < 1e-6, np.abs(pixels - 1) < 1e-6
        # Where the box is empty, every pixel is its own clip's, which MixUp hardly ever leaves.
        if np.ptp(pixels) > 1e-4 or is_own.all():
            num_cut += 1
            assert np.all(is_other | is_own)
            box = np.outer(is_other.any(axis=1), is_other.any(axis=0))
            np.testing.assert_array_equal(is_other, box)
            for side in (is_other.any(axis=1), is_other.any(axis=0)):
                edges = np.abs(np.diff(np.concatenate([[0], side, [0]]))).sum()
                assert edges == (0 if is_own.all() else 2)  # no gap
        else:
            assert 0 < pixels[0, 0] < 1
    assert abs(num_cut - DRAWS / 2) < 5 * math.sqrt(DRAWS * 0.5 * 0.5)


def test_the_box_of_cutmix_has_the_area_that_its_share_leaves():
    """With α so large that λ is ½, boxes that the border does not cut off cover half of a frame;
    a side is rounded to an even number of pixels."""
    height, width = 100, 160
    frames = jnp.broadcast_to(jnp.float32([0, 1])[:, None, None, None, None], (2, 1, 100, 160, 1))
    mix = jax.jit(
        jax.vmap(
            lambda key: augmentation.mix(frames, (), key, mixup_alpha=1e6, cutmix_alpha=1e6)[0][
                0, 0, :, :, 0
            ]
        )
    )
    other = np.asarray(mix(jax.random.split(jax.random.key(0), 100)))
    num_whole = 0
    for pixels in other[np.ptp(other, axis=(1, 2)) > 0.5]:
        rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
        if rows[0] > 0 and rows[-1] < height - 1 and columns[0] > 0 and columns[-1] < width - 1:
            num_whole += 1
            assert len(rows) == pytest.approx(height * math.sqrt(0.5), abs=2)
            assert len(columns) == pytest.approx(width * math.sqrt(0.5), abs=2)
        else:
            assert len(rows) * len(columns) < height * width / 2
    assert num_whole > 0


@pytest.mark.parametrize("name", ["mixup_alpha", "cutmix_alpha"])
@pytest.mark.parametrize("alpha", [0.0, -1.0, math.inf, math.nan])
def test_shares_of_a_distribution_that_does_not_exist(name, alpha):
    """An α of 0 would make all frames and labels NaN."""
    frames = jnp.zeros((2, 1, 4, 4, 3))
    with pytest.raises(ValueError, match=f"{name} is {alpha}; expected a finite number above 0"):
        jax.eval_shape(
            lambda key: augmentation.mix(frames, (), key, **{name: alpha}), jax.random.key(0)
        )


def test_labels_are_mixed_in_the_shares_of_the_pixels(mixed):
    frames, labels, other_labels = mixed
    for draw, mixed_labels, mixed_others in zip(frames, labels, other_labels, strict=True):
        share = _shares(draw).mean()
        expected = share * np.eye(CLIPS) + (1 - share) * np.roll(np.eye(CLIPS), 1, axis=0)
        np.testing.assert_allclose(mixed_labels, expected, atol=1e-5)
        np.testing.assert_allclose(mixed_others, expected[:, ::-1] + 1, atol=1e-5)


def test_mixing_of_one_clip_leaves_it_alone():
    frames, labels = jnp.float32(_clips(clips=1)), jnp.float32([[1, 0, 1]])
    mix = jax.jit(augmentation.mix)
    for seed in range(4):
        changed, (targets,) = mix(frames, (labels,), jax.random.key(seed))
        np.testing.assert_allclose(changed, frames, atol=1e-4)
        np.testing.assert_allclose(targets, labels, atol=1e-6)
