"""Pretraining of an image–text model: going on, mistakes, and what its weights are good for."""

import json
import os
import shutil
import signal
from pathlib import Path

import made_pairs
import numpy as np
import pytest
import tiny_run

from animal_clip_jax import pretrain as command
from animal_clip_jax.conversion import weights
from animal_clip_jax.errors import DivergenceError, Interrupted, UserError
from animal_clip_jax.models.architectures import ClipArchitecture
from animal_clip_jax.models.normalisation import IMAGENET
from animal_clip_jax.run import label_accuracy, pretraining, pretraining_settings
from animal_clip_jax.run.start import initial_parameters, resolved
from animal_clip_jax.run.train import train

STEPS = 8
SMALL = ClipArchitecture(
    embed_dim=64,
    image_size=16,
    patch_size=8,
    vision_width=64,
    vision_layers=1,
    vision_heads=1,
    text_width=64,
    text_layers=1,
    text_heads=1,
    context_length=12,
)
LABELS = "label,text\n" + "".join(f"{colour},a {colour} picture\n" for colour in made_pairs.COLOURS)


@pytest.fixture(scope="module", autouse=True)
def small():
    """`--architecture=tiny` is smaller still."""
    choices = dict(pretraining_settings.CHOICES)
    pretraining_settings.CHOICES["tiny"] = SMALL
    yield
    pretraining_settings.CHOICES.update(choices)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "labels.csv").write_text(LABELS)
    return made_pairs.write(folder / "pairs")


def flags(pairs: Path, output: Path, *others: str) -> list[str]:
    given = [f"--data={pairs}", f"--output={output}", "--architecture=tiny", "--batch_size=8"]
    given += [f"--steps={STEPS}", "--learning_rate=1e-3", "--save_every=3", "--log_every=1"]
    names = [other.partition("=")[0] for other in others]
    return [flag for flag in given if flag.partition("=")[0] not in names] + list(others)


@pytest.fixture(scope="module")
def finished(pairs, tmp_path_factory) -> Path:
    """The weights of a pretraining that was not interrupted."""
    output = tmp_path_factory.mktemp("finished") / "weights"
    arguments = flags(pairs, output, f"--labels={pairs.parent / 'labels.csv'}")
    assert command.main(arguments) == 0
    return output


def said(code: int, capsys) -> str:
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def settings(**changes) -> pretraining_settings.Settings:
    values = dict(
        architecture="tiny",
        init_from="",
        steps=STEPS,
        batch_size=8,
        learning_rate=1e-3,
        weight_decay=0.02,
        seed=0,
        mirror=False,
        dtype="float32",
        train_split="train",
    )
    return pretraining_settings.Settings(**{**values, **changes})


def around(pairs: Path, output: Path, **changes) -> pretraining_settings.Surroundings:
    values = dict(
        data=str(pairs), output=str(output), workdir=f"{output}.pretraining", save_every=3
    )
    return pretraining_settings.Surroundings(**{**values, **changes})


def test_the_weights_are_a_clip_and_say_what_they_are(finished, pairs):
    found = weights.load_weights(finished)
    assert found.metadata.model.family == "clip" and found.metadata.normalisation == IMAGENET
    assert found.metadata.model.architecture == SMALL
    assert found.metadata.fitted_to.endswith("/train")
    log = tiny_run.logged(Path(f"{finished}.pretraining"), "train")
    assert set(log) == set(range(1, STEPS + 1)) and log[1]["pairs_per_second"] > 0
    # At first, no picture is told from the others; what is learned of noise is little.
    assert log[1]["loss"] == pytest.approx(np.log(8), rel=0.25)
    np.testing.assert_allclose(log[1]["logit_factor"], 1 / 0.07, rtol=1e-5)


