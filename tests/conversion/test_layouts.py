"""Layouts against torch's own modules, and as pairs of inverses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_clip_jax.conversion import layouts

SIZES = st.integers(1, 5)


# For three sizes, a shape of ours that the layout takes.
SHAPES = {
    "SAME": lambda a, b, c: (a, b),
    "LINEAR": lambda a, b, c: (a, b),
    "PATCH_CONVOLUTION": lambda a, b, c: (a * a * 3, b),
    "PACKED_ATTENTION_KERNEL": lambda a, b, c: (a, 3, b, c),
    "PACKED_ATTENTION_BIAS": lambda a, b, c: (3, b, c),
    "ATTENTION_OUT": lambda a, b, c: (a, b, c),
    "LEADING_ONE": lambda a, b, c: (a, b),
    "LEADING_ONES": lambda a, b, c: (a,),
    "CONVOLUTION": lambda a, b, c: (a, b, 3, c, 2),
    "IMAGE_CONVOLUTION": lambda a, b, c: (1, a, b, c, 2),
    "PATCH_LINEAR": lambda a, b, c: (a * a * 3, b),
}


@pytest.mark.parametrize("name", SHAPES)
@given(sizes=st.tuples(SIZES, SIZES, SIZES))
def test_there_and_back(name, sizes):
    layout, shape = getattr(layouts, name), SHAPES[name](*sizes)
    ours = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    theirs = layout.to_torch(ours)
    assert theirs.shape == layout.torch_shape(shape)
    np.testing.assert_array_equal(layout.from_torch(theirs, shape), ours)


def test_patch_convolution_is_torch_s():
    torch = pytest.importorskip("torch")
    convolution = torch.nn.Conv2d(3, 5, 4, stride=4, bias=False)
    kernel = layouts.PATCH_CONVOLUTION.from_torch(convolution.weight.detach().numpy(), (48, 5))
    patch = np.random.default_rng(0).standard_normal((4, 4, 3)).astype(np.float32)
    expected = convolution(torch.from_numpy(patch.transpose(2, 0, 1))[None]).detach().numpy()
    np.testing.assert_allclose(patch.reshape(-1) @ kernel, expected.ravel(), rtol=1e-5, atol=1e-6)


def test_packed_attention_is_torch_s():
    torch = pytest.importorskip("torch")
    attention = torch.nn.MultiheadAttention(6, 2, batch_first=True)
    torch.nn.init.normal_(attention.in_proj_bias)
    weights = {key: value.detach().numpy() for key, value in attention.state_dict().items()}
    kernel = layouts.PACKED_ATTENTION_KERNEL.from_torch(weights["in_proj_weight"], (6, 3, 2, 3))
    bias = layouts.PACKED_ATTENTION_BIAS.from_torch(weights["in_proj_bias"], (3, 2, 3))
    out = layouts.ATTENTION_OUT.from_torch(weights["out_proj.weight"], (2, 3, 6))
    x = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
    query, key, value = np.einsum("tw,wphd->pthd", x, kernel) + bias[:, None]
    scores = np.einsum("qhd,khd->hqk", query, key) / np.sqrt(3)
    scores = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    found = np.einsum("hqk,khd,hdw->qw", scores, value, out) + weights["out_proj.bias"]
    tensor = torch.from_numpy(x)[None]
    expected = attention(tensor, tensor, tensor, need_weights=False)[0][0].detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
