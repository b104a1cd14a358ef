"""Which checkpoint is the best, and on which clips that is decided."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tiny_run
from etils import epath

from animal_clip_jax.errors import UserError
from animal_clip_jax.run import results
from animal_clip_jax.run.checkpoints import RunCheckpoints
from animal_clip_jax.run.config import check_data
from animal_clip_jax.run.data import open_training_data
from animal_clip_jax.run.evaluate import evaluate
from animal_clip_jax.run.train import train
from animal_clip_jax.run.trained_run import TrainedRun
from data_pipeline.clip_index import load_index
from data_pipeline.dataset import load_info

BRIEF = dict(
    evaluation__temporal_views=1,
    evaluation__shuffle_frames=False,
    evaluation__animal_sources=("none",),
    checkpoint__every_epochs=100,
    checkpoint__keep=10,
    **tiny_run.PLAIN,
)


def evaluated(workdir) -> dict[int, float]:
    content = json.loads((workdir / "evaluated.json").read_text())
    return {int(step): figure for step, figure in content.items()}


@pytest.fixture(scope="module")
def validated(data, tmp_path_factory):
    """A run of four epochs of two steps that holds out a third of its training clips."""
    workdir = tmp_path_factory.mktemp("validated") / "run"
    train(tiny_run.config_on(data, **BRIEF, data__validation_share=0.3, epochs=4), workdir)
    return workdir


def test_the_best_is_chosen_on_clips_that_are_not_trained_on(validated, data):
    config = tiny_run.config_on(data, data__validation_share=0.3)
    dealt = open_training_data(config)
    train_ids, held_out = set(dealt.train.index.clip_ids), set(dealt.validation.index.clip_ids)
    whole = load_index(data, "train")
    assert train_ids | held_out == set(whole.clip_ids) and not train_ids & held_out
    assert not held_out & set(load_index(data, "test").clip_ids)
    assert len(held_out) == 16
    # Of each action alike: 6 training clips, 2 held out.
    assert all(count == 4 for count in dealt.action_clips())

    figures = evaluated(validated)
    lines = tiny_run.logged(validated, "evaluation")
    assert figures == {step: lines[step]["none/top1"] for step in (2, 4, 6)} | {8: figures[8]}
    assert lines[2]["none/clips"] == 16 and lines[2]["clip_set"] == "validation"
    assert lines[2]["split"] == "train" and lines[8]["split"] == "test"
    best = max(figures, key=lambda step: (figures[step], step))
    checkpoints, step = RunCheckpoints.open(validated, "best")
    assert step == best
    # Each that was the best at its time is saved, though no epoch is at a checkpoint interval.
    was_best = [
        step
        for step, figure in figures.items()
        if all(figure >= figures[earlier] for earlier in figures if earlier < step)
    ]
    assert len(was_best) > 1 and checkpoints.steps() == sorted({*was_best, 8})
    checkpoints.close()


def test_what_only_held_out_clips_show_is_not_known_of_training(validated, data):
    run = TrainedRun.open(validated)
    dealt = open_training_data(tiny_run.config_on(data, data__validation_share=0.3))
    expected = np.zeros_like(run.description.relation_counts)
    for animals, actions in zip(dealt.train.index.animals, dealt.train.index.actions, strict=True):
        expected[animals[0], actions[0]] += 1
    np.testing.assert_array_equal(run.description.relation_counts, expected)
    np.testing.assert_array_equal(run.description.action_clips, expected.sum(axis=0))
    _, classes = run.restore(None)
    np.testing.assert_array_equal(np.asarray(classes.relation), expected.T > 0)


def test_results_say_how_the_checkpoint_was_chosen(validated, run, data, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(validated, copy)
    report = evaluate(
        copy,
        tiny_run.config_on(
            data, **BRIEF, data__validation_share=0.3, epochs=4, evaluation__checkpoint="best"
        ),
    )
    assert "best checkpoint" in report and "chosen on validation clips" in report
    content = json.loads((tmp_path / report.splitlines()[-1] / "metrics.json").read_text())
    assert content["checkpoint"] == "best" and content["best_checkpoint_chosen_on"] == "validation"
    assert content["clip_set"] == "test" and content["metrics"]["none/clips"] == 80


def test_without_validation_clips_there_is_no_best(run, data):
    assert not (run / "evaluated.json").exists()
    with pytest.raises(UserError, match="no checkpoint here is the best: .*validation_split or"):
        evaluate(run, tiny_run.config_on(data, evaluation__checkpoint="best"))


def test_on_the_test_split_only_under_a_name_that_says_so(data):
    """That it is done, and written into the results: see the run of an earlier version."""
    for fields, expected in (
        ({"checkpoint__select_best_on": "test_as_published"}, "test"),
        ({}, None),
    ):
        validation = open_training_data(tiny_run.config_on(data, **fields)).validation
        assert (validation and validation.name) == expected


def test_an_evaluation_that_a_stop_prevented_is_made_up_for(validated, data, tmp_path, capsys):
    """The run was stopped after the last step of an epoch: saved, and not yet evaluated."""
    workdir = tmp_path / "run"
    shutil.copytree(validated, workdir)
    expected = evaluated(workdir)
    left = {step: figure for step, figure in expected.items() if step != 8}
    (workdir / "evaluated.json").write_text(json.dumps(left))
    shutil.rmtree(workdir / "evaluations")
    # Its line was being written.
    before = (workdir / "metrics.jsonl").read_bytes()
    until = before.index(b'{"step": 8, "kind": "evaluation"')
    (workdir / "metrics.jsonl").write_bytes(before[: until + 50])
    train(tiny_run.config_on(data, **BRIEF, data__validation_share=0.3, epochs=4), workdir)
    assert evaluated(workdir) == expected
    found = (workdir / "metrics.jsonl").read_text().splitlines()
    for line, wanted in zip(found, before.decode().splitlines(), strict=True):
        assert json.loads(line) == json.loads(wanted)
    assert "the last line was broken off after 50 bytes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"data__validation_share": 0.2, "data__validation_split": "test"}, "give one of them"),
        ({"data__validation_split": "dev"}, r"data.validation_split is 'dev', but .* has test, tr"),
        ({"data__test_split": "test+night"}, r"has test, train; .*'night' is none of them"),
        ({"data__train_split": "test+train"}, r"data.train_split is 'test.train', but"),
    ],
)
def test_what_cannot_be_chosen_on(fields, message, data, tmp_path):
    with pytest.raises(UserError, match=message):
        train(tiny_run.config_on(data, **fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_split_of_the_data(data, tmp_path):
    config = tiny_run.config_on(data, data__validation_split="test")
    assert open_training_data(config).validation.name == "test"
    assert len(open_training_data(config).train.index) == tiny_run.TRAIN_CLIPS


def test_a_split_without_clips(data):
    info = dataclasses.replace(load_info(data), split_sizes={"train": 48, "test": 80, "test_x": 0})
    config = tiny_run.config_on(data, data__test_split="test+test_x")
    with pytest.raises(UserError, match="the split 'test_x' of .* has no clips; leave it out"):
        check_data(config, info)


def test_several_splits_are_tested_together_and_each_by_itself(run, data, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(run, workdir)

    def figures(split: str) -> dict[str, float]:
        evaluate(workdir, tiny_run.config_on(data, data__test_split=split))
        found = [results.read(epath.Path(each)) for each in (workdir / results.FOLDER).iterdir()]
        (metrics,) = [content["metrics"] for content in found if content["split"] == split]
        return metrics

    both = figures("test+train")
    for split, clips in (("train", tiny_run.TRAIN_CLIPS), ("test", tiny_run.TEST_CLIPS)):
        alone = figures(split)
        for source in ("none", "labels"):
            assert both[f"{source}/top1_group_{split}"] == pytest.approx(alone[f"{source}/top1"])
            assert both[f"{source}/clips_group_{split}"] == clips
