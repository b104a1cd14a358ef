"""`--engine=ray` of predict and convert-videos on a cluster of two nodes: the bytes of one process,
also where a worker is killed. Slow, and only where Ray is installed."""

import pytest
import tiny_run
from ray_cluster_of_two import cluster_of_two, killed_once

from animal_clip_jax.inference.inputs import Input
from animal_clip_jax.inference.ray_engine import groups
from animal_clip_jax.inference.results import Results
from animal_clip_jax.predict_command import main as predict
from data_pipeline.convert import main as convert

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address():
    with cluster_of_two() as address:
        yield address


def contents(folder):
    """All files of a folder, without the time at which a prediction began."""
    results = folder / "results.jsonl"
    made = Results.open(results).header.made.encode() if results.exists() else b"none"
    return {
        str(path.relative_to(folder)): path.read_bytes().replace(made, b"")
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def prediction(run, videos):
    return [
        *(str(run), str(videos / "videos"), "--recursive", "--window=0.25", "--workers=1"),
        *("--save_embeddings", "--format=bouts,zamba"),
    ]


@pytest.fixture(scope="module")
def predicted(prediction, tmp_path_factory):
    folder = tmp_path_factory.mktemp("predicted") / "local"
    assert predict([*prediction, f"--output={folder}"]) == 0
    return contents(folder)


def test_predictions_are_those_of_one_process(prediction, predicted, address, tmp_path, capfd):
    output = tmp_path / "out"
    on_ray = [*prediction, f"--output={output}", "--engine=ray", f"--address={address}"]
    assert predict(on_ray) == 0
    assert "Ray: 2 workers, one for each machine" in capfd.readouterr().err
    assert contents(output) == predicted
    assert predict(on_ray) == 0
    assert "128 videos, 0 of them looked at now" in capfd.readouterr().out


def test_a_worker_is_killed_while_it_predicts(prediction, predicted, address, tmp_path, capfd):
    output = tmp_path / "out"
    with killed_once(lambda: any(output.glob("parts/*.jsonl"))) as killed:
        assert (
            predict([*prediction, f"--output={output}", "--engine=ray", f"--address={address}"])
            == 0
        )
    assert len(killed) == 1 and "a worker died; again: " in capfd.readouterr().err
    assert contents(output) == predicted


@pytest.fixture(scope="module")
def conversion(videos):
    return [
        *("--dataset=csv", f"--source={videos}", "--short_side=20"),
        "--clips_per_shard=8",
    ]


@pytest.fixture(scope="module")
def converted(conversion, tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted") / "local"
    assert convert([*conversion, f"--output={folder}", "--workers=1"]) == 0
    return contents(folder)


@pytest.mark.parametrize("kills", [False, True])
def test_conversions_are_those_of_one_process(
    conversion, converted, address, tmp_path, capfd, kills
):
    output = tmp_path / "out"
    arguments = [*conversion, f"--output={output}", "--engine=ray", f"--address={address}"]
    with killed_once(lambda: kills and any(output.glob("*.tfrecord-*"))) as killed:
        assert convert(arguments) == 0
    said = capfd.readouterr().err
    assert "Ray: 2 workers of 1 CPU" in said
    assert len(killed) == kills and ("a worker died; again: " in said) == kills
    assert contents(output) == converted


@pytest.mark.parametrize(
    ("address", "reason"), [("127.0.0.1:9", "Connection refused"), ("head", "it is no HOST:PORT")]
)
def test_where_no_cluster_is(prediction, tmp_path, capfd, address, reason):
    output = tmp_path / "out"
    arguments = [*prediction, f"--output={output}", "--engine=ray", f"--address={address}"]
    assert predict(arguments) == 2
    message = tiny_run.error_line(capfd.readouterr().err)
    assert f"--address={address}: no Ray cluster could be joined" in message and reason in message
    assert not output.exists()


def test_groups():
    videos = [Input(str(number), None) for number in range(1000)]
    for workers in (1, 3, 200):
        for windows in (True, False):
            found = groups(videos, workers, windows=windows)
            assert sum(found, []) == videos
            assert max(map(len, found)) <= (16 if windows else 128)
            assert len(found) >= min(4 * workers, 1000)
