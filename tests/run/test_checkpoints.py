import dataclasses
import json
import os
import shutil
import subprocess

import jax
import numpy as np
import pytest
import tiny
from jax.sharding import NamedSharding, PartitionSpec

from animal_clip_jax.errors import DamagedError, UserError
from animal_clip_jax.parallel.mesh import make_mesh
from animal_clip_jax.run.checkpoints import RunCheckpoints
from animal_clip_jax.run.run_description import RunDescription
from animal_clip_jax.training import optimizer
from animal_clip_jax.training.state import TrainState, create_state

SHAPES = {
    "visual.blocks.0.mlp.expand.kernel": (4, 8),
    "visual.class_embedding": (4,),
    "graph.layers.0.kernel": (4, 2),
    "action_prompts.layers.0.attention.query.kernel": (3, 3),
    "text.projection": (4, 4),
    "logit_scale": (),
}
DESCRIPTION = RunDescription(
    config={"seed": 3, "data": {"mean": [123.675, 116.28]}, "init_from": "", "flip": True},
    action_names=("Keeping still", "Прыжок"),
    animal_names=("Russell's Viper",),
    relation_counts=np.array([[3, 0]]),
)


def _state(
    seed: int = 0,
    shapes: dict[str, tuple[int, ...]] = SHAPES,
    *,
    with_averages: bool = False,
) -> TrainState:
    """A state whose every array, the optimizer's counters included, is random."""
    random = np.random.default_rng(seed)
    values = {path: random.standard_normal(shape).astype("f4") for path, shape in shapes.items()}
    groups = optimizer.parameter_groups(values)
    adamw = optimizer.build_optimizer(
        {path: group for path, group in groups.items() if group != optimizer.FROZEN},
        {optimizer.BASE: 1e-3, optimizer.NEW: lambda step: 1e-2 / (step + 1)},
        weight_decay=0.1,
    )
    mesh = make_mesh({"data": 1, "fsdp": 1, "model": 1}, jax.devices()[:1])
    state, _ = create_state(
        values, groups, adamw, seed=seed, mesh=mesh, with_averages=with_averages
    )

    def vary(leaf: jax.Array) -> jax.Array:
        noise = random.integers(1, 100, leaf.shape) * random.random()
        return jax.device_put(noise.astype(leaf.dtype), leaf.sharding)

    return jax.tree.map(vary, state)._replace(step=state.step + seed)


@pytest.fixture
def checkpoints(tmp_path):
    opened = RunCheckpoints(tmp_path, keep=2)
    yield opened
    opened.close()


def _save(checkpoints: RunCheckpoints, step: int, state: TrainState) -> None:
    checkpoints.save(state, tiny.classes(), DESCRIPTION, step)
    checkpoints.wait()


def _restore(checkpoints: RunCheckpoints, step: int, like: TrainState):
    """Restores into the structure of another state, of which nothing may remain."""
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), like)
    shardings = jax.tree.map(lambda leaf: leaf.sharding, like)
    return checkpoints.restore(step, shapes, shardings)


def _assert_identical(found, expected) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    for array, wanted in pairs:
        assert array.dtype == wanted.dtype and array.shape == wanted.shape
        assert np.asarray(array).tobytes() == np.asarray(wanted).tobytes()


def test_a_state_comes_back_bit_by_bit(checkpoints, tmp_path):
    state = _state(seed=7)
    _save(checkpoints, 7, state)
    other = RunCheckpoints(tmp_path)  # as a new process would
    restored, classes = _restore(other, 7, _state(seed=1))
    _assert_identical(restored, state)
    _assert_identical(classes, tiny.classes())
    assert int(restored.step) == 7
    for leaf, target in zip(jax.tree.leaves(restored), jax.tree.leaves(state), strict=True):
        assert leaf.sharding == target.sharding
    other.close()


def test_weights_alone(checkpoints):
    state = _state()
    _save(checkpoints, 1, state)
    mesh = make_mesh({"data": 1, "fsdp": 1, "model": 1}, jax.devices()[:1])
    sharding = NamedSharding(mesh, PartitionSpec())
    weights, classes = checkpoints.restore_weights(1, sharding)
    _assert_identical(dict(sorted(weights.items())), {**state.trained, **state.frozen})
    _assert_identical(classes, tiny.classes())
    assert all(value.sharding == sharding for value in weights.values())


def test_averages_are_restored_and_are_the_weights_to_evaluate(checkpoints):
    state = _state(with_averages=True)
    _save(checkpoints, 1, state)
    restored, _ = _restore(checkpoints, 1, _state(seed=1, with_averages=True))
    _assert_identical(restored, state)
    sharding = jax.tree.leaves(state.frozen)[0].sharding
    weights, _ = checkpoints.restore_weights(1, sharding)
    _assert_identical(dict(sorted(weights.items())), {**state.averaged, **state.frozen})