def test_stopped_and_gone_on_with_it_ends_at_the_same_weights(finished, pairs, tmp_path, capsys):
    """By a signal after the first step, between two checkpoints."""
    output = tmp_path / "weights"
    log, write = pretraining.MetricsLog.write, []

    def stop(self, step, *arguments):
        log(self, step, *arguments)
        if not write:
            os.kill(os.getpid(), signal.SIGTERM)
        write.append(step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretraining.MetricsLog, "write", stop)
        with pytest.raises(Interrupted, match=f"stopped; step 1 of {STEPS} is saved in {output}"):
            pretraining.pretrain(settings(), around(pairs, output, log_every=1))
    assert not output.exists()
    said = pretraining.pretrain(settings(), around(pairs, output, log_every=1))
    assert f"going on from step 1 of {STEPS}" in capsys.readouterr().out and str(output) in said
    again, expected = weights.load_weights(output), weights.load_weights(finished)
    tiny_run.assert_identical(again.parameters, expected.parameters)
    assert again.metadata == expected.metadata


def test_what_has_finished_says_its_table_again(finished, pairs, capsys):
    before = sorted(path.stat().st_mtime_ns for path in finished.rglob("*"))
    arguments = flags(pairs, finished, f"--labels={pairs.parent / 'labels.csv'}")
    assert command.main(arguments) == 0
    printed = capsys.readouterr().out
    table = (Path(f"{finished}.pretraining") / "zero_shot.txt").read_text()
    assert "has finished, with step 8" in printed and table in printed
    assert before == sorted(path.stat().st_mtime_ns for path in finished.rglob("*"))
    rows = [line.split() for line in table.splitlines()[2:]]
    # Three of four labels are trained on; two pictures of each.
    assert [row[:6] for row in rows] == [
        ["seen", "in", "training", "name", "4", "6"],
        ["seen", "in", "training", "description", "4", "6"],
        ["unseen", "in", "training", "description", "4", "2"],
        ["unseen", "in", "training", "description", "1", "2"],
    ]
    assert rows[3][6] == "100.0%" and rows[3][-1] == "100.0%"
    figures = tiny_run.logged(Path(f"{finished}.pretraining"), "evaluation")[STEPS]
    assert figures["unseen_by_description_among_1"] == 1


def test_a_training_of_a_video_model_starts_from_them(finished):
    config = tiny_run.get_config()
    config.init_from = str(finished)
    config.model.architecture.update(
        {name: 0 for name in config.model.architecture if name != "activation"} | {"activation": ""}
    )
    config = resolved(config)
    assert config.model.architecture.image_size == 16
    start = initial_parameters(config)
    held = weights.load_weights(finished).parameters
    for path in ("text.token_embedding", "visual.blocks.0.mlp.expand.kernel"):
        np.testing.assert_array_equal(start.parameters[path], held[path])


def test_another_pretraining_goes_on_from_them(finished, pairs, tmp_path):
    """In steps of nothing, the weights stay; with the pixel statistics that they have."""
    given = settings(architecture="", init_from=str(finished), learning_rate=0.0, steps=1)
    pretraining.pretrain(given, around(pairs, tmp_path / "w"))
    found, held = weights.load_weights(tmp_path / "w"), weights.load_weights(finished)
    tiny_run.assert_identical(found.parameters, held.parameters)
    assert found.metadata == held.metadata


def test_other_settings_do_not_go_on_and_a_run_is_no_pretraining(finished, pairs, tmp_path):
    workdir = Path(f"{finished}.pretraining")
    with pytest.raises(UserError, match=r"differs: --seed \(there 0, now 1\)\. Choose another"):
        pretraining.pretrain(settings(seed=1), around(pairs, finished))
    other = made_pairs.write(tmp_path / "pairs", train=20)
    with pytest.raises(UserError, match=r"differs: the pairs \(others than there\)"):
        pretraining.pretrain(settings(), around(other, finished))
    with pytest.raises(UserError, match="is that of a pretraining; choose another folder"):
        train(tiny_run.get_config(), workdir)
    config = tiny_run.get_config()
    config.init_from = str(workdir)
    with pytest.raises(UserError, match="of a pretraining, not of a run; give the weights"):
        resolved(config)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").touch()
    with pytest.raises(UserError, match="is not empty and holds no pretraining, but diary.txt"):
        pretraining.pretrain(
            settings(), around(pairs, tmp_path / "w", workdir=str(tmp_path / "mine"))
        )


