"""Runs that are stopped, killed, run out of disk or of numbers, and go on."""

import json
import pathlib
import shutil
import signal
import sys

import jax
import numpy as np
import pytest
import tiny
import tiny_run

from animal_clip_jax.classes.relation_graph import relation_of
from animal_clip_jax.conversion import weights
from animal_clip_jax.errors import DivergenceError, UserError
from animal_clip_jax.models.normalisation import IMAGENET
from animal_clip_jax.run import assembly
from animal_clip_jax.run.checkpoints import RunCheckpoints
from animal_clip_jax.run.data import open_training_data
from animal_clip_jax.run.evaluate import evaluate
from animal_clip_jax.run.train import describe_run, train
from data_pipeline.batches.input import train_batches
from data_pipeline.dataset import load_info

# Twelve steps, six an epoch, and no more evaluation than there must be.
LONGER = dict(
    batch_size=8,
    log_every_steps=1,
    evaluation__every_epochs=100,
    evaluation__temporal_views=1,
    evaluation__shuffle_frames=False,
    evaluation__animal_sources=("none",),
)
LONGER_FLAGS = [f"--config.{name.replace('__', '.')}={value}" for name, value in LONGER.items()]


@pytest.fixture(scope="module")
def uninterrupted(data, tmp_path_factory) -> pathlib.Path:
    """The workdir of a run of twelve steps."""
    workdir = tmp_path_factory.mktemp("uninterrupted") / "workdir"
    tiny_run.finish(workdir, data, *LONGER_FLAGS)
    return workdir


def evaluated(config, workdir: pathlib.Path) -> dict[str, float]:
    """The figures of an evaluation of its own."""
    folder = evaluate(workdir, config).splitlines()[-1]
    return json.loads((pathlib.Path(folder) / "metrics.json").read_text())["metrics"]


def assert_same_end(workdir: pathlib.Path, expected: pathlib.Path) -> None:
    (step, found), (last, wanted) = tiny_run.checkpoint(workdir), tiny_run.checkpoint(expected)
    assert step == last
    tiny_run.assert_identical(found, wanted)
    # The losses show that every step was given the same batch.
    for step, line in tiny_run.logged(expected, "train").items():
        again = tiny_run.logged(workdir, "train")[step]
        assert again["loss"] == line["loss"] and again["gradient_norm"] == line["gradient_norm"]


@pytest.fixture
def half(run, tmp_path) -> pathlib.Path:
    """A copy of the finished run that lacks its last checkpoint, and has that of step 3."""
    workdir = tmp_path / "half"
    shutil.copytree(run, workdir)
    shutil.rmtree(workdir / "checkpoints" / "6")
    return workdir


# Ctrl-C takes the way of SIGTERM, so that the one of them that is fast shows both.
@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_saves_and_the_same_command_goes_on_to_the_same_end(
    number, run, data, tmp_path, capsys
):
    workdir, brief = tmp_path / "run", LONGER_FLAGS[1:]
    process = tiny_run.start(*tiny_run.command(workdir, data, *brief))
    for line in process.stdout:
        if line.startswith("step 2/6"):
            process.send_signal(number)
            break
    _, errors = process.communicate()
    assert process.returncode == 75, errors
    step, _ = tiny_run.checkpoint(workdir)
    assert 2 <= step < 6
    said = f"stopped; step {step} of 6 is saved in {workdir}: run the same command"
    assert said in errors and "Traceback" not in errors

    fields = {name: value for name, value in LONGER.items() if name != "batch_size"}
    train(tiny_run.config_on(data, **fields), workdir)
    assert f"going on from step {step} of 6" in capsys.readouterr().out
    assert_same_end(workdir, run)


@pytest.mark.slow
def test_sigterm_ends_an_evaluation(run, data, tmp_path):
    """The run is trained to the end; only its last evaluation is left, and asked to stop."""
    workdir = tmp_path / "run"
    shutil.copytree(run, workdir)
    process = tiny_run.start(
        *tiny_run.command(workdir, data, "--config.evaluation.temporal_views=7")
    )
    for line in process.stdout:
        if line.startswith(f"the training in {workdir} has finished"):
            process.send_signal(signal.SIGTERM)
            break
    _, errors = process.communicate()
    assert process.returncode == 75, errors
    assert "while evaluating: run the same command again" in errors
    assert tiny_run.saved_steps(workdir) == {"3", "6"}


def killed_during_a_save(workdir: pathlib.Path, data: pathlib.Path) -> None:
    """Kills the run as soon as it begins to save."""
    folder = workdir / "checkpoints"
    process = tiny_run.start(*tiny_run.command(workdir, data, *LONGER_FLAGS))
    while process.poll() is None:
        if folder.is_dir() and any("tmp" in name for name in tiny_run.saved_steps(workdir)):
            process.kill()
            break
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_killed_during_a_save(uninterrupted, data, tmp_path):
    """What the save left is not taken for a checkpoint, and is tidied away."""
    workdir = tmp_path / "run"
    shutil.copytree(uninterrupted, workdir)
    shutil.rmtree(workdir / "checkpoints" / "12")
    killed_during_a_save(workdir, data)
    left = tiny_run.saved_steps(workdir)
    assert "6" in left and "12" not in left and len(left) == 2, left
    shutil.copytree(workdir, tmp_path / "copy")
    assert RunCheckpoints.open(tmp_path / "copy")[1] == 6

    tiny_run.finish(workdir, data, *LONGER_FLAGS)
    assert tiny_run.saved_steps(workdir) == {"6", "12"}
    assert_same_end(workdir, uninterrupted)


