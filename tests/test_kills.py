"""Every command that writes, killed at random moments: the same command again ends as if it had not
been. Slow; `KILLS` of each."""

import contextlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import published
import pytest
import tiny_run
from chat_server import ChatServer, Reply, Request, good_reply

from animal_clip_jax.conversion.weights import load_weights
from animal_clip_jax.locks import beside

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("KILLS", "40"))
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def animal_clip(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "animal_clip_jax", *map(str, arguments)]


def finish(command: list[str]) -> None:
    process = tiny_run.start(*command)
    _, errors = process.communicate()
    assert process.returncode == 0, errors


def killed_again_and_again(
    command: list[str], is_writing: Callable[[], bool], seed: int, *, seconds: float
):
    """Starts a command `KILLS` times, and kills it: every other time at any moment, and else within
    some seconds of its beginning to write. Yields after each time."""
    random = np.random.default_rng(seed)
    for kill, number in zip(range(KILLS), itertools.cycle(SIGNALS), strict=False):
        process = tiny_run.start(*command)
        while kill % 2 and process.poll() is None and not is_writing():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.01)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(random.uniform(0, seconds if kill % 2 else 4 * seconds))
        process.send_signal(number)
        _, errors = process.communicate()
        assert not any(line.startswith("Traceback") for line in errors.splitlines()) or (
            number == signal.SIGINT
        ), errors
        yield


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def clip(tmp_path) -> pathlib.Path:
    torch = pytest.importorskip("torch")
    path = tmp_path / "clip.pth"
    torch.save({k: torch.from_numpy(v) for k, v in published.state_dict("clip").items()}, path)
    return path


def arrays_in(path: pathlib.Path) -> dict[str, tuple]:
    parameters, metadata = load_weights(path)
    return {name: array.tobytes() for name, array in parameters.items()} | {"": metadata}


@pytest.mark.parametrize("overwrites", [False, True])
def test_convert(clip, tmp_path, overwrites):
    made, output = tmp_path / "made", tmp_path / "out" / "weights"
    command = animal_clip("convert", f"--source={clip}", "--to=animal_clip", "--seed=3")
    finish([*command, f"--output={made}"])
    expected = arrays_in(made)
    former = None
    if overwrites:
        finish([*command, "--seed=4", f"--output={output}"])
        former = arrays_in(output)
        assert former != expected
    command += [f"--output={output}", *(["--overwrite"] if overwrites else [])]
    for _ in killed_again_and_again(command, beside(output).exists, 0, seconds=1):
        found = arrays_in(output) if output.exists() or overwrites else None
        assert found in (former, expected)
        if found == expected and not overwrites:
            shutil.rmtree(output)
    finish(command)
    assert arrays_in(output) == expected and os.listdir(output.parent) == ["weights"]
    assert (output / "conversion.txt").read_bytes() == (made / "conversion.txt").read_bytes()


def test_convert_to_torch(clip, tmp_path):
    made, output = tmp_path / "made" / "clip.pth", tmp_path / "out" / "clip.pth"
    for path in (made, output):
        path.parent.mkdir()
    command = animal_clip("convert", f"--source={clip}")
    finish([*command, f"--to_torch={made}"])
    expected = made.read_bytes()
    output.write_bytes(b"former")
    command += [f"--to_torch={output}", "--overwrite"]
    for _ in killed_again_and_again(command, beside(output).exists, 1, seconds=0.2):
        assert output.read_bytes() in (b"former", expected)
    finish(command)
    assert output.read_bytes() == expected and os.listdir(output.parent) == ["clip.pth"]


def test_export(run, tmp_path):
    made, output = tmp_path / "made", tmp_path / "out" / "model"
    finish(animal_clip("export", run, f"--output={made}"))
    expected = contents(made)
    command = animal_clip("export", run, f"--output={output}", "--overwrite")
    for _ in killed_again_and_again(command, beside(output).exists, 2, seconds=2):
        assert not output.exists() or contents(output) == expected
    finish(command)
    assert contents(output) == expected and os.listdir(output.parent) == ["model"]


def test_evaluate(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "evaluations")
    command = animal_clip("evaluate", copy, "--config.evaluation.temporal_views=1")
    finish(command)
    (made,) = (copy / "evaluations").iterdir()
    expected = contents(made)
    shutil.rmtree(copy / "evaluations")
    for _ in killed_again_and_again(command, beside(made).exists, 3, seconds=5):
        assert not made.exists() or contents(made) == expected
    finish(command)
    assert contents(made) == expected and os.listdir(made.parent) == [made.name]


def test_finetune_recogniser(data, recogniser_folder, tmp_path):
    made, output = tmp_path / "made", tmp_path / "out" / "weights"
    command = animal_clip(
        "finetune-recogniser",
        "--config=tests/tiny_run.py",
        f"--config.data.directory={data}",
        f"--config.init_from={recogniser_folder}",
        "--batch_size=16",
        "--steps=4",
    )
    finish([*command, f"--output={made}"])
    expected = arrays_in(made)
    assert expected != arrays_in(recogniser_folder)
    shutil.copytree(recogniser_folder, output)
    former = arrays_in(output)
    command += [f"--output={output}", "--overwrite"]
    for _ in killed_again_and_again(command, beside(output).exists, 5, seconds=1):
        assert arrays_in(output) in (former, expected)
    finish(command)
    assert arrays_in(output) == expected and os.listdir(output.parent) == ["weights"]


