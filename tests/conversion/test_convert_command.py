"""The command line: what it prints, what it writes, and how it says no."""

import subprocess
import sys

import published
import pytest

from animal_clip_jax import convert
from animal_clip_jax.conversion.weights import load_weights

torch = pytest.importorskip("torch")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "clip.pth"
    torch.save({k: torch.from_numpy(v) for k, v in published.state_dict("clip").items()}, path)
    return path


def run(*arguments: str) -> int:
    return convert.main(arguments)


def test_clip_to_animal_clip(tmp_path, source, capsys):
    output, torch_file = tmp_path / "weights", tmp_path / "animal.pth"
    run(
        f"--source={source}",
        "--to=animal_clip",
        "--num_frames=3",
        "--graph_width=32",
        f"--output={output}",
        f"--to_torch={torch_file}",
    )
    printed = capsys.readouterr().out
    assert "family        animal_clip (from clip)" in printed
    assert "vision        8 px, patch 4, width 128, 2 layers, 2 heads, quick_gelu" in printed
    assert f"written       {output}\n" in printed
    # Names are in a file, which the last line names; the screen has about ten lines.
    lines = printed.splitlines()
    assert len(lines) <= 11 and "message_projection" not in printed
    record = output / "conversion.txt"
    assert lines[-1] == f"names         in {record}"
    names = record.read_text().splitlines()
    assert names[0] == f"source        {source}" and lines[0] in names
    start = names.index("initialised, because the source lacks them:") + 1
    initialised = names[start : names.index("", start)]
    parameters, metadata = load_weights(output)
    count = sum(value.size for value in parameters.values())
    assert f"parameters    {len(parameters)} arrays, {count:,} values" in printed
    assert tuple(initialised) == metadata.initialised
    of_graph = sum(name.startswith("graph.") for name in initialised)
    (line,) = [line for line in lines if line.startswith("initialised")]
    assert f" {len(initialised)} arrays (" in line and f"graph {of_graph}" in line
    state_dict = torch.load(torch_file, weights_only=True)["model"]
    assert {k: tuple(v.shape) for k, v in state_dict.items()} == published.shapes("animal_clip")


def test_a_published_program_would_compute_otherwise(tmp_path, source, capsys):
    run(f"--source={source}", "--activation=gelu", f"--to_torch={tmp_path / 'a.pth'}")
    assert "activation is gelu, theirs quick_gelu" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--output={folder}/new"], "error: missing: --source"),
        (["--source={source}"], "error: missing: --output or --to_torch"),
        (["--source={folder}/nothing", "--output={folder}/new"], "nothing: no such file or folder"),
        (["--source={source}", "--output={folder}"], "error: {folder}: already exists"),
        (["--source={source}", "--to_torch={source}"], "error: {source}: already exists"),
        (["--source={source}", "--to_torch={folder}/a/b.pth"], "{folder}/a: no such folder"),
        (
            ["--source={source}", "--output={folder}", "--overwrite"],
            "{folder}: not a weights checkpoint, so it is not overwritten",
        ),
        (
            ["--source={source}", "--output={folder}/new", "--num_frames=8"],
            "--num_frames=8: a clip",
        ),
        (["{source}", "--output={folder}/new"], "error: missing: --source"),
        (["--source={source}", "{folder}"], "'{folder}' is one argument too many"),
    ],
)
def test_mistakes_end_with_one_line(tmp_path, source, capsys, arguments, message):
    before = sorted(tmp_path.iterdir()), source.read_bytes()
    places = {"folder": tmp_path, "source": source}
    assert run(*(argument.format(**places) for argument in arguments)) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ") and message.format(**places) in error
    assert (sorted(tmp_path.iterdir()), source.read_bytes()) == before


def test_a_failed_conversion_writes_nothing(tmp_path, source, capsys):
    tensors = torch.load(source, weights_only=True)
    del tensors["visual.proj"], tensors["ln_final.bias"]
    tensors["visual.proj"] = torch.ones(128, 64)
    torch.save(tensors, source)
    places = (f"--output={tmp_path / 'new'}", f"--to_torch={tmp_path / 'a'}")
    assert run(f"--source={source}", *places) == 2
    assert "clip.pth: missing ln_final.bias" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [source]
    run(f"--source={source}", f"--output={tmp_path / 'new'}", "--allow_missing=ln_final.*")
    assert load_weights(tmp_path / "new")[1].initialised == ("text.final_norm.bias",)


def test_the_exit_code_and_what_is_imported(tmp_path):
    """As a command, which at its end says what it imported."""
    program = (
        "import atexit, runpy, sys, animal_clip_jax.conversion.weights\n"
        "libraries = {'torch', 'tensorflow', 'transformers', 'tokenizers'}\n"
        "atexit.register(lambda: print(libraries & set(sys.modules)))\n"
        "runpy.run_module('animal_clip_jax.convert', run_name='__main__')"
    )
    arguments = [f"--source={tmp_path / 'no.pth'}", f"--output={tmp_path / 'new'}"]
    command = [sys.executable, "-c", program, *arguments]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr == f"error: {tmp_path / 'no.pth'}: no such file or folder\n"
    assert result.stdout == "set()\n"
    assert not list(tmp_path.iterdir())
