"""Several processes of several devices, joined by `jax.distributed`, run `main.py` as one."""

import json
import os
import pathlib
import shutil
import sys

import jax
import numpy as np
import pytest
import tiny_run
from jax.sharding import AbstractMesh

from animal_clip_jax.evaluation.split_scores import frame_orders
from animal_clip_jax.parallel import distributed
from animal_clip_jax.parallel.mesh import AXES
from animal_clip_jax.run import results
from animal_clip_jax.run.checkpoints import RunCheckpoints
from animal_clip_jax.run.evaluator import check_batch_size
from data_pipeline.batches.input import train_batches
from data_pipeline.clip_index import load_index

# Epsilon is larger than the rounding of the gradients.
FLAGS = [
    "--config.epochs=1",
    "--config.log_every_steps=1",
    "--config.optimizer.epsilon=1e-6",
    "--config.evaluation.temporal_views=1",
]
BATCH = 16


def parameters_of(workdir: pathlib.Path) -> dict[str, np.ndarray]:
    """The newest checkpoint's parameters, restored onto this process's one device."""
    checkpoints, step = RunCheckpoints.open(workdir)
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    values, _ = checkpoints.restore_weights(step, sharding)
    checkpoints.close()
    return {path: np.asarray(value) for path, value in values.items()}


def assert_same_parameters(found: pathlib.Path, expected: pathlib.Path) -> None:
    """All parameters within 1e-5, but for the biases of keys.

    A softmax is the same when all of its keys are shifted, so these have no gradient: what AdamW
    makes of them is rounding, magnified, and no output depends on it.
    """
    ours, theirs = (parameters_of(workdir) for workdir in (found, expected))
    assert ours.keys() == theirs.keys()
    for path, value in theirs.items():
        difference = ours[path] - value
        if path.endswith("query_key_value.bias"):
            value, difference = (np.delete(array, 1, axis=0) for array in (value, difference))
        assert np.linalg.norm(difference) <= 1e-5 * np.linalg.norm(value), path


def assert_same_training(found: pathlib.Path, expected: pathlib.Path) -> None:
    """Losses and parameters within 1e-5."""
    ours, theirs = tiny_run.logged(found, "train"), tiny_run.logged(expected, "train")
    assert ours.keys() == theirs.keys()
    for step in theirs:
        for name in ("loss", "gradient_norm", "parameter_norm"):
            assert ours[step][name] == pytest.approx(theirs[step][name], rel=1e-5), (step, name)
    assert_same_parameters(found, expected)


def assert_one_process_evaluates_alike(
    workdir: pathlib.Path, data: pathlib.Path, folder: pathlib.Path
) -> None:
    """One process with one device finds the result that the run wrote at its end, all equal."""
    copy = folder / "evaluated"
    shutil.copytree(workdir, copy)
    shutil.rmtree(copy / results.FOLDER)
    # The run knows its own configuration, but for where its data lies now.
    own = (f"--workdir={copy}", f"--config.data.directory={data}", "--mode=evaluate")
    process = tiny_run.start(sys.executable, "main.py", *own)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    (found,), (expected,) = (list((path / results.FOLDER).iterdir()) for path in (copy, workdir))
    assert found.name == expected.name
    ours, theirs = (
        json.loads((path / results.METRICS_FILE).read_text()) for path in (found, expected)
    )
    for of_run in (ours, theirs):
        del of_run["data_directory"]
    assert ours == theirs
    per_class = (path / results.PER_CLASS_FILE for path in (found, expected))
    assert len({path.read_text() for path in per_class}) == 1


@pytest.fixture(scope="module", autouse=True)
def whole_compilation():
    """As users compile: without optimisations, other shapes of a batch round otherwise."""
    before = os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS")
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "0"
    yield
    del os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"]
    if before is not None:
        os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = before


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory) -> pathlib.Path:
    """The workdir of one process with one device."""
    workdir = tmp_path_factory.mktemp("alone") / "run"
    process = tiny_run.start(*tiny_run.command(workdir, data, *FLAGS))
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return workdir


