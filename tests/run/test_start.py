"""What a configuration leaves open: from the weights, the run that goes on, or as published."""

import dataclasses
import shutil

import numpy as np
import pytest
import tiny
import tiny_run
from first_step import first_step

from animal_clip_jax.conversion import weights
from animal_clip_jax.conversion.conversion import convert
from animal_clip_jax.conversion.families import shapes
from animal_clip_jax.errors import MissingFileError, UserError
from animal_clip_jax.models.architectures import ARCHITECTURES
from animal_clip_jax.models.description import ModelDescription
from animal_clip_jax.models.normalisation import CLIP, IMAGENET
from animal_clip_jax.models.refinement import initial_gate
from animal_clip_jax.run import assembly
from animal_clip_jax.run.architecture_flag import with_dimensions
from animal_clip_jax.run.config import flat_config
from animal_clip_jax.run.evaluate import open_for_use
from animal_clip_jax.run.start import (
    OPEN_FIELDS,
    initial_parameters,
    open_fields,
    resolved,
)
from animal_clip_jax.run.train import train
from animal_clip_jax.run.workdir import read_config
from configs import default, lote_animal

# Nothing of it is as published.
TOWERS = dataclasses.replace(
    tiny.ARCHITECTURE, activation="gelu", context_length=16, vocab_size=49408
)
DESCRIPTIONS = {
    "clip": ModelDescription("clip", TOWERS),
    "xclip": dataclasses.replace(tiny.description("xclip"), architecture=TOWERS),
    "animal_clip": dataclasses.replace(tiny.description(), architecture=TOWERS),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Weights of each family, with CLIP's pixel statistics."""
    folder = tmp_path_factory.mktemp("weights")
    for family, description in DESCRIPTIONS.items():
        values = tiny.random_parameters(shapes(description))
        metadata = weights.WeightsMetadata(description, CLIP, source_files={})
        weights.save_weights(folder / family, values, metadata)
    return folder


def from_weights(path, **fields):
    config = lote_animal.get_config()
    config.init_from = str(path)
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in fields.items()})
    return config


def test_the_weights_say_what_the_configuration_leaves_open(saved):
    config = resolved(from_weights(saved / "animal_clip"))
    assert config.model.architecture.to_dict() == dataclasses.asdict(TOWERS)
    video = ("num_frames", "integration_layers", "prompt_layers", "graph_width")
    assert [config.model[name] for name in video] == [tiny.FRAMES, 1, 1, 32]
    assert config.data.mean == CLIP.mean and config.data.std == CLIP.std
    assert not open_fields(config)
    start = initial_parameters(config)
    expected = weights.load_weights(saved / "animal_clip")
    assert start.parameters.keys() == expected.parameters.keys() and not start.note
    for path, value in expected.parameters.items():
        np.testing.assert_array_equal(start.parameters[path], value, err_msg=path)
    assert start.digests == {"init_from": expected.digest()}


def test_all_contradictions_are_one_error(saved):
    config = from_weights(
        saved / "animal_clip",
        model__architecture=default.architecture("ViT-B/32"),
        model__num_frames=16,
        model__integration_layers=1,  # agrees
        data__mean=IMAGENET.mean,
    )
    with pytest.raises(UserError) as caught:
        resolved(config)
    message = str(caught.value)
    for text in (
        f"{saved / 'animal_clip'}: the configuration contradicts the weights",
        "model.architecture.patch_size: weights have 8, config asks for 32",
        "model.architecture.vision_layers: weights have 2, config asks for 12",
        "model.num_frames: weights have 3, config asks for 16",
        f"data.mean: weights have {CLIP.mean}, config asks for {IMAGENET.mean}",
    ):
        assert text in message
    for name in ("integration_layers", "graph_width", "activation", "data.std"):
        assert name not in message


def test_a_plain_clip_becomes_the_model_as_a_conversion_makes_it(saved):
    """Its towers, and initial values for the rest; the pixels as published for video models."""
    config = resolved(from_weights(saved / "clip", model__num_frames=5, seed=3))
    assert config.model.architecture.to_dict() == dataclasses.asdict(TOWERS)
    assert (config.model.num_frames, config.model.prompt_layers) == (5, 3)
    assert config.data.mean == IMAGENET.mean
    start = initial_parameters(config)
    expected = convert(saved / "clip", family="animal_clip", dimensions={"num_frames": 5}, seed=3)
    assert start.parameters.keys() == expected.parameters.keys()
    for path, value in expected.parameters.items():
        np.testing.assert_array_equal(start.parameters[path], value, err_msg=path)
    new = expected.metadata.initialised
    of_graph = sum(path.startswith("graph.") for path in new)
    assert start.note.startswith(f"{saved / 'clip'} is a clip; what animal_clip has beyond it is")
    assert f"{len(new)} arrays (" in start.note and f"graph {of_graph}" in start.note
    assert start.digests["init_from"] == weights.load_weights(saved / "clip").digest()


