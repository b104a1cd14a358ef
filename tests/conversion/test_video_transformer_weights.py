"""State dicts of MViT, VideoPrompt and EVL to our parameters and back."""

import dataclasses
import functools

import baseline_figures
import numpy as np
import pytest
import tiny

from animal_clip_jax.conversion.video_weights import (
    read_video_weights,
    take,
    to_published,
)
from animal_clip_jax.errors import UserError
from animal_clip_jax.models import evl, parameters, video_prompt
from animal_clip_jax.models.clip import Clip
from animal_clip_jax.models.evl import EVL, EVL_ARCHITECTURES, evl_architecture
from animal_clip_jax.models.mvit import MVIT_ARCHITECTURES, MViT
from animal_clip_jax.models.video_prompt import VIDEO_PROMPT_ARCHITECTURES, VideoPrompt

MVIT = MVIT_ARCHITECTURES["tiny"]
MVIT_IMAGE = dataclasses.replace(
    MVIT_ARCHITECTURES["MViT-B image"], image_size=16, width=16, depth=2, pooling_blocks=(1,)
)
CLIP = dataclasses.replace(
    VIDEO_PROMPT_ARCHITECTURES["tiny"].clip, image_size=16, vocab_size=60, context_length=40
)
PROMPT = dataclasses.replace(VIDEO_PROMPT_ARCHITECTURES["tiny"], clip=CLIP)
ARCHITECTURES = {
    "mvit": MVIT,
    "mvit_image": MVIT_IMAGE,
    "video_prompt": PROMPT,
    "evl": evl_architecture(CLIP, num_frames=2, decoder_layers=1),
}
CLASSES = 5


@functools.cache
def _shapes(family: str, architecture=None, num_classes: int = CLASSES):
    architecture, rngs = architecture or ARCHITECTURES[family], parameters.rngs_for_shapes()
    if family == "video_prompt":
        return parameters.abstract(lambda: VideoPrompt(architecture, rngs=rngs))[1]
    model = EVL if family == "evl" else MViT
    return parameters.abstract(lambda: model(architecture, num_classes=num_classes, rngs=rngs))[1]


@functools.cache
def _values(family: str):
    return tiny.random_parameters(_shapes(family))


def _tensors(family: str) -> dict[str, np.ndarray]:
    return to_published(_values(family), family)


