"""What lies in a workdir says what it is."""

import shutil

import tiny_run
from etils import epath

from animal_clip_jax.run import workdir as workdir_lib


def test_every_entry_of_a_run_is_explained_in_it(run):
    text = (run / "README.txt").read_text()
    explained = {
        line.split()[0].partition("/")[0] for line in text.splitlines() if line[:2] == "  "
    }
    found = {path.name for path in run.iterdir()} - {"README.txt"}
    assert found and found <= explained
    assert all(len(line) <= 80 for line in text.splitlines())
    (evaluation,) = (run / "evaluations").iterdir()
    assert all(path.name in text for path in evaluation.iterdir())


def test_notes_of_a_person_stay(run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / "README.txt").write_text("the one with the good zebras")
    workdir_lib.explain(epath.Path(folder))
    assert (folder / "README.txt").read_text() == "the one with the good zebras"


def test_parameters_are_listed_with_words_that_are_explained(run):
    text = (run / "parameters.txt").read_text()
    header, *lines = text.splitlines()
    assert header == "animal_clip, values by part"
    beginning = next(i for i, line in enumerate(lines) if line.startswith("parameter "))
    rows = [line.split() for line in lines[beginning + 2 : lines.index("", beginning)]]
    _, values = tiny_run.checkpoint(run)
    assert {row[0] for row in rows} == values["parameters"].keys()
    total = next(line.split() for line in lines if line.startswith("all "))
    assert sum(map(int, total[1:])) == sum(array.size for array in values["parameters"].values())
    (end,) = [i for i, line in enumerate(lines) if line.startswith("group:")]
    explained = {line.split()[0] for line in lines[end + 1 :]}
    assert {row[-1] for row in rows} == explained == {"base", "new", "decay_only", "frozen"}
