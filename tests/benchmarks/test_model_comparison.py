"""The comparison of models: what it trains, and what it says of it."""

import numpy as np
import pytest
from tiny_run import ROOT

from animal_clip_jax.estimates.prediction import prediction_program
from animal_clip_jax.models.description import CLASSIFIERS
from animal_clip_jax.parallel.mesh import make_mesh
from animal_clip_jax.run.config import check_fields
from benchmarks.models import page, sizes
from benchmarks.models.kinds import KINDS, NUM_FRAMES
from benchmarks.questions import OF_SPLITS, SHUFFLED
from benchmarks.trainings.many import Kind
from benchmarks.trainings.one import Job, Places, config_of
from benchmarks.trainings.outcomes import Outcomes

PLACES = Places("/data", "/new", "/texts", "/weights", "/runs")


def job(kind: Kind) -> Job:
    return Job(kind.name, kind.config, kind.fields, kind.from_clip, 1, 10, PLACES)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_is_trained_with_the_same_clips_frames_and_epochs(kind, monkeypatch):
    monkeypatch.chdir(ROOT)
    config = config_of(job(kind))
    check_fields(config)
    assert (config.model.num_frames, config.epochs, config.seed) == (NUM_FRAMES, 10, 1)
    assert (config.data.directory, config.batch_size) == ("/data", 16)
    # Nothing may tell the animal.
    assert "labels" not in config.evaluation.animal_sources
    assert config.init_from == ("/weights" if kind.from_clip else "")
    # Those with towers of CLIP start from it, and no others.
    is_of_clip = config.model.family == "evl" or config.model.family not in CLASSIFIERS
    assert kind.from_clip == is_of_clip


def test_a_job_is_the_same_for_another_process():
    for kind in KINDS:
        read = Job.read(job(kind).written())
        assert (read.workdir, read.places) == (job(kind).workdir, PLACES)
        assert config_of(read).to_json() == config_of(job(kind)).to_json()


def outcomes() -> Outcomes:
    """Two seeds of 200 clips a question: a tenth right, and of SlowFast's in order a half."""
    few, many = (np.arange(200) < count for count in (20, 100))
    finished = {}
    for kind in KINDS:
        source = page.source_of(kind)
        for seed in (0, 1):
            finished[kind.name, seed] = {
                question: {
                    source + order: {
                        f"{clip:03d}": int(right)
                        for clip, right in enumerate(
                            many if kind.name == "slowfast" and not order else few
                        )
                    }
                    for order in ("", SHUFFLED)
                }
                for question in OF_SPLITS.values()
            }
    return Outcomes.of_trainings(finished)


def test_the_table_says_who_knows_time_and_who_new_animals(tmp_path):
    text = page.written(outcomes())
    assert f"| SlowFast |{' 50.0 ± 0.0 |' * 4} 10.0 ± 0.0 |" in text
    assert f"| Animal-CLIP, as published |{' 10.0 ± 0.0 |' * 5}" in text
    time, animals = text.split("**Which knows new animals**")
    (row,) = [line for line in time.splitlines() if line.startswith("| SlowFast | +")]
    assert row.startswith("| SlowFast | +40.0 (+") and row.endswith("| better |")
    assert "| I3D | +0.0 (+0.0 to +0.0) | no difference shown |" in time
    assert "| SlowFast | +40.0" in animals and "| Animal-CLIP, as published |" not in animals
    page.draw(outcomes(), tmp_path / "images" / "models.svg")
    drawn = (tmp_path / "images" / "models.svg").read_text()
    assert all(kind.title in drawn for kind in KINDS)


@pytest.mark.parametrize("name", sizes.MODELS)
def test_the_full_models_predict(name):
    config = sizes.configuration(name)
    config.batch_size = 2
    _, shapes, _ = prediction_program(config, make_mesh(config.mesh))
    assert shapes[1].shape == (2, config.model.num_frames, 224, 224, 3)


def test_parameters_and_operations_of_a_full_model():
    # PySlowFast's model zoo: 28.0 million parameters with 400 classes, here with 140.
    row = sizes.on_paper("i3d")
    expected = 28.04 - (400 - 140) * 2049 / 1e6
    assert float(row["million parameters"]) == pytest.approx(expected, abs=0.06)
    assert row["trained"] == row["million parameters"]
