"""MViT's blocks beside plain loops in NumPy, and what is around them."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from flax import nnx

from animal_clip_jax.errors import UserError
from animal_clip_jax.models import parameters
from animal_clip_jax.models.mvit import MVIT_ARCHITECTURES, MViT, MViTArchitecture
from animal_clip_jax.models.pooling_attention import BlockShape, PoolingBlock

GRID, KERNEL = (2, 5, 4), (3, 3, 3)
SHAPE = BlockShape(
    width=8,
    out_width=16,
    heads=2,
    query_stride=(1, 2, 2),
    key_value_stride=(2, 1, 3),
    pools_keys_and_values=True,
)
TINY = MVIT_ARCHITECTURES["tiny"]
SMALLER = dataclasses.replace(TINY, image_size=16, depth=2, pooling_blocks=(1,))
CLIPS = np.random.default_rng(0).standard_normal((2, 4, 16, 16, 3)).astype(np.float32)


# --- a block, in NumPy, token by token ------------------------------------------------------------


def _norm(x, norm, epsilon):
    centred = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
    return centred / deviation * norm["scale"] + norm["bias"]


def _windows(grid, kernel, stride):
    """For each place of the output: pairs of a tap of the kernel and the token there."""
    axes = zip(grid, kernel, stride, strict=True)
    sizes = [(size + 2 * (k // 2) - k) // step + 1 for size, k, step in axes]
    for place in np.ndindex(*sizes):
        pairs = []
        for tap in np.ndindex(*kernel):
            at = [
                p * step + t - k // 2
                for p, step, t, k in zip(place, stride, tap, kernel, strict=True)
            ]
            if all(0 <= a < size for a, size in zip(at, grid, strict=True)):
                pairs.append((tap, int(np.ravel_multi_index(at, grid))))
        yield pairs


def _pool(x, values, grid, stride):
    """(1 + tokens, head_dim) of one head."""
    rows = [x[0]]
    for pairs in _windows(grid, KERNEL, stride):
        rows.append(sum(values["kernel"][tap][0] * x[1 + token] for tap, token in pairs))
    return _norm(np.stack(rows), values["norm"], 1e-5)


def _largest(x, grid, stride):
    window = tuple(step + 1 if step > 1 else 1 for step in stride)
    windows = _windows(grid, window, stride)
    return np.stack([x[0], *(x[[1 + t for _, t in pairs]].max(0) for pairs in windows)])


def _block(x, values):
    """(1 + tokens, width) → (1 + pooled tokens, out_width)."""
    attention, outs = values["attention"], []
    normed = _norm(x, values["attention_norm"], 1e-6)
    packed = attention["query_key_value"]
    for head in range(SHAPE.heads):
        projected = [
            normed @ packed["kernel"][:, part, head] + packed["bias"][part, head]
            for part in range(3)
        ]
        query = _pool(projected[0], attention["query_pooling"], GRID, SHAPE.query_stride)
        key = _pool(projected[1], attention["key_pooling"], GRID, SHAPE.key_value_stride)
        value = _pool(projected[2], attention["value_pooling"], GRID, SHAPE.key_value_stride)
        products = np.exp(query @ key.T / math.sqrt(query.shape[-1]))
        attended = products / products.sum(-1, keepdims=True) @ value
        outs.append(attended @ attention["out"]["kernel"][head])
    x = _largest(x, GRID, SHAPE.query_stride) + sum(outs) + attention["out"]["bias"]
    normed = _norm(x, values["mlp_norm"], 1e-6)
    hidden = normed @ values["mlp"]["expand"]["kernel"] + values["mlp"]["expand"]["bias"]
    hidden = np.vectorize(lambda h: 0.5 * h * (1 + math.erf(h / math.sqrt(2))))(hidden)
    branch = hidden @ values["mlp"]["contract"]["kernel"] + values["mlp"]["contract"]["bias"]
    return normed @ values["widening"]["kernel"] + values["widening"]["bias"] + branch


def test_a_block_is_a_plain_loop():
    block = tiny.randomised(
        lambda rngs: PoolingBlock(SHAPE, KERNEL, drop_path_rate=0.5, dtype=jnp.float32, rngs=rngs)
    )
    tokens = np.random.default_rng(1).standard_normal((2, 1 + math.prod(GRID), 8))
    graphdef, state = nnx.split(block)
    found = jax.jit(lambda state, x: nnx.merge(graphdef, state)(x, GRID))(
        state, tokens.astype(np.float32)
    )
    values = jax.tree.map(np.float64, nnx.to_pure_dict(state))
    assert block.grid_after(GRID) == (2, 3, 2)
    for row, expected in zip(found, tokens, strict=True):
        np.testing.assert_allclose(row, _block(expected, values), rtol=1e-4, atol=1e-5)


# --- whole models ---------------------------------------------------------------------------------


@functools.cache
def _logits(**arguments):
    """A compiled function of (clips, key)."""
    graphdef, abstract = parameters.abstract(
        lambda: MViT(SMALLER, num_classes=5, rngs=parameters.rngs_for_shapes(), **arguments)
    )
    values = tiny.random_parameters(abstract)
    compiled = jax.jit(lambda clips, key: parameters.merge(graphdef, values)(clips, key=key))
    return lambda clips=CLIPS, key=None: np.asarray(compiled(clips, key))


def test_stochastic_depth_only_in_training():
    plain, dropping = _logits()(), _logits(drop_path_rate=0.5)
    assert plain.shape == (2, 5) and plain.dtype == np.float32
    np.testing.assert_allclose(dropping(), plain, rtol=1e-5, atol=1e-5)
    once = dropping(key=jax.random.key(0))
    np.testing.assert_array_equal(dropping(key=jax.random.key(0)), once)
    assert np.abs(dropping(key=jax.random.key(2)) - once).max() > 1e-4


def test_the_order_of_frames_matters():
    assert np.abs(_logits()(CLIPS[:, ::-1]) - _logits()()).max() > 1e-4


def test_bfloat16_is_close_to_float32():
    low, full = _logits(dtype=jnp.bfloat16)(), _logits()()
    assert low.dtype == np.float32
    assert 0 < np.abs(low - full).max() < 0.05 * np.abs(full).max()


def test_initial_values():
    """As published: normal of 0.02, torch's own for convolutions, biases 0, norms 1 and 0."""
    architecture = dataclasses.replace(SMALLER, width=48)
    rngs = nnx.Rngs(jax.random.key(0, impl="rbg"))  # compiled in half of the time
    _, values = parameters.split(MViT(architecture, num_classes=400, rngs=rngs))
    uniform = {"patch_embedding.kernel": 3 * 3 * 7 * 7, "patch_embedding.bias": 3 * 3 * 7 * 7}
    uniform |= {path: 27 for path in values if path.endswith("pooling.kernel")}
    assert len(uniform) == 2 + 5
    for path, value in values.items():
        if path in uniform:
            bound = uniform[path] ** -0.5
            assert 0.9 * bound < np.abs(value).max() <= bound, path
            assert np.std(value) == pytest.approx(bound / math.sqrt(3), rel=0.25), path
        elif path.endswith(("bias", "scale")):
            assert (value == (1 if path.endswith("scale") else 0)).all(), path
        else:
            tolerance = 4 / math.sqrt(2 * value.size)
            assert np.std(value) == pytest.approx(0.02, rel=tolerance), path
            assert abs(np.mean(value)) < 4 * 0.02 / math.sqrt(value.size), path