@pytest.fixture(scope="module")
def data_of_each(data, tmp_path_factory) -> list[pathlib.Path]:
    """For each of two processes the data, with all records ruined that the other is to read."""
    first = train_batches(
        data, num_frames=4, image_size=16, batch_size=BATCH, seed=0, multi_scale_crop=False
    )
    trained_on = [list(next(first)["clip_id"]) for _ in range(tiny_run.TRAIN_CLIPS // BATCH)]
    tested_on = list(load_index(data, "test").clip_ids)
    batches = trained_on + [
        tested_on[start : start + BATCH] for start in range(0, len(tested_on), BATCH)
    ]
    folders = []
    for process in range(2):
        folder = tmp_path_factory.mktemp(f"process_{process}") / "data"
        shutil.copytree(data, folder)
        half = slice(BATCH // 2) if process else slice(BATCH // 2, None)
        others = {clip for batch in batches for clip in batch[half]}
        if process == 0:  # it also shows a sample in TensorBoard, evenly spaced
            rows = np.linspace(0, len(tested_on) - 1, 8).round().astype(int)
            others -= {tested_on[row] for row in rows}
        for split in ("train", "test"):
            index = load_index(folder, split)
            for clip, shard, offset, length in zip(
                index.clip_ids, index.shards, index.offsets, index.lengths, strict=True
            ):
                if clip in others:
                    with (folder / shard).open("r+b") as file:
                        file.seek(offset)
                        file.write(bytes(length))
        folders.append(folder)
    return folders


@pytest.mark.slow
def test_two_processes_train_as_one_and_each_reads_only_its_records(
    alone, data, data_of_each, tmp_path
):
    workdir, here = tmp_path / "run", tmp_path / "here"
    here.mkdir()
    # The configuration must be the same, so the folders have one absolute name, seen from two
    # places: that of each process's own working folder.
    commands = []
    for index, folder in enumerate(data_of_each):
        place = here / str(index)
        place.mkdir()
        (place / "data").symlink_to(folder)
        (place / "tests").symlink_to(tiny_run.ROOT / "tests")
        (place / "configs").symlink_to(tiny_run.ROOT / "configs")
        command = tiny_run.command(workdir, pathlib.Path("/proc/self/cwd/data"), *FLAGS)
        command[1] = str(tiny_run.ROOT / "main.py")
        commands.append(["env", f"--chdir={place}", *command])
    outcomes = tiny_run.run_processes(commands, devices=2)
    assert [code for code, _, _ in outcomes] == [0, 0], outcomes[0][2] + outcomes[1][2]
    assert_same_training(workdir, alone)
    # What a run leaves is written once, by the first process.
    (_, first, _), (_, second, _) = outcomes
    assert "2 processes" in first and "step" not in second
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == len((alone / "metrics.jsonl").read_text().splitlines())
    assert (workdir / "parameters.txt").is_file()
    assert tiny_run.saved_steps(workdir) == {"3"}
    assert_one_process_evaluates_alike(workdir, data, tmp_path)


@pytest.mark.slow
def test_processes_that_share_a_part_of_the_batch(alone, data, tmp_path):
    """All four devices along `model`: both processes read every clip."""
    command = tiny_run.command(tmp_path / "run", data, *FLAGS, "--config.mesh.model=4")
    outcomes = tiny_run.run_processes([command, command], devices=2)
    assert [code for code, _, _ in outcomes] == [0, 0], outcomes[0][2] + outcomes[1][2]
    assert_same_training(tmp_path / "run", alone)
    assert_one_process_evaluates_alike(tmp_path / "run", data, tmp_path)


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_at_one_step(alone, data, tmp_path):
    command = tiny_run.command(tmp_path / "run", data, *FLAGS)
    outcomes = tiny_run.run_processes([command, command], devices=2, interrupted_at="step 1/3")
    assert [code for code, _, _ in outcomes] == [75, 75], outcomes[0][2] + outcomes[1][2]
    assert "stopped; step" in outcomes[0][2] and "stopped; step" in outcomes[1][2]
    outcomes = tiny_run.run_processes([command, command], devices=2)
    assert [code for code, _, _ in outcomes] == [0, 0], outcomes[0][2] + outcomes[1][2]
    assert_same_parameters(tmp_path / "run", alone)


@pytest.mark.slow
def test_saved_on_eight_devices_restored_on_one_and_on_four(data, tmp_path):
    flags = [*FLAGS, "--config.epochs=2"]
    eight = tmp_path / "eight"

    def goes_on(workdir: pathlib.Path, devices: int, *mesh: str) -> None:
        process = tiny_run.start(*tiny_run.command(workdir, data, *flags, *mesh), devices=devices)
        _, errors = process.communicate()
        assert process.returncode == 0, errors

    goes_on(eight, 8, "--config.mesh.fsdp=4")
    for name, devices, mesh in (("one", 1, []), ("four", 4, ["--config.mesh.fsdp=2"])):
        workdir = tmp_path / name
        shutil.copytree(eight, workdir)
        shutil.rmtree(workdir / "checkpoints" / "6")
        shutil.rmtree(workdir / results.FOLDER)
        goes_on(workdir, devices, *mesh)
        assert_same_training(workdir, eight)
        assert_one_process_evaluates_alike(workdir, data, tmp_path / f"{name}_again")


def test_processes_that_disagree_name_the_fields(data, tmp_path):
    outcomes = tiny_run.run_processes(
        [
            tiny_run.command(
                tmp_path / "run", data, f"--config.seed={seed}", f"--config.loss={loss}"
            )
            for seed, loss in ((0, "focal"), (1, "ldam"))
        ],
        devices=1,
    )
    for code, _, errors in outcomes:
        assert code == 2
        error = tiny_run.error_line(errors)
        assert "process 1 has loss 'ldam', process 0 'focal'" in error
        assert "process 1 has seed 1, process 0 0" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_what_fails_on_one_process_ends_all(data, tmp_path):
    """The workdir, below a file, is made by process 0 alone."""
    (tmp_path / "file").touch()
    command = tiny_run.command(tmp_path / "file" / "run", data)
    first, second = tiny_run.run_processes([command, command], devices=1)
    assert (first[0], second[0]) == (2, 2)
    assert f"{tmp_path}/file/run" in tiny_run.error_line(first[2])
    error = tiny_run.error_line(second[2])
    assert "process 0 gave up: " in error and f"{tmp_path}/file/run" in error


@pytest.mark.slow
def test_figures_that_process_0_cannot_write_end_all(alone, data, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(alone, workdir)
    shutil.rmtree(workdir / "tensorboard")
    (workdir / "tensorboard").touch()
    command = tiny_run.command(workdir, data, *FLAGS)
    first, second = tiny_run.run_processes([command, command], devices=1)
    assert (first[0], second[0]) == (2, 2)
    assert f"{workdir}/tensorboard" in tiny_run.error_line(first[2])
    error = tiny_run.error_line(second[2])
    assert "process 0 gave up: " in error and f"{workdir}/tensorboard" in error


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (("127.0.0.1:1", None, None), {}, "needs JAX_NUM_PROCESSES, JAX_PROCESS_ID too"),
        (("127.0.0.1:1", 2, 2), {}, "process 2 of 2: expected --process_id from 0 to 1"),
        (
            ("127.0.0.1:1", None, 0),
            {"JAX_NUM_PROCESSES": "two"},
            "JAX_NUM_PROCESSES is 'two' .* expected whole numbers",
        ),
    ],
)
def test_a_job_that_cannot_be(arguments, environment, message, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        distributed.initialize(*arguments)


def test_evaluation_must_divide_over_the_devices(data):
    config = tiny_run.config_on(data, evaluation__batch_size=12)
    check_batch_size(config, AbstractMesh((2, 2, 3), AXES))
    with pytest.raises(ValueError, match="evaluation.batch_size 12 is not a multiple of the 8"):
        check_batch_size(config, AbstractMesh((2, 4, 1), AXES))


def test_frames_are_shuffled_alike_in_any_batch():
    whole = frame_orders(6, 2, 5, seed=3, first_clip=0)
    parts = [frame_orders(2, 2, 5, seed=3, first_clip=start) for start in (0, 2, 4)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(np.sort(whole), np.broadcast_to(np.arange(5), (6, 2, 5)))
    assert len({tuple(row) for row in whole.reshape(12, 5)}) > 6
