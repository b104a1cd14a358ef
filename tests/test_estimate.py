import dataclasses
import json
import math
import pathlib
import subprocess
import sys

import eight_device_estimates
import jax
import pytest
from jax.sharding import AbstractMesh

from animal_clip_jax.errors import UserError
from animal_clip_jax.estimates.prediction import estimate_prediction, of_prediction
from animal_clip_jax.estimates.program import Estimate, bytes_per_device
from animal_clip_jax.estimates.training_step import estimate_step, resolved_without_weights
from animal_clip_jax.models import parameters
from animal_clip_jax.models.architectures import ARCHITECTURES
from animal_clip_jax.parallel.mesh import AXES, make_mesh
from animal_clip_jax.run import assembly
from animal_clip_jax.run.start import as_published
from animal_clip_jax.training import optimizer as optimizer_lib
from animal_clip_jax.training.state import abstract_state
from configs import animal_kingdom, default

ROOT = pathlib.Path(__file__).parent.parent


def _run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)


def _estimates(name: str, *meshes: str) -> dict:
    finished = _run("tests/eight_device_estimates.py", name, *meshes)
    assert finished.returncode == 0, finished.stderr
    print(finished.stderr)
    return json.loads(finished.stdout)


def _values(config) -> dict[str, jax.ShapeDtypeStruct]:
    return parameters.abstract(
        lambda: assembly.build_model(config.model, rngs=parameters.rngs_for_shapes())
    )[1]


def _count(values, *groups: str) -> int:
    """Values of the parameters in some optimizer groups."""
    group_of = optimizer_lib.parameter_groups(values)
    return sum(math.prod(value.shape) for path, value in values.items() if group_of[path] in groups)


@pytest.fixture(scope="module")
def tiny() -> dict:
    return _estimates("tiny", "8,1,1", "1,8,1")


def test_what_lies_on_a_device_between_steps(tiny):
    """Everything is there once a device: float32 parameters, two moments of what has any, and an
    eighth of the clips."""
    config = eight_device_estimates.tiny()
    values, found = _values(config), tiny["8,1,1"]
    assert found["parameters"] == 4 * sum(math.prod(value.shape) for value in values.values())
    moments = 2 * 4 * _count(values, optimizer_lib.BASE, optimizer_lib.NEW)
    assert moments <= found["optimizer"] <= moments + 100  # and some counters
    clip = 4 * 32 * 32 * 3 + 4 * (8 + 6)
    classes = 4 * (8 * 64 + 6 * 64 + 8 * 6)
    counters = found["inputs"] - 2 * clip - classes
    assert 0 <= counters <= 100
    assert found["total"] == sum(
        found[name] for name in ("parameters", "optimizer", "inputs", "temporaries")
    )


def test_data_parallel_devices_exchange_gradients_and_nothing_else(tiny):
    values = _values(eight_device_estimates.tiny())
    gradients = 4 * _count(values, optimizer_lib.BASE, optimizer_lib.NEW, optimizer_lib.DECAY_ONLY)
    exchanged = tiny["8,1,1"]["collectives"]
    assert set(exchanged) == {"all-reduce"}
    # Two micro-batches; what no gradient reaches needs no exchange.
    assert gradients < exchanged["all-reduce"]["result_bytes"] <= 2 * gradients + 100


def test_fsdp_moves_parameters_and_not_activations(tiny):
    found = tiny["1,8,1"]
    assert found["parameters"] < tiny["8,1,1"]["parameters"] / 4
    assert found["optimizer"] < tiny["8,1,1"]["optimizer"] / 4
    assert found["collectives"]["all-gather"]["result_bytes"] <= found["parameters"] * 8
    assert "all-to-all" not in found["collectives"]
    reduced = found["collectives"]["all-reduce"]["result_bytes"]
    assert reduced <= 1.1 * tiny["8,1,1"]["collectives"]["all-reduce"]["result_bytes"]


def on_one_device(config) -> Estimate:
    return estimate_step(config, make_mesh({"data": 1, "fsdp": 1, "model": 1}, jax.devices()[:1]))


@pytest.fixture(scope="module")
def in_parts() -> Estimate:
    """Of 16 clips in two micro-batches."""
    return on_one_device(eight_device_estimates.tiny())


