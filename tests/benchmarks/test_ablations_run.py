"""The ablations as a whole, on a world of a few clips."""

import pathlib
import shutil
import subprocess
import sys

import pytest
from tiny_run import ROOT

from benchmarks.ablations.variants import BY_NAME

pytestmark = pytest.mark.slow


def run(module: str, *arguments: object) -> str:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("world")
    sizes = "--train_clips=48 --test_clips=1 --size=36 --num_frames=4 --stills=72 --test_stills=36"
    run("data_pipeline.synthetic", f"--output={folder / 'videos'}", *sizes.split())
    for source, name in (("videos", "data"), ("videos/unseen_action", "new")):
        places = (f"--source={folder / source}", f"--output={folder / name}")
        run("animal_clip_jax", "convert-videos", "--dataset=csv", *places, "--short_side=36")
    places = (f"--data={folder / 'videos' / 'pairs'}", f"--output={folder / 'clip'}")
    few = ("--architecture=tiny", "--steps=3", "--batch_size=16")
    run("animal_clip_jax", "pretrain", *places, *few)
    return folder


def ablations(world: pathlib.Path, output: pathlib.Path, *arguments: str) -> str:
    return run(
        "benchmarks.ablations",
        f"--world={world / 'data'}",
        f"--new_action={world / 'new'}",
        f"--new_texts={world / 'videos' / 'unseen_action' / 'descriptions'}",
        f"--weights={world / 'clip'}",
        f"--output={output}",
        "--epochs=1",
        "--seeds=0,1",
        "--only=video-names,video-descriptions,recommended",
        *arguments,
    )


def test_the_same_table_however_many_at_once_and_after_an_interruption(world, tmp_path):
    page = tmp_path / "results.md"
    page.write_text("<!-- ablations: begin -->\n<!-- ablations: end -->\n")
    first = tmp_path / "first"
    ablations(world, first, "--processes=1", f"--page={page}")
    expected = (first / "tables.md").read_text()
    assert f"| {BY_NAME['recommended'].title} |" in expected and expected in page.read_text()
    assert (tmp_path / "images" / "ablations.svg").read_text().startswith("<?xml")
    second = tmp_path / "second"
    ablations(world, second, "--processes=2")
    assert (second / "tables.md").read_text() == expected
    # As if it had been stopped in the middle of one, and before another.
    shutil.rmtree(first / "recommended-seed1")
    (first / "video-names-seed0" / "finished.json").unlink()
    said = ablations(world, first)
    assert said.startswith("1/2 trained and tested")
    assert (first / "tables.md").read_text() == expected