def test_published_shapes_of_blocks():
    """The table of the paper: 96, 192, 384, 768 wide, and heads of 96."""
    blocks = MVIT_ARCHITECTURES["MViT-B 16x4"].blocks
    assert [block.width for block in blocks] == [96] + 2 * [192] + 11 * [384] + 2 * [768]
    assert {block.width // block.heads for block in blocks} == {96}
    assert [block.key_value_stride[1] for block in blocks] == [8] + 2 * [4] + 11 * [2] + 2 * [1]
    assert [i for i, block in enumerate(blocks) if not block.pools_keys_and_values] == [14, 15]
    for name in ("MViT-B 16x4 PySlowFast", "MViT-B image"):
        assert all(block.pools_keys_and_values for block in MVIT_ARCHITECTURES[name].blocks)
    assert MVIT_ARCHITECTURES["MViT-B 16x4"].grid == (8, 56, 56)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"image_size": 30}, "image_size is 30; .* multiple of 4"),
        ({"num_frames": 5}, "num_frames is 5; .* multiple of 2"),
        ({"num_frames": 0}, "num_frames is 0"),
        ({"heads": 3}, "width 16 is not a multiple of heads 3"),
        ({"pooling_blocks": (1, 4)}, r"pooling_blocks are \(1, 4\); .* of 4 blocks"),
        ({"depth": 0}, "depth is 0"),
        ({"pool_kernel": (3, 2, 3)}, r"pool_kernel is \(3, 2, 3\); expected odd"),
    ],
)
def test_dimensions_that_do_not_fit(changes, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(TINY, **changes)


@pytest.mark.parametrize("shape", [(8, 32, 32, 3), (4, 36, 36, 3), (4, 32, 32, 1)])
def test_clips_of_another_shape(shape):
    graphdef, abstract = parameters.abstract(
        lambda: MViT(TINY, num_classes=5, rngs=parameters.rngs_for_shapes())
    )
    clips = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    with pytest.raises(UserError, match=r"clips are .*; this MViT takes \(4, 32, 32, 3\)"):
        jax.eval_shape(lambda v, c: parameters.merge(graphdef, v)(c), abstract, clips)


def test_an_architecture_survives_json():
    values = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(TINY).items()
    }
    assert MViTArchitecture(**values) == TINY


def test_rematerialisation_changes_nothing():
    architecture, gradients = dataclasses.replace(SMALLER, depth=1, pooling_blocks=()), []
    for remat in ("none", "blocks"):
        graphdef, abstract = parameters.abstract(
            lambda remat=remat: MViT(
                architecture, num_classes=5, remat=remat, rngs=parameters.rngs_for_shapes()
            )
        )
        values = tiny.random_parameters(abstract)

        def loss(kernel, graphdef=graphdef, values=values):
            filled = {**values, "patch_embedding.kernel": kernel}
            return jnp.sum(parameters.merge(graphdef, filled)(CLIPS) ** 2)

        gradients.append(jax.jit(jax.grad(loss))(values["patch_embedding.kernel"]))
    tolerance = 1e-5 * np.abs(gradients[0]).max()
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-4, atol=tolerance)
