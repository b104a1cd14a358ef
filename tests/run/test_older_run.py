"""A run made before runs kept a record of their own: it opens, resumes, evaluates, predicts.

`tests/data/older_run.tar.xz` is one of three steps of six, on `older_data.tar.xz`: 128 clips of 8
animals and 8 actions, and one of their videos. `older_run.json` holds what the program that made it
computed with it, and after going on to the end. Only the embeddings of the tokens in its labels are
not zero, to keep it small.
"""

import json
import pathlib
import tarfile

import numpy as np
import pytest
import tiny_run

import animal_clip_jax
from animal_clip_jax.errors import UserError
from animal_clip_jax.run.config import VALUES_OF_OLDER_RUNS, flat_config
from animal_clip_jax.run.evaluate import evaluate
from animal_clip_jax.run.train import train
from animal_clip_jax.run.trained_run import TrainedRun
from animal_clip_jax.run.workdir import read_config
from configs import default

FOLDER = pathlib.Path(__file__).parent.parent / "data"
EXPECTED = json.loads((FOLDER / "older_run.json").read_text())


@pytest.fixture
def older_run(tmp_path) -> pathlib.Path:
    with tarfile.open(FOLDER / "older_run.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "run"


@pytest.fixture(scope="module")
def older_data(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("older")
    with tarfile.open(FOLDER / "older_data.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "data"


def config_on(older_run: pathlib.Path, data: pathlib.Path):
    config = read_config(TrainedRun.open(older_run).folder)
    config.data.directory = str(data)
    return config


def test_every_field_that_it_lacks_has_a_value_for_it(older_run):
    recorded = flat_config(
        default.get_config().__class__(json.loads((older_run / "config.json").read_text()))
    )
    today = flat_config(default.get_config())
    assert today.keys() - recorded.keys() == VALUES_OF_OLDER_RUNS.keys()
    completed = flat_config(TrainedRun.open(older_run).config)
    assert completed.keys() == today.keys()
    assert completed["checkpoint.select_best_on"] == "test_as_published"
    assert completed["evaluation.scores"] == "softmax"


def test_it_is_evaluated_to_the_same_figures(older_run, older_data):
    folder = evaluate(older_run, config_on(older_run, older_data)).splitlines()[-1]
    content = json.loads((pathlib.Path(folder) / "metrics.json").read_text())
    assert content["step"] == 3 and content["best_checkpoint_chosen_on"] == "test_as_published"
    expected = {k: v for k, v in EXPECTED["figures_of_step_3"].items() if "/" in k}
    assert content["metrics"].keys() == expected.keys()
    for name, value in expected.items():
        assert content["metrics"][name] == pytest.approx(value, abs=1e-6), name


def test_it_predicts_the_same(older_run, older_data):
    model = animal_clip_jax.load(older_run, config=config_on(older_run, older_data))
    video = older_data.parent / "zebra.mp4"
    for name, animals in (("none", []), ("Zebra", ["Zebra"])):
        found = dict(model.predict(video, animals=animals).actions)
        assert found == pytest.approx(EXPECTED["prediction_of_step_3"][name], abs=1e-5)


def test_it_goes_on_to_the_same_end(older_run, older_data):
    train(config_on(older_run, older_data), older_run)
    step, content = tiny_run.checkpoint(older_run)
    assert step == 6
    # As it did then, it chooses its best checkpoint on the test split, and now says so.
    figures = json.loads((older_run / "evaluated.json").read_text())
    logged = tiny_run.logged(older_run, "evaluation")
    assert figures["3"] == logged[3]["none/top1"] and figures.keys() == {"3", "6"}
    (folder,) = (older_run / "evaluations").iterdir()
    result = json.loads((folder / "metrics.json").read_text())
    assert result["best_checkpoint_chosen_on"] == "test_as_published"
    assert "chosen on the test split, as published" in (folder / "report.txt").read_text()
    assert tiny_run.logged(older_run, "train")[6]["loss"] == pytest.approx(
        EXPECTED["losses"]["6"], rel=1e-5
    )
    for path, norm in EXPECTED["parameter_norms_of_step_6"].items():
        found = np.linalg.norm(content["parameters"][path].astype(np.float64))
        assert found == pytest.approx(norm, rel=1e-5, abs=1e-6), path


def test_without_its_data_it_asks_for_it(older_run):
    model = TrainedRun.open(older_run)
    with pytest.raises(
        UserError, match="of an older version does not say how large .* give a copy"
    ):
        _ = model.preprocessing
