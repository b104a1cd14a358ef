"""A run in a cloud's folder: what is written there is found there, and nothing becomes local.

Checkpoints are Orbax's own affair, which takes the same URLs.
"""

import os

import numpy as np
import pytest
import tiny_run
from etils import epath

from animal_clip_jax.evaluation import metrics
from animal_clip_jax.parallel.mesh import make_mesh
from animal_clip_jax.run import results
from animal_clip_jax.run.animals import AnimalRecognition
from animal_clip_jax.run.config import selection, with_absolute_paths
from animal_clip_jax.run.data import whole_split
from animal_clip_jax.run.evaluator import Result, SourceResult
from animal_clip_jax.run.inputs import record_inputs
from animal_clip_jax.run.metrics_log import MetricsLog
from animal_clip_jax.run.workdir import claim, read_config, read_record
from data_pipeline.dataset import load_info

ROOT = "gs://bucket/runs/one"


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """The URL of a folder in a cloud, whose files lie in a folder here."""
    folder, elsewhere = tmp_path / "bucket", tmp_path / "here"
    folder.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    def local(path):
        path = os.fspath(path)
        return path.replace("gs://bucket", str(folder), 1) if path.startswith("gs://") else path

    def on_local(function, path, *arguments, **settings):
        return function(local(path), *map(local, arguments[:1]), *arguments[1:], **settings)

    def open_local(function, path, mode):
        # As clouds have it: nothing is added to a file that is there.
        assert not (os.fspath(path).startswith("gs://") and "a" in mode)
        return function(local(path), mode)

    monkeypatch.setattr(epath.gpath, "_is_tf_installed", lambda: False)
    names = ("exists", "isdir", "listdir", "stat", "mkdir", "makedirs", "remove", "replace")
    names += ("rename", "rmtree")
    with epath.testing.mock_epath(open=open_local, **dict.fromkeys(names, on_local)):
        yield folder
    assert not list(elsewhere.iterdir())


def test_what_a_run_says_of_itself(bucket, data):
    config = with_absolute_paths(tiny_run.config_on(data))
    workdir = epath.Path(ROOT)
    claim(config, workdir, record_inputs(config))
    assert read_config(workdir).to_dict() == config.to_dict()
    assert read_record(workdir).inputs["data.directory"].path == str(data)
    assert sorted(os.listdir(bucket / "runs" / "one")) == ["config.json", "run.json"]


def test_paths_in_clouds_stay_as_they_are(bucket):
    config = tiny_run.config_on("gs://bucket/data", init_from="gs://bucket/weights")
    found = with_absolute_paths(config)
    assert (found.data.directory, found.init_from) == ("gs://bucket/data", "gs://bucket/weights")


def test_figures_are_added_line_by_line(bucket):
    workdir = epath.Path(ROOT)
    workdir.mkdir(parents=True)
    log = MetricsLog(workdir)
    for step in (1, 2):
        log.write(step, "train", {"loss": 0.5})
    lines = (bucket / "runs" / "one" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 2 and log.holds(2, "train") and not log.holds(3, "train")


def test_results(bucket, data):
    config = tiny_run.config_on(data)
    scores = np.random.default_rng(0).random((4, 8))
    figures = metrics.summarise(
        scores, np.eye(8)[:4], np.eye(2)[[0, 1, 0, 1]], np.ones((2, 8)), np.ones(8), False
    )
    source = results.provenance(
        config,
        whole_split(str(data), "test"),
        data_name="tiny",
        data_digest="00",
        step=3,
        checkpoint="latest",
        selection=selection(config),
    )
    result = Result(
        [
            SourceResult(
                "none", False, figures, [{"class": "Walking, slowly"}], [{"clip": "a"}], scores
            )
        ],
        {},
        np.zeros((1, 2), np.float32),
    )
    results.write(epath.Path(ROOT), source, result, multi_label=False)
    (folder,) = (bucket / "runs" / "one" / "evaluations").iterdir()
    names = ["metrics.json", "per_class.csv", "per_clip.csv", "report.txt"]
    assert sorted(os.listdir(folder)) == names
    assert '"Walking, slowly"' in (folder / "per_class.csv").read_text()


def test_image_features(bucket, data, recogniser_folder):
    config = tiny_run.config_on(data, animals__weights=str(recogniser_folder))
    names, clips = load_info(data).animal_names, whole_split(str(data), "test")
    mesh = make_mesh(config.mesh)
    found = AnimalRecognition(config, epath.Path(ROOT), names, mesh).image_features(clips)
    (kept,) = (bucket / "runs" / "one" / "image_features").iterdir()
    with np.load(kept) as content:
        np.testing.assert_array_equal(content["array"], found)