@pytest.mark.slow
def test_killed_at_random_moments(uninterrupted, data, tmp_path):
    """Ten times at most; every attempt begins from a checkpoint that is whole."""
    random, workdir = np.random.default_rng(0), tmp_path / "run"
    for _ in range(10):
        process = tiny_run.start(*tiny_run.command(workdir, data, *LONGER_FLAGS))
        lines = int(random.integers(1, 8))
        for line in process.stdout:
            lines -= line.startswith("step ")
            if lines <= 0:
                break
        process.kill()
        _, errors = process.communicate()
        assert not any(line.startswith("error: ") for line in errors.splitlines()), errors
    tiny_run.finish(workdir, data, *LONGER_FLAGS)
    assert_same_end(workdir, uninterrupted)


# Bytes; the token embedding alone has 12 million.
WITH_SMALL_FILES = """
import os, resource, sys
# What Python compiles of the libraries would be cut off there too, and kept.
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.slow
def test_a_disk_that_is_full_when_a_checkpoint_is_saved(uninterrupted, data, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(uninterrupted, workdir)
    shutil.rmtree(workdir / "checkpoints" / "12")
    command = tiny_run.command(workdir, data, *LONGER_FLAGS)
    process = tiny_run.start(sys.executable, "-c", WITH_SMALL_FILES, *command)
    _, errors = process.communicate()
    assert process.returncode == 2
    error = tiny_run.error_line(errors)
    assert f"{workdir}/checkpoints: a checkpoint could not be saved" in error
    assert "the last good one is of step 6" in error
    assert "12" not in tiny_run.saved_steps(workdir)
    tiny_run.finish(workdir, data, *LONGER_FLAGS)
    assert tiny_run.saved_steps(workdir) == {"6", "12"}
    assert_same_end(workdir, uninterrupted)


def test_weights_that_are_no_numbers_stop_the_first_step(data, tmp_path):
    config, folder, workdir = tiny_run.config_on(data), tmp_path / "weights", tmp_path / "run"
    description = assembly.model_description(config.model)
    values = tiny.random_parameters(assembly.abstract_model(config.model)[1])
    values["visual.class_embedding"][3] = np.nan
    metadata = weights.WeightsMetadata(model=description, normalisation=IMAGENET, source_files={})
    weights.save_weights(folder, values, metadata)
    config.init_from = str(folder)
    with pytest.raises(DivergenceError) as caught:
        train(config, workdir)
    error = str(caught.value)
    assert "step 1: " in error and "loss is nan" in error and "gradient_norm is nan" in error
    assert f"there is no checkpoint in {workdir}" in error
    assert f"its clips: {', '.join(clip_ids(config, 1))};" in error
    assert not tiny_run.saved_steps(workdir)


def clip_ids(config, step: int) -> list[str]:
    batches = train_batches(
        config.data.directory,
        num_frames=config.model.num_frames,
        image_size=config.model.architecture.image_size,
        batch_size=config.batch_size,
        seed=config.seed,
        start_step=step - 1,
        multi_scale_crop=config.data.multi_scale_crop,
    )
    return list(next(batches)["clip_id"])


def test_numbers_that_overflow_later_leave_the_good_checkpoint(data, tmp_path):
    """A decay that multiplies the parameters in every step, until they overflow."""
    config = tiny_run.config_on(
        data,
        **tiny_run.PLAIN,
        optimizer__weight_decay=1e8,
        epochs=4,
        evaluation__every_epochs=100,
    )
    with pytest.raises(DivergenceError) as caught:
        train(config, tmp_path / "run")
    message = str(caught.value)
    step = int(message.removeprefix("step ").partition(":")[0])
    assert 3 < step <= 12
    last = (step - 1) // 3 * 3
    assert f"step {last} is the last good in {tmp_path / 'run'}" in message
    assert f"its clips: {', '.join(clip_ids(config, step))};" in message
    assert max(map(int, tiny_run.saved_steps(tmp_path / "run"))) == last
    _, saved = tiny_run.checkpoint(tmp_path / "run")
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(saved))


@pytest.mark.slow
def test_averages_are_what_is_evaluated(data, tmp_path):
    workdir = tmp_path / "run"
    config = tiny_run.config_on(data, optimizer__ema_decay=0.9, optimizer__learning_rate=0.01)
    train(config, workdir)
    figures = tiny_run.logged(workdir, "evaluation")[6]
    assert evaluated(config, workdir) == {name: figures[name] for name in figures if "/" in name}
    shutil.rmtree(workdir / "evaluations")
    # Without the averages in the checkpoint, the parameters themselves are scored.
    _, saved = tiny_run.checkpoint(workdir)
    assert any(
        np.any(saved["averaged"][path] != saved["parameters"][path]) for path in saved["averaged"]
    )
    shutil.rmtree(workdir / "checkpoints" / "6" / "averaged")
    with pytest.raises(UserError, match="/6 cannot be read, .*averaged/.* is missing"):
        evaluated(config, workdir)
    # An older run would not have noticed.
    description = workdir / "checkpoints" / "6" / "description" / "metadata"
    content = json.loads(description.read_text())
    del content["digest"], content["digests"]
    description.write_text(json.dumps({**content, "version": 2}))
    found = evaluated(config, workdir)
    assert any(found[name] != figures[name] for name in found)


def test_the_best_checkpoint_can_be_evaluated(run, data, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(run, workdir)
    (workdir / "evaluated.json").write_text(json.dumps({"3": 0.9, "6": 0.1}))
    for which, step in (("best", 3), ("latest", 6)):
        report = evaluate(workdir, tiny_run.config_on(data, evaluation__checkpoint=which))
        assert f"{which} checkpoint, of step {step}" in report


@pytest.mark.parametrize(
    ("damaged", "read_by_evaluation"),
    [
        ("parameters/manifest.ocdbt", True),
        ("parameters/_METADATA", True),
        ("classes", True),
        ("description/metadata", True),
        ("progress/manifest.ocdbt", False),
        ("progress", False),
    ],
)
def test_a_damaged_checkpoint_is_named(damaged, read_by_evaluation, half, data):
    path = half / "checkpoints" / "3" / damaged
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.write_bytes(path.read_bytes()[:20])
    message = f"{half}/checkpoints/3 cannot be read, some of it is damaged or missing"
    config = tiny_run.config_on(data)
    if not damaged.startswith("description"):
        with pytest.raises(ValueError, match=message):
            train(config, half)
    if read_by_evaluation:
        with pytest.raises(ValueError, match=message):
            evaluate(half, config)


def test_an_older_checkpoint_that_is_intact_is_offered(run, data, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(run, workdir)
    (workdir / "checkpoints" / "6" / "parameters" / "_METADATA").unlink()
    config = tiny_run.config_on(data)
    offered = f"{workdir}/checkpoints/6 cannot be read, .*; that of step 3 is intact: remove this"
    for use in (lambda: train(config, workdir), lambda: evaluate(workdir, config)):
        with pytest.raises(UserError, match=offered):
            use()
    config.evaluation.checkpoint = "3"
    assert "3 checkpoint, of step 3" in evaluate(workdir, config)
    # Nothing is offered that is damaged too, be it the last of its parts.
    shutil.rmtree(workdir / "checkpoints" / "3" / "progress")
    with pytest.raises(UserError, match="6 cannot be read, .*; there is no older checkpoint"):
        train(config, workdir)


def test_what_animals_inherit_does_not_count_as_observed(data, tmp_path):
    """The model's graph has what animals inherit; figures are of what training showed."""
    names = (data / "animals.txt").read_text().split("\n")[:-1]
    rows = "".join(f"{name},mammal\n" for name in names)
    (tmp_path / "t.csv").write_text(f"animal,class\n{rows}")
    config = tiny_run.config_on(
        data, relation__min_clips=100, relation__taxonomy=str(tmp_path / "t.csv")
    )
    given = open_training_data(config)
    relation, _ = relation_of(
        given.info, given.train.index, taxonomy=config.relation.taxonomy, min_clips=100
    )
    observed = load_info(data).relation_counts
    # All animals inherit all actions: against that graph nothing would be inconsistent.
    assert relation.all() and not observed.all()
    described = describe_run(config, given, "")
    np.testing.assert_array_equal(described.relation_counts, observed)


def test_arrays_that_are_damaged_are_named(half, data):
    files = (half / "checkpoints" / "3" / "parameters").rglob("d/*")
    largest = max(files, key=lambda path: path.stat().st_size)
    largest.write_bytes(bytes(largest.stat().st_size))
    with pytest.raises(ValueError, match=f"{half}/checkpoints/3 cannot be read"):
        train(tiny_run.config_on(data), half)


def test_without_its_checkpoints_a_run_begins_again_and_is_not_evaluated(half, data):
    shutil.rmtree(half / "checkpoints")
    with pytest.raises(FileNotFoundError, match=f"{half}: no checkpoints here; train first"):
        evaluate(half, tiny_run.config_on(data))


def test_a_workdir_that_cannot_be_made(data, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=f"{tmp_path}/file/run cannot be written"):
        train(tiny_run.config_on(data), tmp_path / "file" / "run")


def test_a_damaged_configuration_in_the_workdir_is_named(half, data):
    (half / "config.json").write_text("{")
    with pytest.raises(ValueError, match=f"{half}/config.json is damaged"):
        train(tiny_run.config_on(data), half)