def test_a_loss_that_is_no_number_stops_it(pairs, tmp_path):
    with pytest.raises(DivergenceError, match=r"its pairs: \d+, .*there is no checkpoint in"):
        pretraining.pretrain(settings(learning_rate=1e30), around(pairs, tmp_path / "w"))
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--batch_size=1"], "a batch of 1 has nothing to tell a pair from"),
        (["--batch_size=25"], "there are 24 pairs to train on, fewer than a batch of 25"),
        (["--architecture=tny"], "there is no architecture 'tny'; did you mean tiny?"),
        (["--init_from=weights/x"], "expected one of --architecture"),
        (["--architecture="], "neither is given"),
        (["--train_split=tran"], "has no split 'tran'; it has train, test"),
        (["--test_split=none", "--labels={labels}"], "has no split 'none' beside that of the tr"),
        (["--labels={folder}/no.csv"], "no.csv"),
        (["--labels={folder}/fewer.csv"], "no text for 'grey' of the pairs; it has texts for blue"),
        (["--data={folder}/no"], "there is no folder"),
        (["--data={folder}"], "holds no pairs: it has no pairs.json"),
        (["--output={folder}/pairs"], "already exists"),
        (["--fsdp=3"], "but there are"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(given, message, pairs, tmp_path, capsys):
    folder = pairs.parent
    rows = [row for row in LABELS.splitlines() if not row.startswith("grey")]
    rows[1:] = sorted(rows[1:])
    (folder / "fewer.csv").write_text("\n".join(rows) + "\n")
    before = sorted(folder.rglob("*"))
    names = {"folder": folder, "labels": folder / "labels.csv"}
    arguments = flags(pairs, tmp_path / "new", *(flag.format(**names) for flag in given))
    if "--output={folder}/pairs" in given:
        arguments.append(f"--workdir={tmp_path / 'new'}")
    assert message in said(command.main(arguments), capsys)
    if "--output={folder}/pairs" not in given:
        assert not list(tmp_path.iterdir())
    assert sorted(folder.rglob("*")) == before


def test_weights_of_others_are_not_overwritten(finished, pairs, tmp_path):
    """Nor is anything begun beside them."""
    copy = tmp_path / "weights"
    shutil.copytree(finished, copy)
    with pytest.raises(UserError, match="already exists; choose another path or pass --overwrite"):
        pretraining.pretrain(settings(), around(pairs, copy))
    assert not (tmp_path / "weights.pretraining" / "pretraining.json").exists()


def test_accuracies_of_labels():
    """On features that are made so that each answer is known."""
    labels = np.array([0, 0, 1, 2, 2, 2])
    pictures = np.eye(3, dtype=np.float32)[[0, 1, 1, 2, 2, 0]]
    texts = {"name": np.eye(3) * [[1], [5], [2]], "description": np.eye(3)[[1, 0, 2]]}
    found = label_accuracy.label_accuracies(pictures, labels, np.array([True, True, False]), texts)
    assert [(one.name, one.pairs, round(one.top1, 4)) for one in found] == [
        ("seen_by_name_among_3", 3, 0.6667),
        ("seen_by_description_among_3", 3, 0.3333),
        ("unseen_by_description_among_3", 3, 0.6667),
        ("unseen_by_description_among_1", 3, 1.0),
    ]
    (alone,) = label_accuracy.label_accuracies(
        pictures, labels, np.ones(3, bool), {"name": texts["name"]}
    )
    assert alone.pairs == 6 and alone.top1 == pytest.approx(4 / 6)


def test_labels_beside_those_of_the_pairs_are_chosen_of_too(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(LABELS + "pink,a pink picture\n")
    given = label_accuracy.label_texts(path, sorted(made_pairs.COLOURS))
    assert given.names == (*made_pairs.COLOURS, "pink")
    assert given.texts["description"][-1] == ["a pink picture"]
    assert label_accuracy.label_texts(None, ["a", "b"]).names == ("a", "b")


def test_a_record_of_the_workdir_that_is_damaged_is_named(finished, pairs, tmp_path):
    workdir = tmp_path / "workdir"
    workdir.mkdir()
    for content in ("{", json.dumps({"settings": 3})):
        (workdir / "pretraining.json").write_text(content)
        with pytest.raises(UserError, match="pretraining.json is damaged"):
            pretraining.pretrain(settings(), around(pairs, tmp_path / "w", workdir=str(workdir)))
