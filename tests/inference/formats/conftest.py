"""What the tests of formats share."""

import made_results as made
import pytest
from etils import epath

from animal_clip_jax.inference.formats.options import FormatOptions
from animal_clip_jax.inference.results import write_results


@pytest.fixture
def results(tmp_path):
    return write_results(tmp_path / "results.jsonl", made.HEADER, made.VIDEOS)


@pytest.fixture
def out(tmp_path):
    folder = epath.Path(tmp_path / "out")
    folder.mkdir()
    return folder


@pytest.fixture
def deployments(tmp_path):
    path = tmp_path / "deployments.csv"
    path.write_text(made.DEPLOYMENTS, encoding="utf-8")
    return path


@pytest.fixture
def options(deployments):
    return FormatOptions(deployments=epath.Path(deployments))
