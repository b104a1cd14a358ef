"""VideoPrompt: the prompts beside a plain loop, its block beside torch's, and what is trained."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from flax import nnx

from animal_clip_jax.errors import UserError
from animal_clip_jax.models import parameters
from animal_clip_jax.models.class_context import ClassContext
from animal_clip_jax.models.video_prompt import (
    VIDEO_PROMPT_ARCHITECTURES,
    TemporalTransformer,
    VideoPrompt,
    VideoPromptArchitecture,
    is_trained,
)

PREFIX, SUFFIX = 2, 3
CLIP = dataclasses.replace(tiny.ARCHITECTURE, context_length=12, vision_layers=1)
ARCHITECTURE = VideoPromptArchitecture(
    CLIP, num_frames=3, prefix=PREFIX, suffix=SUFFIX, temporal_heads=2
)
START, END = 58, 59
TOKENS = np.array([[START, 7, END, 0, 0], [START, 3, 9, 5, END], [START, 4, 4, END, 0]])
PIXELS = np.random.default_rng(0).standard_normal((2, 3, 16, 16, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    graphdef, abstract = parameters.abstract(
        lambda: VideoPrompt(ARCHITECTURE, rngs=parameters.rngs_for_shapes())
    )
    return graphdef, tiny.random_parameters(abstract)


def test_prompts_are_a_plain_loop(model):
    prompter = parameters.merge(*model)
    known, learned = model[1]["text.token_embedding"], model[1]["prompt_embedding"]
    vectors, ends = prompter.prompted(jnp.asarray(TOKENS))
    whole, _ = prompter.prompted(jnp.asarray(np.pad(TOKENS, ((0, 0), (0, 7)))))
    assert vectors.shape[1] == PREFIX + 5 + SUFFIX and whole.shape[1] == 12
    for row, tokens in enumerate(TOKENS):
        expected, end = learned.copy(), list(tokens).index(END)
        expected[0] = known[START]
        for place in range(1, end):
            expected[PREFIX + place] = known[tokens[place]]
        expected[PREFIX + end + SUFFIX] = known[END]
        assert ends[row] == PREFIX + end + SUFFIX
        np.testing.assert_array_equal(vectors[row], expected[: vectors.shape[1]])
        np.testing.assert_array_equal(whole[row], expected)


def test_nothing_frozen_gets_a_gradient_and_all_else_does(model):
    graphdef, values = model
    nothing = np.zeros((len(TOKENS), 0), np.float32)
    classes = ClassContext(TOKENS, nothing, nothing)
    frozen = {path: value for path, value in values.items() if not is_trained(path)}

    @jax.jit
    def gradients(values):
        def loss(values):
            logits = parameters.merge(graphdef, values)(PIXELS, classes)
            return jnp.sum(logits**2)

        return jax.grad(loss)(values)

    found = gradients(values)
    assert {path.partition(".")[0] for path in frozen} == {"text", "visual", "logit_scale"}
    for path, gradient in found.items():
        if path.startswith(("visual", "logit_scale", "text.token_embedding")):
            assert (np.asarray(gradient) == 0).all(), path
        elif is_trained(path):
            assert np.abs(gradient).max() > 1e-4, path
    # Learned vectors that no prompt shows: that of the start, and those after the last end.
    assert (found["prompt_embedding"][0] == 0).all()
    assert (found["prompt_embedding"][PREFIX + 4 + SUFFIX :] == 0).all()


def test_the_transformer_over_frames_is_torch_s():
    torch = pytest.importorskip("torch")
    temporal = tiny.randomised(
        lambda rngs: TemporalTransformer(ARCHITECTURE, dtype=jnp.float32, rngs=rngs)
    )
    _, values = parameters.split(temporal)
    width, block = CLIP.embed_dim, "blocks.0."
    layer = torch.nn.TransformerEncoderLayer(
        width,
        2,
        4 * width,
        dropout=0.0,
        activation=lambda x: x * torch.sigmoid(1.702 * x),
        batch_first=True,
        norm_first=True,
    )
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in values.items()}
    packed = tensors[f"{block}attention.query_key_value.kernel"]
    layer.load_state_dict(
        {
            "self_attn.in_proj_weight": packed.reshape(width, -1).T,
            "self_attn.in_proj_bias": tensors[f"{block}attention.query_key_value.bias"].ravel(),
            "self_attn.out_proj.weight": tensors[f"{block}attention.out.kernel"]
            .reshape(-1, width)
            .T,
            "self_attn.out_proj.bias": tensors[f"{block}attention.out.bias"],
            "linear1.weight": tensors[f"{block}mlp.expand.kernel"].T,
            "linear1.bias": tensors[f"{block}mlp.expand.bias"],
            "linear2.weight": tensors[f"{block}mlp.contract.kernel"].T,
            "linear2.bias": tensors[f"{block}mlp.contract.bias"],
            "norm1.weight": tensors[f"{block}attention_norm.scale"],
            "norm1.bias": tensors[f"{block}attention_norm.bias"],
            "norm2.weight": tensors[f"{block}mlp_norm.scale"],
            "norm2.bias": tensors[f"{block}mlp_norm.bias"],
        }
    )
    frames = np.random.default_rng(1).standard_normal((2, 3, width)).astype(np.float32)
    expected = layer(torch.from_numpy(frames) + tensors["position_embedding"]).mean(1)
    found = temporal(jnp.asarray(frames))
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_initial_values():
    """As published: embeddings of 0.01, the block as torch begins its own."""
    architecture = dataclasses.replace(ARCHITECTURE, num_frames=40)
    rngs = nnx.Rngs(jax.random.key(0, impl="rbg"))
    _, values = parameters.split(TemporalTransformer(architecture, dtype=jnp.float32, rngs=rngs))
    width = CLIP.embed_dim
    assert np.std(values.pop("position_embedding")) == pytest.approx(0.01, rel=0.1)
    bounds = {
        "attention.query_key_value.kernel": 6 / (4 * width),
        "attention.out.kernel": 1 / width,
        "mlp.expand.kernel": 1 / width,
        "mlp.expand.bias": 1 / width,
        "mlp.contract.kernel": 1 / (4 * width),
        "mlp.contract.bias": 1 / (4 * width),
    }
    for path, value in values.items():
        name = path.removeprefix("blocks.0.")
        if name in bounds:
            bound = math.sqrt(bounds[name])
            assert 0.9 * bound < np.abs(value).max() <= bound, path
            assert np.std(value) == pytest.approx(bound / math.sqrt(3), rel=0.15), path
        else:
            assert (value == (1 if path.endswith("scale") else 0)).all(), path


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"prefix": 5, "suffix": 5}, "prefix 5 and suffix 5 leave no token of 12 for a name"),
        ({"temporal_heads": 3}, "temporal_heads is 3; expected a divisor of embed_dim 64"),
        ({"num_frames": 0}, "num_frames is 0"),
    ],
)
def test_dimensions_that_do_not_fit(changes, message):
    with pytest.raises(UserError, match=message):
        dataclasses.replace(ARCHITECTURE, **changes)


def test_clips_of_another_number_of_frames(model):
    graphdef, values = model
    clips = jax.ShapeDtypeStruct((1, 8, 16, 16, 3), jnp.float32)
    message = r"clips are \(8, 16, 16, 3\) .*; this VideoPrompt takes \(3, 16, 16, 3\)"
    with pytest.raises(UserError, match=message):
        jax.eval_shape(lambda v, c: parameters.merge(graphdef, v).encode_video(c), values, clips)


def test_published_dimensions():
    published = VIDEO_PROMPT_ARCHITECTURES["ViT-B/16"]
    assert (published.num_frames, published.temporal_heads, published.longest_name) == (16, 8, 43)
