"""The command line: what it prints, what it writes, and how it says no."""

import subprocess
import sys

import published
import pytest
from absl import flags
from absl.testing import flagsaver

from animal_clip_jax import convert
from animal_clip_jax.conversion.weights import load_weights

torch = pytest.importorskip("torch")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "clip.pth"
    torch.save({k: torch.from_numpy(v) for k, v in published.state_dict("clip").items()}, path)
    return path


def run(*arguments: str) -> None:
    with flagsaver.flagsaver():
        convert.main(flags.FLAGS(["convert", *arguments]))


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
    assert "\n  visual.blocks.{0-1}.message_projection.kernel\n" in printed
    assert "\n  graph.layers.{0-1}.kernel\n" in printed
    assert f"written       {output}\n" in printed
    parameters, metadata = load_weights(output)
    count = sum(value.size for value in parameters.values())
    assert f"parameters    {len(parameters)} arrays, {count:,} values" in printed
    assert f"initialised   {len(metadata.initialised)}\n" in printed
    state_dict = torch.load(torch_file, weights_only=True)["model"]
    assert {k: tuple(v.shape) for k, v in state_dict.items()} == published.shapes("animal_clip")


def test_a_published_program_would_compute_otherwise(tmp_path, source, capsys):
    run(f"--source={source}", "--activation=gelu", f"--to_torch={tmp_path / 'a.pth'}")
    assert "activation is gelu, theirs quick_gelu" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--output={folder}/new"], "error: --source and --output"),
        (["--source={source}"], "error: --source and --output"),
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
        (["{source}", "--output={folder}/new"], "is not a flag; give the checkpoint as --source"),
    ],
)
def test_mistakes_end_with_one_line(tmp_path, source, capsys, arguments, message):
    before = sorted(tmp_path.iterdir()), source.read_bytes()
    places = {"folder": tmp_path, "source": source}
    with pytest.raises(SystemExit) as exit:
        run(*(argument.format(**places) for argument in arguments))
    # sys.exit(text) prints it to stderr and exits with 1.
    assert isinstance(exit.value.code, str)
    assert message.format(**places) in exit.value.code
    assert exit.value.code.startswith("error: ") and "\n" not in exit.value.code
    assert (sorted(tmp_path.iterdir()), source.read_bytes()) == before


def test_a_failed_conversion_writes_nothing(tmp_path, source):
    tensors = torch.load(source, weights_only=True)
    del tensors["visual.proj"], tensors["ln_final.bias"]
    tensors["visual.proj"] = torch.ones(128, 64)
    torch.save(tensors, source)
    with pytest.raises(SystemExit, match=r"clip\.pth: missing ln_final\.bias"):
        run(f"--source={source}", f"--output={tmp_path / 'new'}", f"--to_torch={tmp_path / 'a'}")
    assert list(tmp_path.iterdir()) == [source]
    run(f"--source={source}", f"--output={tmp_path / 'new'}", "--allow_missing=ln_final.*")
    assert load_weights(tmp_path / "new")[1].initialised == ("text.final_norm.bias",)


def test_the_exit_code_and_what_is_imported(tmp_path):
    program = (
        "import sys, animal_clip_jax.convert, animal_clip_jax.conversion.weights;"
        "print({'torch', 'tensorflow', 'transformers', 'tokenizers'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout == "set()\n", result.stderr
    command = [sys.executable, "-m", "animal_clip_jax.convert"]
    command += [f"--source={tmp_path / 'no.pth'}", f"--output={tmp_path / 'new'}"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr == f"error: {tmp_path / 'no.pth'}: no such file or folder\n"
    assert not list(tmp_path.iterdir())
