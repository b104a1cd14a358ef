"""Checkpoints of every form to our parameters and back."""

import json

import numpy as np
import published
import pytest
from safetensors.numpy import save_file

from animal_clip_jax.conversion import families
from animal_clip_jax.conversion.conversion import convert, save_torch
from animal_clip_jax.conversion.weights import load_weights, save_weights
from animal_clip_jax.errors import UserError
from animal_clip_jax.models.architectures import ARCHITECTURES, ClipArchitecture
from animal_clip_jax.models.description import ModelDescription
from animal_clip_jax.models.normalisation import CLIP, IMAGENET

torch = pytest.importorskip("torch")

TOWERS = ClipArchitecture(
    embed_dim=published.EMBED,
    image_size=published.GRID * published.PATCH,
    patch_size=published.PATCH,
    vision_width=published.VISION,
    vision_layers=published.LAYERS,
    vision_heads=2,
    text_width=published.TEXT,
    text_layers=published.LAYERS,
    text_heads=1,
    context_length=published.CONTEXT,
    vocab_size=published.VOCABULARY,
)
VIDEO = {
    "num_frames": published.FRAMES,
    "integration_layers": 1,
    "integration_heads": 1,
    "prompt_heads": 1,
}
DESCRIPTIONS = {
    "clip": ModelDescription("clip", TOWERS),
    "xclip": ModelDescription("xclip", TOWERS, prompt_layers=2, **VIDEO),
    "animal_clip": ModelDescription(
        "animal_clip", TOWERS, prompt_layers=3, graph_width=published.GRAPH, **VIDEO
    ),
}


def _tensors(family: str) -> dict:
    return {key: torch.from_numpy(value) for key, value in published.state_dict(family).items()}


def _save(path, tensors) -> str:
    torch.save(tensors, path)
    return path


def _assert_equal(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for path, value in expected.items():
        assert found[path].dtype == value.dtype and found[path].shape == value.shape
        assert found[path].tobytes() == value.tobytes(), path


# --- there and back ---------------------------------------------------------------------------


@pytest.mark.parametrize("family", DESCRIPTIONS)
def test_torch_to_ours_to_torch_is_bit_identical(tmp_path, family):
    tensors = _tensors(family)
    tensors["logit_scale"] = torch.tensor(float("nan"))  # even this is nothing but bits
    source = _save(tmp_path / "a.pth", {"model": tensors})
    conversion = convert(source, allow_nonfinite=True)
    assert conversion.metadata.model == DESCRIPTIONS[family]
    assert conversion.metadata.normalisation == (CLIP if family == "clip" else IMAGENET)
    assert not conversion.metadata.initialised and not conversion.dropped
    save_weights(tmp_path / "ours", conversion.parameters, conversion.metadata)

    ours = convert(tmp_path / "ours", allow_nonfinite=True)
    assert ours.metadata == conversion.metadata
    save_torch(tmp_path / "back.pth", ours.parameters)
    back = torch.load(tmp_path / "back.pth", weights_only=True)
    assert back.keys() == {"model"}
    assert back["model"].keys() == published.shapes(family).keys()
    for key, expected in tensors.items():
        found = back["model"][key]
        assert found.dtype == torch.float32 and found.shape == expected.shape
        assert found.numpy().tobytes() == expected.numpy().tobytes(), key


# --- every form of a state dict -----------------------------------------------------------------


def _wrap_bare(tensors):
    return tensors


def _wrap_training_run(tensors):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(3))])
    return {
        "model": {f"module.{key}": value for key, value in tensors.items()},
        "optimizer": optimizer.state_dict(),
        "epoch": 29,
        "max_accuracy": np.float64(0.5),
    }


def _wrap_state_dict(tensors):
    return {"state_dict": tensors, "name": "ViT-B-16"}


def _wrap_buffers(tensors):
    buffers = {
        "input_resolution": torch.tensor(224),
        "context_length": torch.tensor(77),
        "vocab_size": torch.tensor(49408),
        "transformer.resblocks.0.attn_mask": torch.zeros(3, 3),
    }
    return tensors | buffers