class TestDamage:
    """A step whose arrays are others than were saved, which Orbax alone reads without a word."""

    @pytest.fixture
    def two(self, checkpoints):
        for step in (1, 2):
            _save(checkpoints, step, _state(step, with_averages=True))
        return checkpoints

    def exchange(self, checkpoints, item):
        """Gives step 2 the arrays of step 1."""
        folder = checkpoints.directory / "2" / item
        shutil.rmtree(folder)
        shutil.copytree(checkpoints.directory / "1" / item, folder)

    @pytest.mark.parametrize("item", ["parameters", "averaged", "progress"])
    def test_a_damaged_step_is_named_and_an_intact_one_offered(self, two, item):
        self.exchange(two, item)
        message = f"{two.directory}/2 cannot be read, .*; that of step 1 is intact: .*{item}/.* has"
        with pytest.raises(DamagedError, match=message):
            _restore(two, 2, _state(with_averages=True))
        sharding = jax.tree.leaves(_state().frozen)[0].sharding
        if item == "progress":
            two.restore_weights(2, sharding)  # which needs none of it
        else:
            with pytest.raises(DamagedError, match=message):
                two.restore_weights(2, sharding)

    def test_a_step_whose_time_is_damaged_is_named(self, two, tmp_path):
        path = two.directory / "2" / "_CHECKPOINT_METADATA"
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "commit_timestamp_nsecs": 10**30}))
        with pytest.raises(DamagedError, match=f"{two.directory}/2 cannot be read"):
            RunCheckpoints.open(tmp_path)

    def test_one_that_is_damaged_too_is_not_offered(self, two):
        self.exchange(two, "parameters")
        shutil.copytree(two.directory / "2", two.directory / "1", dirs_exist_ok=True)
        with pytest.raises(DamagedError, match="/2 cannot be read, .*there is no older checkpoint"):
            _restore(two, 2, _state(with_averages=True))

    @pytest.mark.parametrize(
        "change",
        [
            {"version": 2},
            {"digest": None},
            {"digests": None},
            {"action_names": ["Keeping still", "Jump"]},
            {"relation_counts": [[0, 3]]},
        ],
    )
    def test_a_changed_description(self, two, change):
        file = two.directory / "2" / "description" / "metadata"
        file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
        with pytest.raises(DamagedError, match="/2 cannot be read, .*step 1 is intact.*another"):
            two.describe(2)

    def test_older_ones_have_no_digests(self, two):
        for step in (1, 2):
            file = two.directory / str(step) / "description" / "metadata"
            content = json.loads(file.read_text())
            del content["digest"], content["digests"]
            file.write_text(json.dumps({**content, "version": 2}))
        restored, _ = _restore(two, 2, _state(with_averages=True))
        _assert_identical(restored, _state(2, with_averages=True))


def test_description(checkpoints):
    _save(checkpoints, 1, _state())
    found = checkpoints.describe(1)
    np.testing.assert_array_equal(found.relation_counts, DESCRIPTION.relation_counts)
    assert found.relation_counts.dtype == np.int64
    assert dataclasses.replace(found, digests=None, step=None).to_json() == DESCRIPTION.to_json()
    assert found.action_names == DESCRIPTION.action_names


def test_the_newest_are_kept(checkpoints):
    assert checkpoints.latest_step() is None
    for step in (5, 10, 15):
        _save(checkpoints, step, _state(step))
        assert checkpoints.latest_step() == step
    kept = {name for name in os.listdir(checkpoints.directory) if name.isdigit()}
    assert kept == {"10", "15"}


def test_the_best_is_kept_beside_the_newest(checkpoints, tmp_path):
    assert checkpoints.best_step() is None
    for step, figure in ((5, 0.2), (10, 0.6), (15, 0.4), (20, None), (25, 0.5)):
        if figure is not None:
            is_best = all(figure >= earlier for earlier in (0.2, 0.6)[: step // 5 - 1])
            assert checkpoints.would_be_best(figure) == is_best
            checkpoints.record_figure(step, figure)
        _save(checkpoints, step, _state(step))
    kept = {name for name in os.listdir(checkpoints.directory) if name.isdigit()}
    assert kept == {"10", "20", "25"}
    for which, expected in (("best", 10), ("latest", 25)):
        opened, step = RunCheckpoints.open(tmp_path, which)
        assert step == expected
        restored, _ = _restore(opened, step, _state())
        _assert_identical(restored, _state(expected))
        opened.close()


def test_opening_the_best_of_a_run_that_was_never_evaluated(checkpoints, tmp_path):
    _save(checkpoints, 5, _state())
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}: no checkpoint here is the best"):
        RunCheckpoints.open(tmp_path, "best")


def test_opening_a_step(checkpoints, tmp_path):
    for step in (3, 4):
        _save(checkpoints, step, _state(step))
    for which, expected in (("latest", 4), (3, 3), ("3", 3)):
        opened, step = RunCheckpoints.open(tmp_path, which)
        assert step == expected
        opened.close()
    with pytest.raises(UserError, match=r"no complete 5 checkpoint here \(complete ones: 3, 4\)"):
        RunCheckpoints.open(tmp_path, 5)


def test_the_figures_of_a_run_that_kept_them_in_its_checkpoints(checkpoints, tmp_path):
    for step in (3, 4):
        _save(checkpoints, step, _state(step))
        folder = checkpoints.directory / str(step) / "metrics"
        folder.mkdir()
        (folder / "metrics").write_text(json.dumps({"metric": 1 / step}))
    opened, step = RunCheckpoints.open(tmp_path, "best")
    assert step == 3 and opened.is_evaluated(4)
    opened.close()


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"a": 1}', '{"3": null}', '{"3": true}', '{"3": "1"}', '{"3": NaN}', "[" * 100_000]
    + ['{"3": 1e999}', '{"-3": 0.1}', '{"3": 50}', "\x00"],
)
def test_damaged_figures_are_named(content, checkpoints, tmp_path):
    _save(checkpoints, 3, _state())
    (tmp_path / "evaluated.json").write_text(content)
    with pytest.raises(UserError, match=f"{tmp_path}/evaluated.json is damaged"):
        RunCheckpoints.open(tmp_path)


