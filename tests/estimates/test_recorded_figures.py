"""The recorded figures of compiled programs, and the compilers where they are installed."""

import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
from absl import flags
from absl.testing import flagsaver

from animal_clip_jax.estimates.chips import COMPILER_FLAGS
from benchmarks.compiled import CONFIGURATIONS, RECORD, main, missing_compiler, worse
from benchmarks.input import clips_of_a_v5e

ROOT = pathlib.Path(__file__).parents[2]


def test_what_is_worse_by_more_than_three_per_cent_is_said():
    recorded = {"Mcycles": 100.0, "TFLOP": 2.0, "MB exchanged": 0.0}
    assert worse(recorded, {"Mcycles": 102.9, "TFLOP": 1.0, "MB exchanged": 0.0}) == []
    assert worse(recorded, {"Mcycles": 103.1, "TFLOP": 2.0, "MB exchanged": 5.0}) == [
        "Mcycles: 103.1, recorded 100",
        "MB exchanged: 5, recorded 0",
    ]


def test_every_configuration_is_recorded():
    assert set(json.loads(RECORD.read_text())["figures"]) == set(CONFIGURATIONS)


@pytest.mark.parametrize(
    ("target", "compiler"), [("tpu:v5e:2x2", "libtpu"), ("cuda:h100:1", "jax_cuda12_plugin")]
)
def test_what_cannot_be_compiled_is_left_out_and_said(target, compiler, capsys):
    if importlib.util.find_spec(compiler):
        assert missing_compiler(target) == ""
        return
    assert missing_compiler(target) == compiler
    only = next(name for name, of in CONFIGURATIONS.items() if of.target == target)
    with flagsaver.flagsaver(), pytest.raises(SystemExit, match="nothing was compiled"):
        flags.FLAGS(["compiled", "--check", f"--only={only}"])
        main([])
    assert capsys.readouterr().out == f"left out, as {compiler} is not installed: {only}\n"


def test_the_input_benchmark_takes_the_fastest_step_of_a_tpu():
    """Beside those of GPUs, which have no cycles: 16 clips a chip at 1.5 GHz."""
    recorded = json.loads(RECORD.read_text())["figures"]
    cycles = recorded["ViT-B/16, 8 frames, bfloat16, attention=fused"]["Mcycles"]
    assert clips_of_a_v5e() == pytest.approx(16 * 1500 / cycles)


def _run(*command: str, needs: str = "libtpu", **flags: str) -> subprocess.CompletedProcess:
    """With these flags of compilers in the environment, and no others."""
    pytest.importorskip(needs, reason="needs the compiler")
    others = {name: said for name, said in os.environ.items() if name not in COMPILER_FLAGS}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**others, **flags},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_no_figure_is_worse_than_recorded(name):
    is_of_a_tpu = CONFIGURATIONS[name].target.startswith("tpu:")
    finished = _run(
        *("-m", "benchmarks.compiled", "--check", f"--only={name}"),
        needs="libtpu" if is_of_a_tpu else "jax_cuda12_plugin",
    )
    assert finished.returncode == 0, finished.stderr
    print(finished.stdout)


SMALL = (
    "--config=configs/demo.py",
    "--config.data.num_actions=8",
    "--config.data.num_animals=6",
)


@pytest.mark.slow
def test_a_small_step_is_compiled_for_a_tpu():
    finished = _run("-m", "animal_clip_jax.estimate", *SMALL, "--target=tpu:v5e:2x2")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("fits: ")
    total = re.search(r"estimated time +([\d.]+) ms", finished.stdout)
    parts = re.findall(
        r"^(?:all else|.+ (?:forward|backward)) +([\d.]+) +[\d.]+%", finished.stdout, re.M
    )
    assert total and len(parts) == 11
    assert sum(map(float, parts)) == pytest.approx(float(total[1]), abs=0.1)  # of rounded figures
    assert re.search(r"^attention +backward ", finished.stdout, re.M)
    # Not all temporaries are there at once.
    found = re.findall(r"^memory: (.+?) +([\d.]+) GB", finished.stdout, re.M)
    *parts, (name, peak) = ((name, float(size)) for name, size in found)
    lasting = sum(size for part, size in parts if part != "temporaries")
    assert name == "at the peak" and len(parts) == 4
    assert lasting <= peak + 0.02 and peak <= lasting + dict(parts)["temporaries"] + 0.02


@pytest.mark.slow
def test_a_small_step_is_compiled_for_a_gpu():
    """In bfloat16, so that cuDNN computes the attention."""
    fields = ("--config.model.dtype=bfloat16", "--config.model.attention=fused")
    finished = _run(
        *("-m", "animal_clip_jax.estimate", *SMALL, *fields, "--target=cuda:h100:2"),
        needs="jax_cuda12_plugin",
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("fits: ") and finished.stderr.count("\n") == 1
    beside = re.search(r"on paper +[\d.]+ G \(compiled ([+-][\d.]+)%\)", finished.stdout)
    # What does not depend on the clips, such as the graph, each of the two computes whole.
    assert beside and 0 <= float(beside[1]) < 10
    assert re.search(r"^all-reduce ", finished.stdout, re.M)
    assert re.search(r"^attention +backward ", finished.stdout, re.M)


@pytest.mark.slow
def test_a_topology_that_the_compiler_does_not_know_is_said_in_a_line():
    finished = _run("-m", "animal_clip_jax.estimate", *SMALL, "--target=tpu:v5e:3x5")
    assert finished.returncode == 2 and finished.stdout == ""
    assert finished.stderr.startswith("error: --target=tpu:v5e:3x5: the compiler knows no such")
    assert finished.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("where", COMPILER_FLAGS)
def test_what_is_said_of_an_unknown_flag_is_shown(where):
    """By what ends the process."""
    finished = _run(
        *("-m", "animal_clip_jax.estimate", *SMALL, "--target=tpu:v5e:2x2"),
        **{where: "--xla_tpu_no_such_flag=1"},
    )
    assert finished.returncode != 0 and finished.stdout == ""
    assert "xla_tpu_no_such_flag" in finished.stderr