@pytest.mark.parametrize(
    "wrap, is_zip",
    [
        (_wrap_bare, True),
        (_wrap_training_run, True),
        (_wrap_state_dict, True),
        (_wrap_buffers, True),
        (_wrap_bare, False),
        (_wrap_state_dict, False),
        (_wrap_buffers, False),
    ],
)
def test_wrappings(tmp_path, wrap, is_zip):
    expected = convert(_save(tmp_path / "plain.pth", _tensors("xclip"))).parameters
    path = tmp_path / "wrapped.pth"
    # Files from before torch 1.6 are no zip archives.
    torch.save(wrap(_tensors("xclip")), path, _use_new_zipfile_serialization=is_zip)
    _assert_equal(convert(path).parameters, expected)


def test_safetensors(tmp_path):
    from safetensors.numpy import save_file

    expected = convert(_save(tmp_path / "a.pth", _tensors("animal_clip"))).parameters
    save_file(published.state_dict("animal_clip"), tmp_path / "a.safetensors")
    _assert_equal(convert(tmp_path / "a.safetensors").parameters, expected)


class _Nested(torch.nn.Module):
    """A module whose state dict has the given keys."""

    def __init__(self, tensors: dict):
        super().__init__()
        children: dict[str, dict] = {}
        for key, value in tensors.items():
            name, _, rest = key.partition(".")
            if rest:
                children.setdefault(name, {})[rest] = value
            elif value.is_floating_point():
                self.register_parameter(name, torch.nn.Parameter(value))
            else:
                self.register_buffer(name, value)
        for name, inside in children.items():
            self.add_module(name, _Nested(inside))

    def forward(self, x):
        return x


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("compile", ["script", "trace"])
def test_torchscript_archive_converts_the_same(tmp_path, dtype, compile):
    tensors = {key: value.to(dtype) for key, value in _tensors("clip").items()}
    expected = convert(_save(tmp_path / "a.pth", tensors))
    module = _Nested(_wrap_buffers(tensors))
    if compile == "script":
        scripted = torch.jit.script(module)
    else:
        scripted = torch.jit.trace(module, torch.ones(2))
    scripted.save(tmp_path / "ViT.pt")
    found = convert(tmp_path / "ViT.pt")
    assert found.metadata.model == DESCRIPTIONS["clip"]
    _assert_equal(found.parameters, expected.parameters)
    assert all(value.dtype == np.float32 for value in found.parameters.values())


# --- from one family to another -----------------------------------------------------------------


def test_clip_to_animal_clip_initialises_and_names_what_clip_lacks(tmp_path):
    path = _save(tmp_path / "a.pth", _tensors("clip"))
    conversion = convert(
        path, family="animal_clip", dimensions={"num_frames": 3, "graph_width": 32}, seed=1
    )
    assert conversion.metadata.model == DESCRIPTIONS["animal_clip"]
    assert conversion.metadata.normalisation == IMAGENET
    assert conversion.source_family == "clip" and not conversion.dropped
    clip = convert(path).parameters
    initialised = conversion.metadata.initialised
    assert set(initialised) == conversion.parameters.keys() - clip.keys()
    lacking = published.shapes("animal_clip").keys() - published.shapes("clip").keys()
    assert len(initialised) == len(lacking)
    _assert_equal({name: conversion.parameters[name] for name in clip}, clip)

    values = conversion.parameters
    for prompts in ("action_prompts", "video_prompts"):
        assert (values[f"{prompts}.alpha"] == np.float32(0.1)).all()
    for name in initialised:
        if "norm" in name:
            assert (values[name] == (1 if name.endswith("scale") else 0)).all(), name
        elif name.endswith("bias") and "message_projection" not in name and "out" not in name:
            assert (values[name] == 0).all(), name
    truncated = values["video_prompts.layers.0.mlp.expand.kernel"]
    assert 0.017 < truncated.std() < 0.021
    assert abs(values["graph.layers.0.kernel"].std() - 1) < 0.1
    assert abs(values["patch_projection"].std() - 1) < 0.1
    bound = 1 / np.sqrt(published.VISION)
    message = values["visual.blocks.1.message_projection.kernel"]
    assert 0.99 * bound < np.abs(message).max() <= bound