def test_a_description_of_a_newer_version_is_refused():
    content = DESCRIPTION.to_json()
    assert RunDescription.from_json(content).to_json() == content
    with pytest.raises(UserError, match="version 4, made by a newer animal_clip_jax"):
        RunDescription.from_json({**content, "version": 4})


def test_opening_neither_the_newest_nor_the_best(tmp_path):
    with pytest.raises(ValueError, match="is 'newest'; expected 'latest', 'best' or a"):
        RunCheckpoints.open(tmp_path, "newest")


def test_a_step_that_is_there_is_not_written_over(checkpoints):
    _save(checkpoints, 5, _state(1))
    _save(checkpoints, 5, _state(2))
    restored, _ = _restore(checkpoints, 5, _state(3))
    _assert_identical(restored, _state(1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"visual.class_embedding": (5,)}, r"1: visual.class_embedding has shape \(4,\); .*\(5,\)"),
        ({"visual.projection": (4, 4)}, r"1: visual.projection is missing; .*\(4, 4\)"),
    ],
)
def test_another_model_is_not_restored(checkpoints, change, message):
    _save(checkpoints, 1, _state())
    with pytest.raises(ValueError, match=message):
        _restore(checkpoints, 1, _state(shapes={**SHAPES, **change}))


def test_a_checkpoint_that_was_cut_off_is_not_seen(checkpoints, tmp_path):
    """Orbax writes into a folder of another name, which it renames once all is on disk."""
    _save(checkpoints, 1, _state(1))
    _save(checkpoints, 2, _state(2))
    (checkpoints.directory / "2").rename(checkpoints.directory / "2.orbax-checkpoint-tmp")
    opened, step = RunCheckpoints.open(tmp_path)
    assert step == 1
    restored, _ = _restore(opened, step, _state(3))
    _assert_identical(restored, _state(1))
    # The run goes on, and saves that step after all.
    _save(opened, 2, _state(2))
    assert opened.latest_step() == 2
    opened.close()


@pytest.mark.parametrize("tidies", [True, False])
def test_what_a_killed_save_left_is_tidied_by_the_run_that_saves(tidies, checkpoints, tmp_path):
    """Of a step that is not saved again, in whose place nothing comes."""
    _save(checkpoints, 3, _state())
    left = checkpoints.directory / "2.orbax-checkpoint-tmp"
    (checkpoints.directory / "3").replace(left)
    other = RunCheckpoints(tmp_path, tidies=tidies)
    assert other.latest_step() is None
    _save(other, 4, _state())
    other.close()
    assert left.exists() == (not tidies)


def test_opening_a_workdir_without_checkpoints(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}: no checkpoints here; train first"):
        RunCheckpoints.open(tmp_path)
    assert not any(tmp_path.iterdir())


def test_opening_a_workdir_without_a_complete_checkpoint(tmp_path):
    (tmp_path / "checkpoints" / "5.orbax-checkpoint-tmp").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}: no complete .*checkpoint here"):
        RunCheckpoints.open(tmp_path)


def test_a_disk_without_room_for_a_checkpoint(tmp_path):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("may not mount a small disk")
    try:
        checkpoints = RunCheckpoints(tmp_path)
        state = _state(shapes={**SHAPES, "visual.large.kernel": (128, 256)})
        message = rf"{tmp_path}/checkpoints: a checkpoint needs 0\.4 MiB, .* 0\.1 MiB left; there"
        with pytest.raises(UserError, match=message):
            _save(checkpoints, 1, state)
        assert checkpoints.latest_step() is None and not os.listdir(checkpoints.directory)
        checkpoints.close()
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_the_folder_of_another_step_is_refused(checkpoints, tmp_path):
    _save(checkpoints, 1, _state(1))
    shutil.copytree(checkpoints.directory / "1", checkpoints.directory / "2")
    reopened = RunCheckpoints(tmp_path)
    with pytest.raises(DamagedError, match="2 cannot be read.* that of step 1 is intact.* another"):
        reopened.describe(2)
    assert reopened.describe(1).step == 1
    reopened.close()


def test_a_pipe_in_a_checkpoint_is_not_waited_for(checkpoints, tmp_path):
    _save(checkpoints, 1, _state(1))
    path = checkpoints.directory / "1" / "description" / "metadata"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UserError, match=f"{path} is a pipe"):
        RunCheckpoints(tmp_path)