def test_flops_count_every_micro_batch(in_parts):
    """As many for 16 clips in two parts as for 16 clips at once, and as for twice 8."""
    config = eight_device_estimates.tiny()
    config.accumulation = 1
    at_once = on_one_device(config)
    assert in_parts.flops == pytest.approx(at_once.flops, rel=0.05)
    assert in_parts.temporaries < at_once.temporaries
    assert at_once.collectives == {}


def test_a_prediction_takes_parameters_and_the_forward_pass():
    """A view of an evaluation's batch, of which nothing is compiled twice: as many operations as on
    paper, and those are a third of the training's but for the patches, which nothing trains."""
    config = eight_device_estimates.tiny()
    config.evaluation.batch_size = 8
    config = of_prediction(config)
    mesh = make_mesh({"data": 1, "fsdp": 1, "model": 1}, jax.devices()[:1])
    found = estimate_prediction(config, mesh)
    values = _values(config)
    assert found.parameters == 4 * sum(math.prod(value.shape) for value in values.values())
    assert found.optimizer == 0 and found.collectives == {}
    # The compiler leaves out what takes no part, and counts what is no product.
    assert found.flops == pytest.approx(found.model_flops, rel=0.1)
    frames = 8 * 4 * 32 * 32 * 3
    assert frames < found.inputs < 1.2 * frames
    directions = {cost.direction for cost in found.costs}
    assert directions == {"forward"}


@pytest.mark.parametrize(("source", "share"), [("predicted", 0.5), ("learned", 0.0)])
def test_animals_from_a_recogniser_come_with_the_batch(source, share, in_parts):
    """What is recognised is an input of its own: (clips, animals) of float32, beside the labels."""
    config = eight_device_estimates.tiny()
    config.animals.weights = "/a/recogniser"  # an estimate reads none
    if share:
        config.animals.otherwise, config.animals.label_dropout = source, share
    else:
        config.animals.source = source
    found = on_one_device(config)
    recognised = 4 * config.batch_size * config.data.num_animals
    # A step that takes all animals from the recogniser has no use for the labels.
    assert found.inputs - in_parts.inputs in ((recognised,) if share else (0, recognised))
    assert found.parameters == in_parts.parameters and found.optimizer == in_parts.optimizer
    assert found.flops == pytest.approx(in_parts.flops, rel=0.01)


def test_fsdp_over_eight_needs_a_seventh_of_the_state_of_a_wide_model():
    config = animal_kingdom.get_config()
    config.model.architecture = default.architecture("ViT-L/14")
    config = as_published(config)
    config.model.architecture.vision_layers = 4  # all are alike
    values = _values(config)
    groups = optimizer_lib.parameter_groups(values)
    optimizer, _ = assembly.make_optimizer(config, groups, steps_per_epoch=1)
    replicated, spread = (
        bytes_per_device(*abstract_state(values, groups, optimizer, mesh=AbstractMesh(sizes, AXES)))
        for sizes in ((8, 1, 1), (1, 8, 1))
    )
    # Float32 parameters, and two moments of nearly all that are trained.
    assert replicated > 4 * (_count(values, *groups.values()) + 2 * _count(values, "base"))
    assert spread <= replicated / 7


# The number of devices is settled once a process: one process for all command lines.
_COMMAND_LINES = """
import contextlib, io, json, sys
from animal_clip_jax.estimate import main
found = []
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            code = main(["--config=configs/demo.py", "--devices=2", *arguments])
    found.append((code, output.getvalue(), errors.getvalue()))
print(json.dumps(found))
"""


def test_what_is_wrong_is_said_in_a_line():
    wrong = {
        "config.data.num_actions is 0": [],
        "config.data.num_animals is 0": ["--config.data.num_actions=8"],
        "= 3 devices, but there are 2": ["--config.mesh.fsdp=3", "--config.mesh.data=1"],
        "modle": ["--config.modle=8"],
        "--remat": ["--remat=everything"],
        "--remat=dots is of --program=train": ["--program=predict", "--remat=dots"],
    }
    finished = _run("-c", _COMMAND_LINES, json.dumps(list(wrong.values())))
    assert finished.returncode == 0, finished.stderr
    for message, (code, output, errors) in zip(wrong, json.loads(finished.stdout), strict=True):
        assert (code, output) == (2, ""), message
        assert errors.startswith("error: ") and message in errors
        assert errors.count("\n") == 1, errors