def test_the_seed_decides_the_initial_values(tmp_path):
    path = _save(tmp_path / "a.pth", _tensors("clip"))
    first, again, other = (
        convert(path, family="xclip", seed=seed).parameters for seed in (3, 3, 4)
    )
    _assert_equal(again, first)
    assert (other["patch_projection"] != first["patch_projection"]).all()


def test_xclip_to_animal_clip_keeps_the_video_side(tmp_path):
    path = _save(tmp_path / "a.pth", _tensors("xclip"))
    conversion = convert(path, family="animal_clip")
    assert conversion.metadata.model.num_frames == published.FRAMES
    assert conversion.metadata.model.prompt_layers == 3
    assert all(name.startswith("prompts.") for name in conversion.dropped)
    assert len(conversion.dropped) == sum(
        key.startswith("prompts_generator") for key in published.shapes("xclip")
    )
    beginnings = {name.partition(".")[0] for name in conversion.metadata.initialised}
    assert beginnings == {"action_prompts", "video_prompts", "graph"}


def test_what_was_initialised_stays_known(tmp_path):
    path = _save(tmp_path / "a.pth", _tensors("clip"))
    first = convert(path, family="xclip")
    save_weights(tmp_path / "xclip", first.parameters, first.metadata)
    second = convert(tmp_path / "xclip", family="animal_clip")
    assert "integration.position_embedding" in second.metadata.initialised
    assert second.metadata.source_files == first.metadata.source_files


@pytest.mark.parametrize(
    "family, to, dimensions, message",
    [
        ("xclip", "xclip", {"num_frames": 8}, "--num_frames=8: the source's num_frames is 3"),
        ("xclip", "animal_clip", {"num_frames": 8}, "the source's num_frames is 3"),
        ("animal_clip", "animal_clip", {"graph_width": 9}, "the source's graph_width is 32"),
        ("clip", "clip", {"num_frames": 8}, "a clip model has no num_frames"),
        ("clip", "xclip", {"graph_width": 8}, "a xclip model has no graph_width"),
        ("clip", "xclip", {"prompt_layers": 0}, "prompt_layers is 0; expected a positive"),
        ("clip", "bioclip", {}, "--to=bioclip: expected one of clip, xclip, animal_clip"),
    ],
)
def test_dimensions_that_contradict_the_source(tmp_path, family, to, dimensions, message):
    path = _save(tmp_path / "a.pth", _tensors(family))
    with pytest.raises(ValueError, match=message):
        convert(path, family=to, dimensions=dimensions)


@pytest.mark.slow
def test_full_size(tmp_path):
    """OpenAI's ViT-B/16, as large as it is, to the published Animal-CLIP of 207.8 M values."""
    clip = families.shapes(ModelDescription("clip", ARCHITECTURES["ViT-B/16"]))
    rng = np.random.default_rng(0)
    weights = {path: rng.standard_normal(value.shape, np.float32) for path, value in clip.items()}
    save_torch(tmp_path / "ViT-B-16.pth", weights)
    conversion = convert(tmp_path / "ViT-B-16.pth", family="animal_clip")
    assert conversion.metadata.model.architecture == ARCHITECTURES["ViT-B/16"]
    assert round(sum(value.size for value in conversion.parameters.values()) / 1e6, 1) == 207.8
    _assert_equal({path: conversion.parameters[path] for path in weights}, weights)
    save_weights(tmp_path / "weights", conversion.parameters, conversion.metadata)
    _assert_equal(load_weights(tmp_path / "weights")[0], conversion.parameters)


# --- checkpoints that are not as expected ---------------------------------------------------------