def _assert_equal(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for path, value in expected.items():
        assert found[path].dtype == value.dtype and found[path].shape == value.shape, path
        assert found[path].tobytes() == value.tobytes(), path


# --- there and back -------------------------------------------------------------------------------


def _release(tensors):
    return {"model": tensors, "epoch": 3}


def _pyslowfast(tensors):
    return {"epoch": 3, "model_state": tensors, "optimizer_state": {}, "cfg": "MVIT: {}"}


def _efficient_prompt(tensors):
    return {"state_dict": tensors, "iteration": 1100}


def _upstream_evl(tensors):
    return {"model": {f"module.{key}": value for key, value in tensors.items()}}


@pytest.mark.parametrize(
    "family, name, wrap",
    [
        ("mvit", "MVITv1_B.pyth", _pyslowfast),
        ("mvit_image", "release.pyth", _release),
        ("video_prompt", "release.pth", _release),
        ("video_prompt", "efficient.pth.tar.pt", _efficient_prompt),
        ("evl", "evl.pth", _upstream_evl),
    ],
)
def test_a_file_to_ours_and_back_is_bit_identical(tmp_path, family, name, wrap):
    torch = pytest.importorskip("torch")
    tensors = {key: torch.from_numpy(value) for key, value in _tensors(family).items()}
    torch.save(wrap(tensors), tmp_path / name)
    taken, files = read_video_weights(tmp_path / name, _shapes(family), family)
    assert not taken.lines() and list(files) == [name]
    _assert_equal(taken.parameters, _values(family))
    _assert_equal(to_published(taken.parameters, family), _tensors(family))


@pytest.mark.parametrize(
    "family, name, architecture",
    [
        ("mvit", "mvit", MVIT_ARCHITECTURES["MViT-B 16x4"]),
        ("mvit_image", "mvit_image", MVIT_ARCHITECTURES["MViT-B image"]),
        ("video_prompt", "videoprompt", VIDEO_PROMPT_ARCHITECTURES["ViT-B/16"]),
        ("evl", "evl", EVL_ARCHITECTURES["ViT-B/16"]),
    ],
)
def test_published_names_and_shapes(family, name, architecture):
    """Of the full size, loaded whole."""
    published = baseline_figures.keys_and_shapes(name)
    expected = _shapes(family, architecture, 140)
    # A value repeated: as large as they are, and no memory.
    tensors = {key: np.broadcast_to(np.float32(1), shape) for key, shape in published.items()}
    taken = take(tensors, expected, family, source=name)
    assert not taken.lines()
    assert {path: value.shape for path, value in taken.parameters.items()} == {
        path: value.shape for path, value in expected.items()
    }


# --- what a published file lacks, or has beside ---------------------------------------------------


@pytest.mark.parametrize(
    "family, frozen, is_trained",
    [
        ("evl", "backbone.", evl.is_trained),
        ("video_prompt", "clipmodel.", video_prompt.is_trained),
    ],
)
def test_a_file_without_the_frozen_clip(family, frozen, is_trained):
    tensors = {k: v for k, v in _tensors(family).items() if not k.startswith(frozen)}
    taken = take(tensors, _shapes(family), family, source="a.pth")
    _assert_equal(taken.parameters, {k: v for k, v in _values(family).items() if is_trained(k)})
    assert set(taken.lacking) == {path for path in _values(family) if not is_trained(path)}
    (line,) = taken.lines()
    assert f"{len(taken.lacking)} arrays of the frozen CLIP are not in the file" in line


def test_a_part_of_the_frozen_clip_is_not_enough():
    tensors = _tensors("evl")
    del tensors["backbone.blocks.1.attn.k_proj.bias"]
    with pytest.raises(UserError, match=r"a\.pth: missing backbone\.blocks\.1\.attn\.k_proj\.bias"):
        take(tensors, _shapes("evl"), "evl", source="a.pth")


def test_clip_s_own_parameters_fit():
    """But for the bias of EVL's patch embedding, which is 0 there."""
    rngs = parameters.rngs_for_shapes()
    clip = parameters.abstract(lambda: Clip(CLIP, rngs=rngs))[1]
    prompt, decoded = _shapes("video_prompt"), _shapes("evl")
    assert {path: prompt[path] for path in clip} == clip
    frozen = {path for path in decoded if not evl.is_trained(path)}
    assert frozen - clip.keys() == {"visual.patch_embedding.bias"}
    assert all(decoded[path].shape == clip[path].shape for path in frozen & clip.keys())


def test_the_last_poolings_of_pyslowfast_s_mvit():
    """They have their place in its own form, and are listed where the release's form has none."""
    whole = dataclasses.replace(MVIT, pools_unstrided=True)
    values = tiny.random_parameters(_shapes("mvit", whole))
    tensors = to_published(values, "mvit")
    taken = take(tensors, _shapes("mvit", whole), "mvit", source="a.pyth")
    assert not taken.left_out
    taken = take(tensors, _shapes("mvit"), "mvit", source="a.pyth")
    extra = {f"blocks.3.attn.pool_{name}.weight" for name in "kv"}
    extra |= {f"blocks.3.attn.norm_{name}.{leaf}" for name in "kv" for leaf in ("weight", "bias")}
    assert set(taken.left_out) == extra and len(taken.lines()) == 6
    assert all("left out" in line for line in taken.lines())
    assert taken.parameters.keys() == _shapes("mvit").keys()


@pytest.mark.parametrize(
    "family, name",
    [("mvit", "head.projection"), ("mvit_image", "head.projection"), ("evl", "proj.2")],
)
def test_a_classifier_of_other_classes_is_replaced_and_listed(family, name):
    taken = take(_tensors(family), _shapes(family, None, 7), family, source="a.pyth")
    assert set(taken.replaced) == {"head.kernel", "head.bias"}
    assert not {"head.kernel", "head.bias"} & taken.parameters.keys()
    lines = "\n".join(taken.lines())
    for leaf in ("weight", "bias"):
        assert f"{name}.{leaf}: 5 classes in the file, 7 here" in lines


# --- files that are not as expected ---------------------------------------------------------------


@pytest.mark.parametrize(
    "family, changes, message",
    [
        (
            "mvit",
            {"depth": 3, "pooling_blocks": (1,)},
            "weights of another depth: layers of blocks: found 4, expected 3",
        ),
        (
            "mvit",
            {"width": 32},
            r"blocks\.0\.attn\.pool_k\.weight has shape \(16, 1, .*\); expected \(32, 1, .*\)",
        ),
        (
            "mvit",
            {"num_frames": 8},
            r"pos_embed_temporal has shape \(1, 2, 16\); expected \(1, 4, 16\)",
        ),
        (
            "mvit",
            {"image_size": 64},
            r"pos_embed_spatial has shape \(1, 64, 16\); expected \(1, 256, 16\)",
        ),
        (
            "mvit",
            {"pooling_blocks": (1, 2)},
            r"blocks\.1\.mlp\.fc2\.bias has shape \(32,\); expected \(64,\)",
        ),
        (
            "evl",
            {"layers": 1, "decoder_layers": 1},
            "weights of another depth: layers of backbone.blocks: found 2, expected 1",
        ),
        (
            "evl",
            {"decoder_layers": 2},
            "weights of another depth: layers of decoder.decoder_layers: found 1, expected 2",
        ),
        (
            "evl",
            {"num_frames": 8},
            r"decoder\.temporal_pos_embed\.0 has shape \(2, 32\); expected \(8, 32\)",
        ),
        (
            "video_prompt",
            {"num_frames": 8},
            r"temporalEmbedding\.weight has shape \(4, 32\); expected \(8, 32\)",
        ),
        (
            "video_prompt",
            {"temporal_layers": 2},
            "weights of another depth: layers of temporalModelling.resblocks: found 1, expected 2",
        ),
    ],
)
def test_weights_of_other_dimensions(family, changes, message):
    architecture = dataclasses.replace(ARCHITECTURES[family], **changes)
    with pytest.raises(UserError, match=rf"^a\.pth: {message}"):
        take(_tensors(family), _shapes(family, architecture), family, source="a.pth")


def test_keys_that_no_such_model_has():
    tensors = {**_tensors("mvit"), "blocks.0.attn.rel_pos_h": np.ones((3, 3), np.float32)}
    with pytest.raises(UserError, match=r"unknown keys blocks\.0\.attn\.rel_pos_h"):
        take(tensors, _shapes("mvit"), "mvit", source="a.pth")