def test_a_gate_that_the_weights_lack_is_initialised(saved):
    for name in ("animal_clip", "clip"):
        plain = from_weights(saved / name)
        start = initial_parameters(resolved(plain))
        config = resolved(from_weights(saved / name, model__gate=True))
        gated = initial_parameters(config)
        new = gated.parameters.keys() - start.parameters.keys()
        assert new == {"gate.linear.kernel", "gate.linear.bias"}
        assert not any(np.any(gated.parameters[path]) for path in new)
        _, expected = assembly.abstract_model(config.model)
        assert gated.parameters.keys() == expected.keys()
        assert gated.digests == start.digests
        assert ("has no gate" in gated.note) == (name == "animal_clip")


def test_a_gate_of_the_weights_is_not_dropped(saved, tmp_path):
    held = weights.load_weights(saved / "animal_clip")
    values = {**held.parameters, **initial_gate(TOWERS.embed_dim)}
    weights.save_weights(tmp_path / "gated", values, held.metadata)
    with pytest.raises(UserError, match="model.gate is False, and .* was trained with a gate"):
        initial_parameters(resolved(from_weights(tmp_path / "gated")))
    config = resolved(from_weights(tmp_path / "gated", model__gate=True))
    start = initial_parameters(config)
    assert start.parameters.keys() == values.keys() and not start.note


def test_a_plain_clip_becomes_an_xclip(saved):
    config = from_weights(saved / "clip", model__family="xclip", model__graph_width=7)
    start = initial_parameters(resolved(config))
    assert not any(path.startswith("graph.") for path in start.parameters)


def test_weights_of_another_video_model_say_how_to_convert_them(saved):
    with pytest.raises(UserError, match="holds a model of family xclip, .*--to=animal_clip"):
        resolved(from_weights(saved / "xclip"))


def test_without_weights_it_is_as_published():
    config = resolved(default.get_config())
    architecture = config.model.architecture.to_dict()
    assert architecture == dataclasses.asdict(ARCHITECTURES["ViT-B/16"])
    assert (config.model.num_frames, config.model.prompt_layers) == (8, 3)
    assert config.data.mean == IMAGENET.mean and config.data.std == IMAGENET.std
    config = default.get_config()
    config.model.family = "xclip"
    assert resolved(config).model.prompt_layers == 2


def test_what_is_left_open_comes_from_the_run_that_goes_on(run, data, tmp_path):
    """The weights that it started from may be gone then."""
    config = default.get_config()
    config.init_from = str(tmp_path / "gone")
    found = resolved(config, read_config(run))
    assert open_fields(config) and not open_fields(found)
    assert found.model.num_frames == 4 and config.model.num_frames == 0


def test_evaluation_takes_what_is_left_open_from_the_run(run, data):
    config = tiny_run.config_on(data)
    closed = flat_config(config)
    config.update_from_flattened_dict({name: type(closed[name])() for name in OPEN_FIELDS})
    assert set(open_fields(config)) == set(OPEN_FIELDS) - {"model.preset"}
    assert flat_config(open_for_use(run, config)[1])["model.architecture.patch_size"] == 8
    config.model.architecture.patch_size = 4
    with pytest.raises(UserError, match=r"patch_size \(trained with 8, now 4\)\."):
        open_for_use(run, config)


def test_a_training_needs_the_weights_and_nothing_else(saved, data, tmp_path):
    """And records all that they say, so that it goes on without them."""
    config = from_weights(tmp_path / "weights", data__directory=str(data), batch_size=16)
    config.update_from_flattened_dict({"data.num_actions": 0, "data.num_animals": 0})
    shutil.copytree(saved / "animal_clip", tmp_path / "weights")
    workdir = tmp_path / "run"
    found = first_step(config, workdir)
    assert found.batch["frames"].shape == (16, tiny.FRAMES, tiny.SIZE, tiny.SIZE, 3)
    assert found.options["settings"].mean == CLIP.mean
    recorded = read_config(workdir)
    assert not open_fields(recorded) and recorded.model.architecture.activation == "gelu"
    # The same command again, before there was a checkpoint; and with other weights in the place.
    assert first_step(config, workdir).batch["frames"].shape == found.batch["frames"].shape
    shutil.rmtree(tmp_path / "weights")
    with pytest.raises(MissingFileError, match="init_from: there is nothing at .*/weights; .*conv"):
        train(config, tmp_path / "other")


def test_an_architecture_has_a_name_on_the_command_line():
    flag = "--config.model.architecture"
    found = with_dimensions([f"{flag}.image_size=448", f"{flag}=ViT-B/32", "--config.seed=1"])
    values = dict(argument.removeprefix(f"{flag}.").split("=") for argument in found)
    expected = dataclasses.asdict(ARCHITECTURES["ViT-B/32"])
    del expected["activation"]  # BioCLIP's ViT-B/16 has another than OpenAI's
    # A single field has the last word.
    assert values == {k: str(v) for k, v in expected.items()} | {
        "image_size": "448",
        "--config.seed": "1",
    }
    assert len(found) == len(expected) + 2


@pytest.mark.parametrize(
    ("name", "near"), [("vit-b-32", "ViT-B/32"), ("ViT-L/14@224", "ViT-L/14"), ("RN50", "")]
)
def test_a_name_that_no_architecture_has(name, near):
    with pytest.raises(UserError) as caught:
        with_dimensions([f"--config.model.architecture={name}"])
    message = str(caught.value)
    assert "expected one of ViT-B/32, ViT-B/16, ViT-L/14, ViT-L/14@336" in message
    assert message.endswith(f"did you mean {near}?") if near else "did you mean" not in message
