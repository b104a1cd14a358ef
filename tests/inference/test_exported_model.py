"""An exported model, called as its README.txt says, by a program that knows jax alone."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import animal_clip_jax
from animal_clip_jax.export import main
from data_pipeline.video import load_video


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports") / "model"
    assert main([str(run), f"--output={folder}", "--saved_model"]) == 0
    return folder


def test_it_says_what_the_run_says(exported, run, videos, tmp_path):
    """The program of README.txt, with frames of a video where it has zeros."""
    video = videos / "videos" / "Walking" / "Zebra_test_000.mp4"
    labels = json.loads((exported / "model.json").read_text())
    model = animal_clip_jax.load(run)
    views = load_video(
        video,
        num_frames=labels["num_frames"],
        image_size=labels["image_size"],
        num_temporal_views=model.views.num_temporal_views,
        num_crops=model.views.num_crops,
        short_side=model.preprocessing.short_side,
        max_frames=model.preprocessing.max_frames,
    )
    np.save(tmp_path / "views.npy", views)
    weights = np.zeros((len(views), len(labels["animals"])), np.float32)
    weights[:, labels["animals"].index("Zebra")] = 1
    np.save(tmp_path / "weights.npy", weights)

    block = re.findall(r"(?:^    .*\n|^\n)+", (exported / "README.txt").read_text(), re.MULTILINE)
    program = textwrap.dedent(max(block, key=len))
    program = re.sub(r"frames = .*", f"frames = np.load({str(tmp_path / 'views.npy')!r})", program)
    program = re.sub(
        r"animals = np.*", f"animals = np.load({str(tmp_path / 'weights.npy')!r})", program
    )
    program += textwrap.dedent(f"""
        import sys
        np.save({str(tmp_path / "probabilities.npy")!r}, probabilities)
        np.save({str(tmp_path / "features.npy")!r}, features)
        assert not {{"animal_clip_jax", "flax", "orbax"}} & set(sys.modules)
    """)
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=exported, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr

    answer = model.predict(video, animals=["Zebra"])
    probabilities = np.load(tmp_path / "probabilities.npy").mean(axis=0)
    expected = dict(answer.actions)
    assert labels["actions"] == list(model.actions) and len(labels["actions"]) == 8
    for name, probability in zip(labels["actions"], probabilities, strict=True):
        assert probability == pytest.approx(expected[name], abs=1e-6)
    features = np.load(tmp_path / "features.npy").mean(axis=0)
    np.testing.assert_allclose(features, answer.embedding, rtol=1e-5, atol=1e-5)


def test_tensorflow_says_what_jax_says(exported):
    import tensorflow as tf
    from jax import export

    labels = json.loads((exported / "model.json").read_text())
    random = np.random.default_rng(0)
    size = labels["image_size"]
    frames = random.integers(0, 256, (3, labels["num_frames"], size, size, 3), np.uint8)
    animals = np.eye(3, len(labels["animals"]), dtype=np.float32)
    ours = tf.saved_model.load(exported / "saved_model").signatures["serving_default"]
    found = ours(frames=tf.constant(frames), animals=tf.constant(animals))
    model = export.deserialize(bytearray((exported / "model.jax_export").read_bytes()))
    expected = model.call(dict(np.load(exported / "arrays.npz")), frames, animals)
    for name, values in zip(("probabilities", "features"), expected, strict=True):
        np.testing.assert_allclose(found[name], values, atol=1e-5, rtol=1e-5)


def test_it_is_for_every_kind_of_device(exported):
    from jax import export

    content = (exported / "model.jax_export").read_bytes()
    assert set(export.deserialize(bytearray(content)).platforms) == {"cpu", "cuda", "tpu"}


def test_what_is_there_is_kept(exported, run, tmp_path, capsys):
    before = (exported / "model.json").stat().st_mtime_ns
    assert main([str(run), f"--output={exported}"]) == 2
    assert "holds an exported model; replace it with --overwrite" in capsys.readouterr().err
    assert (exported / "model.json").stat().st_mtime_ns == before
    (tmp_path / "thesis.txt").touch()
    for extra in ([], ["--overwrite"]):
        assert main([str(run), f"--output={tmp_path}", *extra]) == 2
        assert "holds something else" in capsys.readouterr().err
    assert main([str(run), f"--output={tmp_path / 'thesis.txt'}"]) == 2
    assert "is a file; expected a folder" in capsys.readouterr().err
    assert main([str(tmp_path), f"--output={tmp_path / 'new'}"]) == 2
    assert "not the folder of a run" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert main([str(run), f"--output={exported}", "--overwrite"]) == 0


def test_a_damaged_file_is_noticed_by_the_program_of_its_readme(exported, tmp_path):
    program = textwrap.dedent(
        max(re.findall(r"(?:^    .*\n|^\n)+", _readme(exported), re.MULTILINE), key=len)
    )
    check = re.search(r"for name, digest .*?damaged\"\)\n", program, re.DOTALL).group()
    names = {"hashlib": hashlib, "open": lambda name, mode: (tmp_path / name).open(mode)}
    labels = json.loads((exported / "model.json").read_text())
    shutil.copytree(exported, tmp_path, dirs_exist_ok=True)
    exec(check, {**names, "labels": labels})
    for name in ("model.jax_export", "arrays.npz"):
        content = bytearray((exported / name).read_bytes())
        content[len(content) // 2] ^= 1
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"^{name} is damaged$"):
            exec(check, {**names, "labels": labels})
        (tmp_path / name).write_bytes((exported / name).read_bytes())


def _readme(folder):
    return (folder / "README.txt").read_text()