def test_a_missing_key(tmp_path):
    tensors = _tensors("animal_clip")
    del tensors["visual.transformer.resblocks.1.message_ln.bias"]
    path = _save(tmp_path / "a.pth", tensors)
    key = r"visual\.transformer\.resblocks\.1\.message_ln\.bias"
    with pytest.raises(ValueError, match=rf"a\.pth: missing {key}; .*--allow_missing"):
        convert(path)
    with pytest.raises(ValueError, match=rf"missing {key}"):
        convert(path, allow_missing=["*.message_fc.*"])
    conversion = convert(path, allow_missing=["*.message_ln.*"])
    assert conversion.metadata.initialised == ("visual.blocks.1.message_norm.bias",)
    assert (conversion.parameters["visual.blocks.1.message_norm.bias"] == 0).all()


def test_many_missing_keys_are_one_line(tmp_path):
    tensors = {k: v for k, v in _tensors("xclip").items() if "message_" not in k}
    with pytest.raises(ValueError, match="and 11 more") as error:
        convert(_save(tmp_path / "a.pth", tensors))
    assert "\n" not in str(error.value)


def test_a_missing_part_takes_the_dimensions_asked_for(tmp_path):
    tensors = {k: v for k, v in _tensors("xclip").items() if not k.startswith("mit.")}
    path = _save(tmp_path / "a.pth", tensors)
    conversion = convert(path, dimensions={"num_frames": 5}, allow_missing=["mit.*"])
    assert conversion.parameters["integration.position_embedding"].shape == (5, published.EMBED)


@pytest.mark.parametrize(
    "key, shape, expected",
    [
        ("visual.ln_post.weight", (64,), r"\(128,\)"),
        ("transformer.resblocks.1.mlp.c_fc.weight", (64, 256), r"\(256, 64\)"),
        ("prompts_generator2.alpha", (64, 1), r"\(64,\)"),
        ("logit_scale", (1,), r"\(\)"),
        ("graph.layers.1.weight", (64, 32), r"\(32, 64\)"),
    ],
)
def test_a_key_of_another_shape(tmp_path, key, shape, expected):
    tensors = _tensors("animal_clip") | {key: torch.ones(shape)}
    found = str(shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=rf"a\.pth: {key} has shape {found}; expected {expected}"):
        convert(_save(tmp_path / "a.pth", tensors))


def test_a_key_of_integers(tmp_path):
    tensors = _tensors("clip") | {"visual.ln_post.weight": torch.ones(128, dtype=torch.int64)}
    with pytest.raises(ValueError, match=r"visual\.ln_post\.weight holds int64; expected floating"):
        convert(_save(tmp_path / "a.pth", tensors))


def _as_archive(path, tensors):
    torch.save({"model": tensors}, path)


def _as_old_file(path, tensors):
    torch.save(tensors, path, _use_new_zipfile_serialization=False)


def _as_safetensors(path, tensors):
    save_file({key: value.numpy() for key, value in tensors.items()}, path)


def _as_double(path, tensors):
    """Finite in the file, and not as float32."""
    tensors = {key: value.double() for key, value in tensors.items()}
    tensors["visual.proj"][torch.isnan(tensors["visual.proj"])] = 1e300
    tensors["ln_final.bias"][torch.isinf(tensors["ln_final.bias"])] = -1e300
    torch.save(tensors, path)


@pytest.mark.parametrize(
    "save, suffix",
    [
        (_as_archive, ".pth"),
        (_as_old_file, ".pt"),
        (_as_safetensors, ".safetensors"),
        (_as_double, ".bin"),
    ],
)
def test_weights_that_are_not_finite(tmp_path, save, suffix):
    tensors = _tensors("clip")
    tensors["visual.proj"][3, :5] = float("nan")
    tensors["ln_final.bias"][7] = float("-inf")
    path = tmp_path / f"a{suffix}"
    save(path, tensors)
    message = (
        rf"a\{suffix}: values that are NaN or infinite in 2 of 62 arrays: .*"
        r"(ln_final\.bias \(1 of 64\)|visual\.proj \(5 of 8,192\)), .*--allow_nonfinite"
    )
    with pytest.raises(UserError, match=message):
        convert(path)


