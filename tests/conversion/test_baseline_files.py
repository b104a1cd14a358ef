"""Files of others that hold a baseline: to our weights, to the start of a training, and back."""

import functools
import re

import numpy as np
import pytest
import tiny

from animal_clip_jax.conversion import families
from animal_clip_jax.conversion.conversion import convert
from animal_clip_jax.conversion.report import summary, write
from animal_clip_jax.conversion.video_weights import published_layout, to_published
from animal_clip_jax.conversion.weights import WeightsMetadata, load_weights, save_weights
from animal_clip_jax.errors import UserError
from animal_clip_jax.models import evl, video_prompt
from animal_clip_jax.models.architectures import TINY
from animal_clip_jax.models.description import ModelDescription
from animal_clip_jax.models.normalisation import CLIP, IMAGENET, KINETICS
from animal_clip_jax.models.presets import PRESETS, preset
from animal_clip_jax.run.start import initial_parameters, resolved
from configs import default

torch = pytest.importorskip("torch")

CLASSES = 5


@functools.cache
def description(family: str) -> ModelDescription:
    if family in PRESETS:
        architecture = preset(family, "tiny")
        return ModelDescription(
            family, architecture, num_frames=architecture.num_frames, num_classes=CLASSES
        )
    if family == "evl":
        return ModelDescription(family, TINY, num_frames=4, decoder_layers=2, num_classes=CLASSES)
    return ModelDescription(
        family,
        TINY,
        num_frames=4,
        integration_layers=1,
        integration_heads=1,
        prompt_prefix=8,
        prompt_suffix=8,
    )


@functools.cache
def values(family: str) -> dict[str, np.ndarray]:
    return tiny.random_parameters(families.shapes(description(family)))


def save(path, family: str, field: str = "model", without: str = "nothing") -> None:
    """As others do; the frozen CLIP may be left out."""
    published = to_published(values(family), published_layout(description(family)))
    kept = {k: torch.tensor(v) for k, v in published.items() if not k.startswith(without)}
    torch.save({field: kept, "epoch": 7}, path)


def save_clip(folder) -> dict[str, np.ndarray]:
    clip = ModelDescription("clip", TINY)
    found = tiny.random_parameters(families.shapes(clip))
    save_weights(folder, found, WeightsMetadata(clip, CLIP, source_files={}))
    return found


def assert_same(found, expected) -> None:
    assert found.keys() == expected.keys()
    for path, value in expected.items():
        np.testing.assert_array_equal(found[path], value, err_msg=path)


@pytest.mark.parametrize(
    ("family", "name", "field", "normalisation"),
    [
        ("i3d", "a.pyth", "model_state", KINETICS),
        ("slowfast", "a.pyth", "model_state", KINETICS),
        ("x3d", "best.pth", "model", IMAGENET),
        ("mvit", "a.pyth", "model_state", KINETICS),
    ],
)
def test_a_file_of_a_preset_to_our_weights_and_back(family, name, field, normalisation, tmp_path):
    save(tmp_path / name, family, field)
    converted = convert(tmp_path / name, family=family, preset="tiny")
    assert converted.metadata.model == description(family)
    assert converted.metadata.normalisation == normalisation
    assert f"classes       {CLASSES}" in summary(converted) and not converted.dropped
    assert_same(converted.parameters, values(family))
    folder, back = tmp_path / "weights", tmp_path / "back.pyth"
    write(converted, "it", output=str(folder))
    assert load_weights(folder).metadata == converted.metadata
    # From there to torch again.
    write(convert(folder), "it", to_torch=str(back))
    held = torch.load(back)["model_state"]
    published = to_published(values(family), published_layout(description(family)))
    assert_same({key: tensor.numpy() for key, tensor in held.items()}, published)


