"""TensorBoard's event files, read back by TensorFlow."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tiny_run
from etils import epath

from animal_clip_jax.errors import UserError
from animal_clip_jax.run.data import whole_split
from animal_clip_jax.run.tensorboard import ClipSample, TensorBoard, strip
from data_pipeline.batches.input import evaluation_batches
from data_pipeline.dataset import load_info


def events(workdir: pathlib.Path) -> list[tuple[int, tf.compat.v1.Summary.Value]]:
    """Every value with its step, in order."""
    return [
        (event.step, value)
        for path in sorted((workdir / "tensorboard").iterdir())
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    ]


@pytest.fixture(scope="module")
def found(run):
    return events(run)


def test_a_few_curves_with_the_figures_of_the_record(run, found):
    curves = {}
    for step, value in found:
        if value.HasField("simple_value"):
            curves.setdefault(value.tag, {})[step] = value.simple_value
    assert set(curves) == {
        *(f"training/{name}" for name in ("loss", "learning_rate", "clips_per_second")),
        *(
            f"{kind}/{name}"
            for kind in ("test", "end_test_animals_none", "end_test_animals_labels")
            for name in (
                "top1",
                "top1_seen_pairs",
                "top1_unseen_pairs",
                "top1_unseen_animals",
            )
        ),
    }
    logged = tiny_run.logged(run, "train")
    assert curves["training/loss"] == pytest.approx(
        {step: line["loss"] for step, line in logged.items()}, rel=1e-6
    )
    (folder,) = (run / "evaluations").iterdir()
    metrics = json.loads((folder / "metrics.json").read_text())["metrics"]
    at_the_end = curves["end_test_animals_labels/top1_unseen_pairs"]
    assert at_the_end == {6: pytest.approx(metrics["labels/top1_unseen_pairs"], rel=1e-6)}
    assert curves["test/top1"].keys() == {3, 6}


def test_a_handful_of_clips_at_every_evaluation(found, data):
    images = [(step, value) for step, value in found if value.HasField("image")]
    known = set(whole_split(str(data), "test").index.clip_ids)
    assert len(images) == 16 and {step for step, _ in images} == {3, 6}
    ids = {value.tag.removeprefix("clips/").partition("/")[0] for _, value in images}
    assert len({value.tag for _, value in images}) == 8
    assert all(any(clip in value.tag for clip in known) for _, value in images), (ids, known)
    for _, value in images:
        picture = tf.io.decode_image(value.image.encoded_image_string).numpy()
        assert picture.shape == (value.image.height, value.image.width, 3)
        assert value.image.height == 96 + 2 * 20 and value.image.width >= 4 * 96


def test_the_configuration_as_text(run, found):
    (text,) = [
        value.tensor.string_val[0].decode()
        for _, value in found
        if value.HasField("tensor") and value.tag.startswith("configuration")
    ]
    config = json.loads(text.removeprefix("```\n").removesuffix("\n```"))
    assert config == json.loads((run / "config.json").read_text())


def test_frames_and_words_are_those_of_the_clip(data):
    config = tiny_run.config_on(data)
    clips, names = whole_split(str(data), "test"), load_info(data).action_names
    count = len(clips.index)
    scores = np.full((count, len(names)), 0.01)
    scores[np.arange(count), [actions[0] for actions in clips.index.actions]] = 0.9
    images = ClipSample(config, clips, names).images(scores)
    assert len(images) == 8
    rows = {clip_id: row for row, clip_id in enumerate(clips.index.clip_ids)}
    row = rows[list(images)[3]]
    assert 0 < row < count - 1
    (batch,) = evaluation_batches(
        data, split="test", num_frames=4, image_size=16, batch_size=1, rows=np.array([row])
    )
    assert batch["clip_id"][0] == list(images)[3]
    action = names[clips.index.actions[row][0]]
    others = ", ".join(f"{name} 1%" for name in [n for n in names if n != action][:2])
    lines = (f"annotated: {action}", f"predicted: {action} 90%, {others}")
    expected = strip(batch["frames"][0, 0], lines, True)
    np.testing.assert_array_equal(images[list(images)[3]], expected)


def test_a_strip_shows_its_frames_in_order_below_the_text():
    frames = np.zeros((3, 8, 8, 3), np.uint8)
    frames[0, ..., 0], frames[1, ..., 1], frames[2, ..., 2] = 255, 255, 255
    right, wrong = (
        strip(frames, ("annotated: A", "predicted: A 90%"), is_right) for is_right in (True, False)
    )
    assert right.shape == (136, 288, 3)
    for number in range(3):
        part = right[60:, number * 96 + 20 : number * 96 + 76]
        assert (part.argmax(axis=-1) == number).all() and part.max() == 255
    assert (right[40:] == wrong[40:]).all() and (right[:20] == wrong[:20]).all()
    # Green where the prediction is right, red where it is wrong.
    (reds, greens, _), (other_reds, other_greens, _) = (
        image[20:40].reshape(-1, 3)[image[20:40].reshape(-1, 3).min(axis=1) < 100].T.astype(int)
        for image in (right, wrong)
    )
    assert (greens >= reds).all() and (other_reds >= other_greens).all()
    assert (greens > reds).any() and (other_reds > other_greens).any()


def test_without_the_writer_it_says_how_to_get_it(tmp_path):
    """In a process that cannot import it."""
    program = (
        "import sys; sys.modules['tensorboardX'] = None\n"
        "from etils import epath\n"
        "from animal_clip_jax.run.tensorboard import TensorBoard\n"
        f"board = TensorBoard(epath.Path({str(tmp_path)!r}))\n"
        "board.curves(1, 'training', {'loss': 1.0})\n"
        "print(board.is_written, board.missing)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tiny_run.ROOT, capture_output=True, text=True
    )
    assert result.stdout == (
        "False no TensorBoard events; to have them: pip install 'animal-clip-jax[tensorboard]'\n"
    ), result.stderr
    assert not list(tmp_path.iterdir())


def test_into_a_cloud_nothing_is_written():
    assert "not on this machine" in TensorBoard(epath.Path("gs://bucket/run")).missing


def test_a_disk_that_is_full_is_said_and_not_waited_for(tmp_path):
    resource = pytest.importorskip("resource")
    board = TensorBoard(epath.Path(tmp_path))
    board.curves(0, "training", {"loss": 0.5})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))  # as large as a file may become
    try:
        with pytest.raises(UserError, match=f"{tmp_path}/tensorboard cannot be written"):
            for step in range(100):
                board.curves(step, "training", {"loss": 0.5})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