def test_weights_that_are_not_finite_in_our_folder(tmp_path):
    tensors = _tensors("clip")
    tensors["visual.proj"][0, 0] = float("inf")
    _save(tmp_path / "a.pth", tensors)
    conversion = convert(tmp_path / "a.pth", allow_nonfinite=True)
    found = conversion.parameters["visual.projection"]
    assert np.isinf(found).sum() == 1
    save_weights(tmp_path / "ours", conversion.parameters, conversion.metadata)
    with pytest.raises(UserError, match=r"ours: .* visual\.projection \(1 of 8,192\)"):
        convert(tmp_path / "ours", family="animal_clip")


def test_an_unknown_key(tmp_path):
    path = _save(tmp_path / "a.pth", _tensors("clip") | {"head.weight": torch.ones(2)})
    with pytest.raises(ValueError, match=r"a\.pth: unknown keys head\.weight; --allow_unused"):
        convert(path)
    expected = convert(_save(tmp_path / "b.pth", _tensors("clip"))).parameters
    _assert_equal(convert(path, allow_unused=["head.*"]).parameters, expected)


def _resnet_image_tower(tensors):
    return tensors | {"visual.layer1.0.conv1.weight": torch.ones(2)}


def _another_model(tensors):
    return {"fc.weight": torch.ones(3, 3), "fc.bias": torch.ones(3)}


def _hugging_face_names(tensors):
    return {"vision_model.embeddings.class_embedding": torch.ones(3)}


def _layer_left_out(tensors):
    return {k: v for k, v in tensors.items() if ".resblocks.0." not in k}


def _not_a_square_of_patches(tensors):
    return tensors | {"visual.positional_embedding": torch.ones(7, published.VISION)}


@pytest.mark.parametrize(
    "change, message",
    [
        (_resnet_image_tower, "a CLIP with a ResNet image tower"),
        (_another_model, r"has no visual\.conv1\.weight \(its keys begin with fc\.weight"),
        (_hugging_face_names, r"Hugging Face's names, which need the config\.json"),
        (_layer_left_out, r"missing visual\.transformer\.resblocks\.0\.\*"),
        (_not_a_square_of_patches, "visual.positional_embedding has 7 rows"),
        (lambda tensors: {}, "holds no tensors"),
        (lambda tensors: [1, 2], "holds a list; expected a state dict"),
        (lambda tensors: torch.nn.Linear(2, 2), "holds an object with its code"),
    ],
)
def test_a_checkpoint_of_something_else(tmp_path, change, message):
    path = _save(tmp_path / "a.pth", change(_tensors("clip")))
    with pytest.raises(ValueError, match=rf"a\.pth: .*{message}") as error:
        convert(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors", "a.txt", "a.bin"])
@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x02]q\x00."])
def test_a_file_that_is_no_checkpoint(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}: .*(not a|holds a list)") as error:
        convert(tmp_path / name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", ["pth", "safetensors", "legacy.pth"])
def test_a_truncated_file(tmp_path, suffix):
    from safetensors.numpy import save_file

    path = tmp_path / f"a.{suffix}"
    if suffix == "safetensors":
        save_file(published.state_dict("clip"), path)
    else:
        torch.save(_tensors("clip"), path, _use_new_zipfile_serialization=suffix == "pth")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=rf"{path.name}: the file is truncated") as error:
        convert(path)
    assert "\n" not in str(error.value)


def test_an_attack_in_an_old_file_is_not_executed(tmp_path):
    proof = tmp_path / "executed"

    class Attack:
        def __reduce__(self):
            return open, (str(proof), "w")

    path = tmp_path / "a.pth"
    torch.save({"model": Attack()}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match=r"a\.pth: .*not a torch checkpoint"):
        convert(path)
    assert not proof.exists()


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing: no such file or folder"):
        convert(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}: not a checkpoint folder"):
        convert(tmp_path)