@pytest.mark.slow
def test_the_command_compares_remat_policies():
    finished = _run(
        "-m",
        "animal_clip_jax.estimate",
        "--config=configs/demo.py",
        "--devices=2",
        "--remat=all",
        "--config.data.num_actions=8",
        "--config.data.num_animals=6",
    )
    assert finished.returncode == 0, finished.stderr
    rows = [line.split() for line in finished.stdout.splitlines()]
    temporaries = {
        row[0]: float(row[4].replace(",", ""))
        for row in rows
        if len(row) == 8 and row[0] in ("none", "blocks", "dots")
    }
    assert temporaries["blocks"] < temporaries["dots"] < temporaries["none"]
    assert "was not run" in finished.stdout


@pytest.mark.slow
def test_the_published_setting_on_eight_devices():
    """ViT-B/16, 140 actions, 897 animals; `pytest -s` shows the tables."""
    config = as_published(animal_kingdom.get_config())
    values = _values(config)
    trained = 4 * _count(values, optimizer_lib.BASE, optimizer_lib.NEW, optimizer_lib.DECAY_ONLY)
    found = _estimates("animal_kingdom", "8,1,1", "1,8,1")
    data, fsdp = found["8,1,1"], found["1,8,1"]

    # ViT-B/16 takes 17.6 G multiply-adds an image (Dosovitskiy et al., 2021), twice as many
    # operations, and the backward pass twice as many again; the rest of the model is small.
    published = 64 / 8 * 8 * 3 * 2 * 17.6e9
    assert data["flops"] == pytest.approx(published, rel=0.1)
    assert fsdp["flops"] == pytest.approx(published, rel=0.1)

    assert data["parameters"] == 4 * sum(math.prod(value.shape) for value in values.values())
    assert fsdp["parameters"] + fsdp["optimizer"] <= (data["parameters"] + data["optimizer"]) / 7
    assert data["total"] < 8e9 and fsdp["total"] < 8e9
    # The whole parameters are there for the length of a step, and nothing else is new.
    assert fsdp["temporaries"] <= data["temporaries"] + trained

    # A neighbour's clip for MixUp and CutMix: float32 frames and labels, a micro-batch each.
    clip = 4 * (8 * 224 * 224 * 3 + 140 + 897)
    for estimate in (data, fsdp):
        assert estimate["collectives"]["collective-permute"] == {
            "count": 3 * 4,
            "result_bytes": clip * 4,
        }
        assert estimate["collectives"]["all-reduce"]["result_bytes"] <= 4 * 1.01 * trained
    assert set(data["collectives"]) == {"all-reduce", "collective-permute"}
    assert set(fsdp["collectives"]) == {"all-reduce", "collective-permute", "all-gather"}
    assert fsdp["collectives"]["all-gather"]["result_bytes"] <= 1.01 * trained


def test_weights_that_are_not_there_yet_are_as_published(tmp_path):
    config = animal_kingdom.get_config()
    config.init_from = str(tmp_path / "nowhere")
    found = resolved_without_weights(config)
    assert found.model.architecture.to_dict() == dataclasses.asdict(ARCHITECTURES["ViT-B/16"])
    assert found.init_from == config.init_from
    config.init_from = str(tmp_path)
    with pytest.raises(UserError, match="not a weights checkpoint"):
        resolved_without_weights(config)


def test_devices_are_made_before_anything_else_looks_for_them(run):
    """A configuration leaves fields open, and filling them in looks at weights that are there."""
    command = [sys.executable, "-m", "animal_clip_jax.estimate"]
    flags = ["--config=configs/animal_kingdom.py", f"--config.init_from={run}"]
    flags += ["--devices=2", "--config.mesh.data=3"]
    finished = subprocess.run([*command, *flags], capture_output=True, text=True)
    assert finished.returncode == 2
    assert finished.stderr.startswith("error: config.mesh is data 3 ")
    assert "but there are 2" in finished.stderr and finished.stderr.count("\n") == 1
