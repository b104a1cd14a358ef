"""What the shared pieces save changes nothing."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from flax import nnx

from animal_clip_jax.models import parameters
from animal_clip_jax.models.attention import RECOMPUTED
from animal_clip_jax.models.layers import CrossFrameBlock, ResidualBlock, drop_path
from animal_clip_jax.models.text import TextTower
from animal_clip_jax.models.video import ImageTower, MultiFrameIntegration, VideoTower, patchify
from animal_clip_jax.parallel.compiler_options import compiler_options
from animal_clip_jax.parallel.hlo import product_flops
from animal_clip_jax.parallel.mesh import AXES, make_mesh

WIDTH, HEADS, FRAMES, CLIPS = 32, 4, 3, 2
BLOCK = {"depth": 2, "activation": "quick_gelu", "dtype": jnp.float32}
TOKENS = np.random.default_rng(0).standard_normal((CLIPS * FRAMES, 5, WIDTH)).astype(np.float32)
PIXELS = np.random.default_rng(1).standard_normal((CLIPS, FRAMES, 16, 16, 3)).astype(np.float32)


def _assert_close(actual, expected) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("num_queries", [1, 3])
def test_some_queries_of_a_block(num_queries, is_causal):
    block = tiny.randomised(lambda rngs: ResidualBlock(WIDTH, HEADS, **BLOCK, rngs=rngs))

    @jax.jit
    def whole_and_some(tokens):
        whole = block(tokens, is_causal=is_causal)
        return whole, block(tokens, num_queries=num_queries, is_causal=is_causal)

    whole, some = whole_and_some(TOKENS)
    _assert_close(some, whole[:, :num_queries])


@pytest.mark.parametrize("key", [None, jax.random.key(1)])
def test_the_class_token_of_a_cross_frame_block(key):
    """In training too, where stochastic depth drops the same samples."""
    block = tiny.randomised(
        lambda rngs: CrossFrameBlock(WIDTH, HEADS, drop_path_rate=0.5, **BLOCK, rngs=rngs)
    )

    @jax.jit
    def whole_and_class_token(tokens):
        whole = block(tokens, num_frames=FRAMES, key=key)
        return whole, block(tokens, num_frames=FRAMES, class_token_only=True, key=key)

    whole, class_token = whole_and_class_token(TOKENS)
    assert whole.shape == TOKENS.shape and class_token.shape == (CLIPS * FRAMES, 1, WIDTH)
    _assert_close(class_token, whole[:, :1])


def test_messages_stay_within_a_clip():
    block = tiny.randomised(
        lambda rngs: CrossFrameBlock(WIDTH, HEADS, drop_path_rate=0.0, **BLOCK, rngs=rngs)
    )
    apply = jax.jit(functools.partial(block, num_frames=FRAMES))
    changed = TOKENS.copy()
    changed[0] += 1  # a frame of the first clip
    difference = np.abs(apply(changed) - apply(TOKENS)).max(axis=(1, 2))
    assert np.all(difference[:FRAMES] > 1e-4)
    np.testing.assert_array_equal(difference[FRAMES:], 0)


def test_drop_path_keeps_the_expectation():
    """Whole samples are dropped; of 4000, three standard deviations of the mean are 0.04."""
    x = np.random.default_rng(0).uniform(1, 2, (4000, 3, 2)).astype(np.float32)
    result = np.asarray(drop_path(x, 0.4, jax.random.key(0)))
    is_dropped = (result == 0).all(axis=(1, 2))
    assert is_dropped.mean() == pytest.approx(0.4, abs=0.03)
    np.testing.assert_allclose(result[~is_dropped], x[~is_dropped] / 0.6, rtol=1e-6)
    assert (result / x).mean() == pytest.approx(1, abs=0.04)


def test_drop_path_does_nothing_outside_training_or_at_rate_0():
    np.testing.assert_array_equal(drop_path(TOKENS, 0.4, None), TOKENS)
    np.testing.assert_array_equal(drop_path(TOKENS, 0.0, jax.random.key(0)), TOKENS)


@pytest.mark.parametrize(("layers", "rates"), [(1, [0]), (2, [0, 0.3]), (4, [0, 0.1, 0.2, 0.3])])
def test_stochastic_depth_grows_linearly_from_the_first_layer_to_the_last(layers, rates):
    architecture = dataclasses.replace(tiny.ARCHITECTURE, vision_layers=layers)
    tower = VideoTower(architecture, drop_path_rate=0.3, dtype=jnp.float32, rngs=nnx.Rngs(0))
    assert [block.drop_path_rate for block in tower.blocks] == pytest.approx(rates)


@pytest.mark.parametrize(("tower", "layers"), [(ImageTower, 3), (VideoTower, 3), (TextTower, 5)])
def test_initial_values_of_a_block_are_those_of_clip(tower, layers):
    """CLIP's `initialize_parameters`: normal, with standard deviations width^-½ (attention in),
    (2 width)^-½ (MLP in), and width^-½ (2 layers)^-½ for what is added to the residual stream."""
    width = 128
    architecture = dataclasses.replace(
        tiny.ARCHITECTURE, vision_width=width, vision_layers=3, text_width=width, text_layers=5
    )
    expected = {
        "attention.query_key_value.kernel": width**-0.5,
        "attention.out.kernel": width**-0.5 * (2 * layers) ** -0.5,
        "mlp.expand.kernel": (2 * width) ** -0.5,
        "mlp.contract.kernel": width**-0.5 * (2 * layers) ** -0.5,
    }
    _, values = parameters.split(tower(architecture, dtype=jnp.float32, rngs=nnx.Rngs(0)))
    for layer in range(layers):
        for name, deviation in expected.items():
            kernel = np.asarray(values[f"blocks.{layer}.{name}"], np.float64)
            # Of 16 384 values or more: four standard deviations of both.
            assert kernel.std() == pytest.approx(deviation, rel=0.025)
            assert kernel.mean() == pytest.approx(0, abs=0.035 * deviation)


def test_patchify():
    images = np.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3)
    patches = patchify(images, 2)
    assert patches.shape == (2, 6, 12)
    for row in range(2):
        for column in range(3):
            patch = images[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            np.testing.assert_array_equal(patches[:, 3 * row + column], patch.reshape(2, -1))


def test_frame_features_do_not_depend_on_whether_patches_are_asked_for():
    tower = tiny.randomised(
        lambda rngs: VideoTower(tiny.ARCHITECTURE, dtype=jnp.float32, rngs=rngs)
    )
    (features, nothing), (same_features, patches) = jax.jit(
        lambda clips: (tower(clips), tower(clips, with_patches=True))
    )(PIXELS)
    assert nothing is None and patches.shape == (CLIPS, FRAMES, 4, 64)
    _assert_close(features, same_features)


def test_rematerialisation_changes_nothing():
    """Of a tower of one block, to compile less."""
    architecture = dataclasses.replace(tiny.ARCHITECTURE, vision_layers=1)

    def gradient_of(remat):
        tower = tiny.randomised(
            lambda rngs: VideoTower(architecture, remat=remat, dtype=jnp.float32, rngs=rngs)
        )
        tower.blocks[0].drop_path_rate = 0.5
        graphdef, state = nnx.split(tower)

        def total(state):
            return jnp.sum(nnx.merge(graphdef, state)(PIXELS, key=jax.random.key(0))[0] ** 2)

        return jax.jit(jax.grad(total))(state)

    expected = gradient_of("none")
    for remat in ("blocks", "dots"):
        jax.tree.map(_assert_close, gradient_of(remat), expected)


def test_no_product_is_computed_again_where_products_are_kept():
    """Those of attention included."""
    mesh = make_mesh(dict.fromkeys(AXES, 1), jax.devices()[:1])

    def operations(remat) -> float:
        graphdef, abstract = parameters.abstract(
            lambda: VideoTower(
                tiny.ARCHITECTURE,
                attention=RECOMPUTED,
                remat=remat,
                dtype=jnp.float32,
                rngs=parameters.rngs_for_shapes(),
            )
        )

        def total(values):
            return jnp.sum(parameters.merge(graphdef, values)(PIXELS)[0] ** 2)

        step = jax.jit(jax.grad(total), compiler_options=compiler_options(mesh))
        return product_flops(step.lower(abstract).compile().as_text())

    least = operations("none")
    # The messages between frames are attention, too, but of a program of XLA's.
    assert operations("dots") < 1.002 * least < 0.9 * operations("blocks")


def test_text_features_do_not_depend_on_what_follows_the_end_token():
    tower = tiny.randomised(lambda rngs: TextTower(tiny.ARCHITECTURE, dtype=jnp.float32, rngs=rngs))
    encode = jax.jit(lambda tokens: tower(tokens))
    tokens = np.array([[58, 5, 7, 59, 0, 0, 0, 0], [58, 5, 59, 0, 0, 0, 0, 0]])
    expected = encode(tokens)
    followed = np.where(tokens == 0, 33, tokens)
    _assert_close(encode(followed), expected)
    _assert_close(encode(tokens[:, :4]), expected)  # padding may be left out
    followed[:, 1] = 6
    assert np.all(np.abs(encode(followed) - expected).max(axis=1) > 1e-3)


def test_images_of_another_size():
    tower = tiny.randomised(
        lambda rngs: ImageTower(tiny.ARCHITECTURE, dtype=jnp.float32, rngs=rngs)
    )
    with pytest.raises(ValueError, match=r"images are \(24, 16, 3\) .* takes \(16, 16, 3\)"):
        tower(np.zeros((1, 24, 16, 3), np.float32))


def test_clips_of_another_length():
    integration = tiny.randomised(
        lambda rngs: MultiFrameIntegration(64, 3, dtype=jnp.float32, rngs=rngs)
    )
    with pytest.raises(ValueError, match="clips have 4 frames; this model was built for 3"):
        integration(np.zeros((1, 4, 64), np.float32))