def test_save_torch_writes_over_nothing_unless_told(tmp_path):
    (tmp_path / "a.pth").write_text("precious")
    with pytest.raises(FileExistsError, match=r"a\.pth: already exists"):
        save_torch(tmp_path / "a.pth", {"logit_scale": np.float32(1)})
    assert (tmp_path / "a.pth").read_text() == "precious"
    save_torch(tmp_path / "a.pth", {"logit_scale": np.float32(1)}, overwrite=True)
    assert torch.load(tmp_path / "a.pth", weights_only=True)["model"]["logit_scale"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


# --- OpenCLIP folders -----------------------------------------------------------------------------

OPEN_CLIP = {
    "model_cfg": {
        "embed_dim": published.EMBED,
        "vision_cfg": {
            "image_size": published.GRID * published.PATCH,
            "layers": published.LAYERS,
            "width": published.VISION,
            "patch_size": published.PATCH,
            "head_width": 32,
        },
        "text_cfg": {
            "context_length": published.CONTEXT,
            "vocab_size": published.VOCABULARY,
            "width": published.TEXT,
            "heads": 4,
            "layers": published.LAYERS,
        },
    },
    "preprocess_cfg": {"mean": [0.5, 0.25, 0.0], "std": [0.5, 1.0, 0.25], "size": [8, 8]},
}


def _open_clip_folder(folder, config=OPEN_CLIP, tensors=None):
    from safetensors.numpy import save_file

    folder.mkdir(exist_ok=True)
    save_file(tensors or published.state_dict("clip"), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("pointing_at", ["folder", "file"])
def test_open_clip(tmp_path, pointing_at):
    folder = _open_clip_folder(tmp_path / "bioclip")
    source = folder if pointing_at == "folder" else folder / "open_clip_model.safetensors"
    conversion = convert(source)
    architecture = conversion.metadata.model.architecture
    assert architecture.activation == "gelu"
    assert (architecture.vision_heads, architecture.text_heads) == (4, 4)
    assert conversion.metadata.normalisation == (
        (127.5, 63.75, 0.0),
        (127.5, 255.0, 63.75),
    )
    kernel = conversion.parameters["visual.blocks.1.mlp.expand.kernel"]
    theirs = published.state_dict("clip")["visual.transformer.resblocks.1.mlp.c_fc.weight"]
    np.testing.assert_array_equal(kernel, theirs.T)


def test_open_clip_torch_file_and_quick_gelu(tmp_path):
    config = json.loads(json.dumps(OPEN_CLIP))
    config["model_cfg"]["quick_gelu"] = True
    del config["preprocess_cfg"]
    folder = _open_clip_folder(tmp_path / "a", config)
    (folder / "open_clip_model.safetensors").unlink()
    torch.save(_tensors("clip"), folder / "open_clip_pytorch_model.bin")
    conversion = convert(folder)
    assert conversion.metadata.model.architecture.activation == "quick_gelu"
    assert conversion.metadata.normalisation == CLIP
    assert conversion.metadata.source_files.keys() == {"open_clip_pytorch_model.bin"}


def test_open_clip_config_of_another_resolution(tmp_path):
    config = json.loads(json.dumps(OPEN_CLIP))
    config["model_cfg"]["vision_cfg"]["image_size"] = 16
    with pytest.raises(
        ValueError,
        match=r"visual\.positional_embedding has shape \(5, 128\); expected \(17, 128\)",
    ):
        convert(_open_clip_folder(tmp_path / "a", config))


def test_a_config_of_absurd_depth_is_refused_before_it_is_built(tmp_path):
    config = json.loads(json.dumps(OPEN_CLIP))
    config["model_cfg"]["vision_cfg"]["layers"] = 10**9
    with pytest.raises(ValueError, match="too few for 1000000000 vision"):
        convert(_open_clip_folder(tmp_path / "a", config))


def test_our_checkpoint_and_activation(tmp_path):
    path = _save(tmp_path / "a.pth", _tensors("clip"))
    gelu = convert(path, activation="gelu")
    assert gelu.metadata.model.architecture.activation == "gelu"
    save_weights(tmp_path / "ours", gelu.parameters, gelu.metadata)
    assert load_weights(tmp_path / "ours")[1].model.architecture.activation == "gelu"
    with pytest.raises(ValueError, match="--activation=quick_gelu: .* says gelu"):
        convert(tmp_path / "ours", activation="quick_gelu")