def answers_in(folder: pathlib.Path) -> dict[str, bytes]:
    """The files of a prediction, without the time at which it began."""
    made = json.loads((folder / "results.jsonl").read_text().splitlines()[0])["made"]
    return {name: text.replace(made.encode(), b"") for name, text in contents(folder).items()}


def test_predict(run, videos, tmp_path):
    """No video is looked at twice, and none is left out."""
    made, output = tmp_path / "made", tmp_path / "out" / "answers"
    command = animal_clip("predict", run, videos / "videos", "--recursive", "--window=0.25")
    command += ["--format=bouts,zamba", "--workers=2"]
    finish([*command, f"--output={made}"])
    expected = answers_in(made)
    command += [f"--output={output}"]
    lines = made.joinpath("results.jsonl").read_bytes().splitlines()[1:]
    for _ in killed_again_and_again(command, (output / "results.jsonl").exists, 7, seconds=1):
        if (output / "results.jsonl").exists():
            whole = (output / "results.jsonl").read_bytes().split(b"\n")[1:-1]
            assert whole == lines[: len(whole)]
    finish(command)
    assert answers_in(output) == expected


def test_predict_in_shares(run, videos, tmp_path):
    """Each of two shares; the other one is there meanwhile, and the last one gathers."""
    made, output = tmp_path / "made", tmp_path / "out" / "answers"
    command = animal_clip("predict", run, videos / "videos", "--recursive", "--window=0.25")
    command += ["--format=bouts,zamba", "--workers=1", "--save_embeddings"]
    finish([*command, f"--output={made}"])
    expected = answers_in(made)
    for share in ("1/2", "0/2"):
        of_share = [*command, f"--output={output}", f"--shard={share}"]
        for _ in killed_again_and_again(of_share, (output / "parts").exists, 8, seconds=1):
            assert all(path.suffix in (".jsonl", "") for path in output.glob("parts/*"))
        finish(of_share)
    assert answers_in(output) == expected


def slow_reply(request: Request) -> Reply:
    time.sleep(0.05)  # what a language model takes; kills fall between the answers
    return good_reply(request)


def test_describe(tmp_path, monkeypatch):
    """And what was answered, and paid for, is not asked again."""
    names = tmp_path / "animals.txt"
    names.write_text("".join(f"Animal {number}\n" for number in range(20)))
    command = animal_clip(
        "describe",
        *(f"--labels={names}", "--kind=animal", "--model=writer", "--backend=openai"),
        *("--num_descriptions=4", "--overwrite", "--concurrency=2"),
    )
    made, output = tmp_path / "made" / "texts.csv", tmp_path / "out" / "texts.csv"
    for path in (made, output):
        path.parent.mkdir()
    output.write_text("former")
    with ChatServer(slow_reply) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        finish([*command, f"--output={made}"])
        undisturbed = len(server.requests)
        expected = made.read_bytes()
        del server.requests[:]
        command += [f"--output={output}"]
        kills = 0
        for _ in killed_again_and_again(command, lambda: bool(server.requests), 6, seconds=1):
            kills += 1
            assert output.read_bytes() in (b"former", expected)
        finish(command)
        # Each kill costs the answers at most that were under way.
        assert len(server.requests) <= undisturbed + 2 * kills
    assert output.read_bytes() == expected
    assert sorted(os.listdir(output.parent)) == sorted(
        name.replace(made.name, output.name) for name in os.listdir(made.parent)
    )


def test_train(run, data, tmp_path):
    """Each training is killed until it ends."""
    number = itertools.count()
    workdir = tmp_path / str(next(number))
    # The workdir is the third argument, and changes.
    command = tiny_run.command(workdir, data)

    def is_writing() -> bool:
        return (workdir / "checkpoints").is_dir()

    def check() -> None:
        tiny_run.assert_identical(tiny_run.checkpoint(workdir), tiny_run.checkpoint(run))
        assert rows(workdir) == rows(run)
        for folder in (run / "evaluations").iterdir():
            assert contents(workdir / "evaluations" / folder.name) == contents(folder)
        assert {path.name for path in workdir.iterdir()} == {path.name for path in run.iterdir()}

    for _ in killed_again_and_again(command, is_writing, 4, seconds=10):
        if (workdir / "evaluations").is_dir() and any((workdir / "evaluations").glob("[!.]*")):
            finish(command)
            check()
            workdir = tmp_path / str(next(number))
            command[3] = f"--workdir={workdir}"
    finish(command)
    check()


def rows(workdir: pathlib.Path) -> list[dict[str, object]]:
    """The lines of `metrics.jsonl`, without what depends on time."""
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [{key: line[key] for key in line if key != "clips_per_second"} for line in lines]
