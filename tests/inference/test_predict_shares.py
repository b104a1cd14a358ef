"""`animal-clip predict --shard`: what comes out is what one process writes."""

import json
import shutil

import pytest

import animal_clip_jax
from animal_clip_jax.errors import UserError
from animal_clip_jax.inference.inputs import find_inputs
from animal_clip_jax.inference.predict_files import predict_files, write_group
from animal_clip_jax.inference.results import Results
from animal_clip_jax.inference.smoothing import Smoothing
from animal_clip_jax.inference.stream import Request
from animal_clip_jax.predict_command import main
from animal_clip_jax.shares import Share, only_writer_of_share

REQUEST = Request(window=0.5, stride=0.25, smoothing=Smoothing(0.25, 1.0))
COUNT = 3


@pytest.fixture(scope="module")
def model(run):
    return animal_clip_jax.load(run)


@pytest.fixture(scope="module")
def footage(videos, tmp_path_factory):
    """Seven videos and a file that is none."""
    folder = tmp_path_factory.mktemp("footage")
    for number, path in enumerate(sorted((videos / "videos").rglob("*.mp4"))[:7]):
        shutil.copy(path, folder / f"{number}.mp4")
    (folder / "text.mp4").write_text("no video")
    return folder


@pytest.fixture(scope="module")
def inputs(footage):
    return find_inputs([str(footage)])


@pytest.fixture(scope="module")
def whole(model, inputs, tmp_path_factory):
    """What one process writes."""
    folder = tmp_path_factory.mktemp("whole")
    predict_files(model, inputs, folder, REQUEST, save_embeddings=True)
    return contents(folder)


def contents(folder):
    """All files of a folder, without the time at which the prediction began."""
    made = Results.open(folder / "results.jsonl").header.made.encode()
    return {
        path.relative_to(folder): path.read_bytes().replace(made, b"")
        for path in folder.rglob("*")
        if path.is_file()
    }


def predict_share(model, inputs, folder, index, count=COUNT, request=REQUEST):
    return predict_files(
        model, inputs, folder, request, save_embeddings=True, share=Share(index, count)
    )


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_shares_in_any_order_are_one_process(model, inputs, whole, tmp_path, order):
    looked_at = []
    for index in order:
        summary = predict_share(model, inputs, tmp_path, index)
        looked_at.append(summary.num_new)
        assert summary.num_videos == summary.num_new
        assert summary.is_gathered == (index == order[-1])
        assert summary.num_left == len(inputs) - sum(looked_at)
        assert summary.failed == (("text.mp4",) if Share(index, COUNT).has("text.mp4") else ())
    assert sum(looked_at) == len(inputs) and max(looked_at) < len(inputs)
    assert contents(tmp_path) == whole
    again = predict_share(model, inputs, tmp_path, order[0])
    assert (again.num_new, again.num_left) == (0, 0)
    assert contents(tmp_path) == whole


def test_a_share_goes_on_and_one_process_does_the_rest(model, inputs, whole, tmp_path):
    predict_share(model, inputs, tmp_path, 1)
    (part,) = (tmp_path / "parts").iterdir()
    lines = part.read_bytes().splitlines(keepends=True)
    assert len(lines) > 1
    part.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])  # killed in the middle of a line
    assert predict_share(model, inputs, tmp_path, 1).num_new == 1
    assert part.read_bytes() == b"".join(lines)
    part.write_bytes(lines[0][:-1])
    summary = predict_files(model, inputs, tmp_path, REQUEST, save_embeddings=True)
    assert summary.num_new == len(inputs) and summary.failed == ("text.mp4",)
    assert contents(tmp_path) == whole


def test_other_numbers_of_shares_and_groups_and_results_that_are_there(
    model, inputs, whole, tmp_path
):
    """What is in two parts counts once, and what was there keeps its place."""
    predict_files(model, inputs[:2], tmp_path, REQUEST, save_embeddings=True)
    predict_share(model, inputs, tmp_path, 1, count=2)
    for _ in range(2):
        group = inputs[3:6]
        write_group(model, group, tmp_path, REQUEST, save_embeddings=True)
    summary = predict_files(model, inputs, tmp_path, REQUEST, save_embeddings=True)
    assert summary.num_new < len(inputs) - 4
    assert contents(tmp_path) == whole


def test_what_is_refused(model, inputs, tmp_path):
    predict_share(model, inputs, tmp_path, 0)
    before = contents(tmp_path)
    other = Request(window=1.0, stride=0.5, smoothing=Smoothing(0.5, 2.0))
    with pytest.raises(UserError, match="of another request: its stride is 0.25, now it is 0.5"):
        predict_share(model, inputs, tmp_path, 1, request=other)
    with pytest.raises(UserError, match="of another request"):
        write_group(model, inputs[:1], tmp_path, other, save_embeddings=True)
    with only_writer_of_share(tmp_path, Share(1, COUNT)):
        with pytest.raises(UserError, match="is being written by this very process"):
            predict_share(model, inputs, tmp_path, 1)
        with pytest.raises(UserError, match="is being written by this very process"):
            predict_files(model, inputs, tmp_path, REQUEST, save_embeddings=True)
    assert contents(tmp_path) == before


def test_a_new_beginning_forgets_the_parts(model, inputs, whole, tmp_path):
    predict_share(model, inputs, tmp_path, 0)
    (part,) = (tmp_path / "parts").iterdir()
    part.write_text(part.read_text().replace('"actions": [', '"actions": [0.125, '))
    predict_files(model, inputs, tmp_path, REQUEST, save_embeddings=True, existing="overwrite")
    assert contents(tmp_path) == whole


def test_the_command(run, footage, tmp_path, capsys):
    output = tmp_path / "out"
    arguments = [str(run), str(footage), f"--output={output}", "--workers=0", "--format=bouts"]
    codes = [main([*arguments, f"--shard={index}/2"]) for index in range(2)]
    assert sorted(codes) == [0, 1]  # one of them has the file that is no video
    said = capsys.readouterr().out
    assert "videos of other shares have no result yet" in said
    assert f"results: {output}/results.jsonl" in said and (output / "bouts.csv").exists()
    assert not (output / "parts").exists()
    for flags, message in (
        (["--shard=2/2"], "the last of 2 is 1/2"),
        (["--shard=0/2", "--existing=overwrite"], "--existing=overwrite would have each share"),
        (["--shard=0/2", "--engine=ray"], "--shard is for processes without Ray"),
        (["--address=head:6379"], "--address is for --engine=ray"),
    ):
        assert main([*arguments, *flags]) == 2
        assert message in capsys.readouterr().err
    assert json.loads((output / "results.jsonl").read_text().splitlines()[0])["version"]
