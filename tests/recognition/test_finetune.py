"""The command that fits an image–text model to the animals of a data set."""

import contextlib
import io

import numpy as np
import pytest
import tiny_run
from etils import epath

from animal_clip_jax import finetune_recogniser
from animal_clip_jax.conversion.weights import load_weights
from animal_clip_jax.errors import UserError
from animal_clip_jax.parallel.mesh import make_mesh
from animal_clip_jax.run.animals import AnimalRecognition
from animal_clip_jax.run.data import open_training_data, whole_split
from data_pipeline.dataset import dataset_digest, load_info


def command(data, output, *arguments: str) -> list[str]:
    return [
        "--config=tests/tiny_run.py",
        f"--config.data.directory={data}",
        f"--output={output}",
        "--batch_size=16",
        *arguments,
    ]


@pytest.fixture(scope="module")
def fitted(data, recogniser_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted") / "weights"
    from_recogniser = f"--config.init_from={recogniser_folder}"
    arguments = command(data, folder, from_recogniser, "--steps=60", "--learning_rate=1e-3")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as output:
        patch.chdir(tiny_run.ROOT)
        assert finetune_recogniser.main(arguments) == 0
    assert f"{folder}: an image–text model" in output.getvalue()
    return folder


def test_it_learns_to_name_the_animals_and_keeps_the_texts(
    fitted, data, recogniser_folder, tmp_path
):
    names = load_info(data).animal_names
    found = {}
    for title, folder in (("before", recogniser_folder), ("after", fitted)):
        config = tiny_run.config_on(data, animals__weights=str(folder))
        workdir = tmp_path / title
        workdir.mkdir()
        recognition = AnimalRecognition(config, epath.Path(workdir), names, make_mesh(config.mesh))
        clips = whole_split(str(data), "train")
        weights = recognition.weights("predicted", clips)
        found[title] = recognition.figures(weights, clips)["animals_mAP"]
    assert found["after"] > found["before"] + 0.2
    before, after = (load_weights(folder).parameters for folder in (recogniser_folder, fitted))
    assert before.keys() == after.keys()
    for path, value in before.items():
        assert np.array_equal(value, after[path]) == path.startswith("text."), path


def test_the_weights_say_what_they_were_fitted_to(fitted, data, recogniser_folder):
    assert load_weights(fitted).metadata.fitted_to == f"{dataset_digest(data)}/train"
    assert load_weights(recogniser_folder).metadata.fitted_to == ""


def test_a_run_does_not_learn_from_what_was_fitted_to_its_own_clips(
    fitted, data, recogniser_folder, tmp_path
):
    def recognition_for(folder, **fields):
        config = tiny_run.config_on(data, animals__weights=str(folder), **fields)
        given = open_training_data(config)
        return AnimalRecognition.for_training(
            config, epath.Path(tmp_path), given, make_mesh(config.mesh)
        )

    half = {"animals__otherwise": "predicted", "animals__label_dropout": 0.5}
    for fields in (half, {"animals__source": "predicted"}, {"animals__source": "learned"}):
        with pytest.raises(UserError, match=f"config.animals.weights: {fitted} was fitted to"):
            recognition_for(fitted, **fields)
        assert recognition_for(recogniser_folder, **fields) is not None
    with pytest.raises(UserError, match=f"config.init_from: {fitted} was fitted to"):
        recognition_for("", init_from=str(fitted), **half)
    # Evaluated with it, or where what is withheld is not recognised, it may be used.
    evaluated = {"evaluation__animal_sources": ("predicted",)}
    assert recognition_for(fitted, **evaluated) is not None
    assert recognition_for(fitted, **{**half, "data__train_split": "test"}) is not None
    assert recognition_for(fitted, **{**half, "animals__label_dropout": 0.0}) is None


def refusal(capsys, *arguments) -> str:
    """The one line that the command ends with."""
    assert finetune_recogniser.main(command(*arguments)) == 2
    return tiny_run.error_line(capsys.readouterr().err)


def test_weights_that_are_there_are_not_replaced(fitted, data, capsys, monkeypatch):
    monkeypatch.chdir(tiny_run.ROOT)
    assert f"{fitted}: already exists" in refusal(capsys, data, fitted, "--steps=1")


def test_data_that_is_not_there(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tiny_run.ROOT)
    line = refusal(capsys, tmp_path / "none", tmp_path / "weights", "--steps=1")
    assert str(tmp_path / "none") in line and not (tmp_path / "weights").exists()