@pytest.mark.parametrize("family", ["evl", "video_prompt"])
def test_a_file_without_its_frozen_clip_is_given_it(family, tmp_path):
    frozen = {"evl": "backbone.", "video_prompt": "clipmodel."}[family]
    is_trained = {"evl": evl.is_trained, "video_prompt": video_prompt.is_trained}[family]
    save(tmp_path / "a.pth", family, without=frozen)
    clip = save_clip(tmp_path / "clip")
    dimensions = {} if family == "evl" else {"prompt_prefix": 8, "prompt_suffix": 8}
    options = {"family": family, "clip": str(tmp_path / "clip"), "dimensions": dimensions}
    converted = convert(tmp_path / "a.pth", **options)
    assert converted.metadata.model == description(family)
    for path, value in converted.parameters.items():
        if is_trained(path):
            np.testing.assert_array_equal(value, values(family)[path], err_msg=path)
        else:
            np.testing.assert_array_equal(value, clip.get(path, 0), err_msg=path)
    with pytest.raises(UserError, match=r"tensor|frozen CLIP|has shape"):
        convert(tmp_path / "a.pth", **{**options, "clip": None})


def config_from(path, **fields):
    config = default.get_config()
    config.init_from = str(path)
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in fields.items()})
    return config


def test_a_training_starts_from_a_file_with_a_classifier_of_its_own(tmp_path):
    save(tmp_path / "a.pyth", "x3d", "model_state")
    config = config_from(
        tmp_path / "a.pyth", model__family="x3d", model__preset="tiny", model__num_frames=6
    )
    config = resolved(config)
    assert config.data.mean == KINETICS.mean and config.model.architecture.image_size == 32
    assert config.model.num_frames == 6  # convolutions do not mind
    config.model.num_classes = CLASSES
    start = initial_parameters(config)
    assert_same(start.parameters, values("x3d"))
    assert not start.note
    config.model.num_classes = 9
    start = initial_parameters(config)
    assert start.note.endswith(
        "a.pyth tells 5 classes apart, this model 9; initialised: projection.bias, "
        "projection.kernel"
    )
    assert start.parameters["projection.kernel"].shape == (128, 9)
    np.testing.assert_array_equal(
        start.parameters["stem_space.kernel"], values("x3d")["stem_space.kernel"]
    )


@pytest.mark.parametrize("family", ["evl", "video_prompt"])
def test_a_frozen_clip_comes_from_the_weights(family, tmp_path):
    clip = save_clip(tmp_path / "clip")
    config = resolved(config_from(tmp_path / "clip", model__family=family, model__decoder_layers=2))
    assert config.data.mean == CLIP.mean and config.model.architecture.embed_dim == TINY.embed_dim
    config.model.num_classes = CLASSES
    start = initial_parameters(config)
    shared = clip.keys() & start.parameters.keys()
    assert len(shared) > 40
    for path in shared:
        np.testing.assert_array_equal(start.parameters[path], clip[path], err_msg=path)
    assert f"is a clip; what {family} has beyond it is initialised" in start.note


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"model__preset": "X3D-M"},
            r"a\.pyth: weights of another depth: layers of s2\.pathway0_res: found 1, expected 3",
        ),
        (
            {"model__family": "i3d"},
            r"a\.pyth: weights of another depth: layers of s4\.pathway0_res: found 3, expected 1",
        ),
    ],
)
def test_a_file_of_another_network_is_refused(fields, message, tmp_path):
    save(tmp_path / "a.pyth", "x3d", "model_state")
    fields = {"model__family": "x3d", "model__preset": "tiny"} | fields
    with pytest.raises(UserError) as error:
        resolved(config_from(tmp_path / "a.pyth", **fields))
    assert re.search(message, str(error.value)), str(error.value)


def test_a_clip_is_nothing_to_a_network_without_one(tmp_path):
    save_clip(tmp_path / "clip")
    with pytest.raises(UserError, match="takes nothing of one: give weights of 'slowfast'"):
        resolved(config_from(tmp_path / "clip", model__family="slowfast"))
    save(tmp_path / "a.pyth", "x3d")
    with pytest.raises(UserError, match="--clip=.*: a model of family x3d has no CLIP in it"):
        convert(tmp_path / "a.pyth", family="x3d", clip=str(tmp_path / "clip"))
    with pytest.raises(UserError, match="--preset=X3D-M is of --to=video_prompt, evl, i3d"):
        convert(tmp_path / "clip", preset="X3D-M")
