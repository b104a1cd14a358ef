"""A trained model in a person's hands: `animal_clip_jax.load` and what it gives."""

import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tiny_run
from flax import nnx

import animal_clip_jax
from animal_clip_jax.conversion.weights import WeightsMetadata, save_weights
from animal_clip_jax.errors import MissingFileError, UserError
from animal_clip_jax.models import parameters
from animal_clip_jax.models.description import ModelDescription, build
from animal_clip_jax.models.normalisation import IMAGENET
from animal_clip_jax.run import assembly
from data_pipeline.video import read_video


@pytest.fixture(scope="module")
def moved(run, tmp_path_factory) -> pathlib.Path:
    """The run, copied to where nothing else is, with the path of its data naming nothing."""
    folder = tmp_path_factory.mktemp("elsewhere") / "run"
    shutil.copytree(run, folder)
    tiny_run.change_configuration(folder, r'("directory": ")[^"]*(")', r"\1/nowhere/at/all\2")
    return folder


@pytest.fixture(scope="module")
def model(moved):
    return animal_clip_jax.load(moved)


@pytest.fixture
def video(videos) -> pathlib.Path:
    return videos / "videos" / "Walking" / "Zebra_test_000.mp4"


def test_the_readme_example_works_as_written(run, video, tmp_path):
    """The block of the README that loads the demo's run, with these paths in it."""
    readme = (tiny_run.ROOT / "README.md").read_text()
    block = next(
        block
        for block in re.findall(r"```python\n(.*?)```", readme, re.S)
        if "runs/demo/run" in block
    )
    program = block.replace("runs/demo/run", str(run)).replace("clip.mp4", str(video))
    assert program != block
    program += "\nimport sys\nprint(answer.actions[0])\n"
    program += "print(sorted({'tensorflow', 'torch', 'transformers'} & sys.modules.keys()))\n"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tiny_run.ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    first, imported = result.stdout.splitlines()[-2:]
    assert first.startswith("Prediction(label=") and imported == "[]"


def test_a_moved_run_without_its_data_answers_as_before(run, model, video):
    ours, theirs = model.predict(video), animal_clip_jax.load(run).predict(video)
    assert ours.actions == theirs.actions and ours.animal_source == "none"
    assert [round(p, 6) for _, p in ours.actions] == sorted(
        (round(p, 6) for _, p in ours.actions), reverse=True
    )
    assert sum(p for _, p in ours.actions) == pytest.approx(1, abs=1e-5)
    given = model.predict(video, animals=["Zebra"])
    assert given.animals == [("Zebra", 1.0)] and given.animal_source == "given"
    assert given.actions != ours.actions
    # The video's features do not depend on what is known of the animals.
    np.testing.assert_array_equal(given.embedding, ours.embedding)


def test_a_list_is_answered_as_its_videos_are(model, videos):
    paths = sorted((videos / "videos").rglob("*_test_000.mp4"))[:11]
    for path, answer in zip(paths, model.predict(paths), strict=True):
        alone = model.predict(path)
        assert dict(answer.actions) == pytest.approx(dict(alone.actions), abs=1e-6)
        np.testing.assert_allclose(answer.embedding, alone.embedding, atol=1e-5)
    assert model.predict([]) == []


def test_a_long_list_shows_how_far_it_is_and_is_decoded_elsewhere(model, videos, capsys):
    paths = sorted((videos / "videos").rglob("*_test_000.mp4"))[:10]
    plain = model.predict(paths)
    assert capsys.readouterr().err == ""
    for ours, theirs in zip(model.predict(paths, progress=True, workers=2), plain, strict=True):
        assert ours.actions == theirs.actions
        np.testing.assert_array_equal(ours.embedding, theirs.embedding)
    shown = capsys.readouterr().err
    assert "100%" in shown and "10/10 videos" in shown and "pieces/s" in shown


def test_one_bad_video_of_a_list_is_named(model, video, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(video.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"broken.mp4: "):
        model.predict([video, broken, video])
    with pytest.raises(UserError, match=r"broken.mp4: "):
        model.encode_video(broken)


def test_videos_of_every_length_are_one_compilation(model, video):
    frames = read_video(video, select=np.arange).frames
    model.predict(frames)
    compiled = model._steps.encode._cache_size()
    for part in (frames[:1], frames[:5], frames[:, :20], np.repeat(frames, 30, axis=0)):
        model.predict(part)
    assert model._steps.encode._cache_size() == compiled


def test_frames_are_sampled_and_sized_as_a_video_is(model, video):
    frames = read_video(video, select=np.arange).frames
    assert len(frames) != model.views.num_frames and frames.shape[1] != model.views.image_size
    ours, theirs = model.predict(frames), model.predict(video)
    # The colours of the file are scaled before they become RGB, those of the array after.
    assert dict(ours.actions) == pytest.approx(dict(theirs.actions), abs=0.02)


def test_a_video_shorter_than_a_view_is_answered_and_noted(model, video):
    frames = read_video(video, select=np.arange).frames
    wanted = model.views.num_frames
    assert model.predict(frames[:wanted]).note == ""
    note = model.predict(frames[: wanted - 1]).note
    assert note.startswith(f"the video has {wanted - 1} frames, fewer than the {wanted} that")


def test_embeddings_of_videos_and_texts(model, video):
    np.testing.assert_allclose(model.encode_video(video), model.predict(video).embedding, atol=1e-5)
    found = model.encode_actions(["Walking", "a fox digging"])
    assert found.shape == (2, 64) and found.dtype == np.float32
    expected = model.run.restore(None)[1].action_features[model.actions.index("Walking")]
    np.testing.assert_allclose(found[0], expected, atol=1e-5)
    with pytest.raises(UserError, match="takes a list of texts"):
        model.encode_actions("a fox digging")


def test_attention_is_of_the_frames_in_the_middle_of_the_video(model, video):
    frames, maps = model.attention(video)
    size, patch = model.views.image_size, model.run.model.architecture.patch_size
    assert frames.shape == (4, size, size, 3) and frames.dtype == np.uint8
    assert maps.shape == (4, size // patch, size // patch) and maps.dtype == np.float32
    assert maps.min() >= 0 and maps.sum() == pytest.approx(1, abs=1e-5)
    # It follows the pictures: the same ones from right to left are looked at otherwise.
    turned = model.attention(frames[:, :, ::-1])
    assert np.abs(turned.maps - maps).max() > 1e-6


def test_other_labels(model, video):
    other = model.with_actions(["a fox digging", "Walking"], animals=["Okapi", "Zebra"])
    assert [name for name, _ in sorted(other.predict(video).actions)] == [
        "Walking",
        "a fox digging",
    ]
    kept = model.with_actions(list(model.actions), animals=list(model.animals))
    assert kept.predict(video).actions == model.predict(video).actions
    # In another order the same probabilities go with the same names.
    turned = model.with_actions(model.actions[::-1], animals=model.animals[::-1])
    for animals in ([], ["Zebra"], ["Fox", "Bear"]):
        ours = turned.predict(video, animals=animals)
        theirs = model.predict(video, animals=animals)
        assert dict(ours.actions) == pytest.approx(dict(theirs.actions), abs=1e-5)


def test_described_labels(model, video):
    """A description is what is known of a label: of its name alone, it is the name; of what the
    training showed as well, it counts and not the training."""
    actions, animals = ["Walking", "a fox digging"], ["Okapi", "Zebra"]
    named = model.with_actions(actions, animals=animals).predict(video)
    same = {"a fox digging": ["a fox digging"], "Okapi": ["Okapi"]}
    assert (
        model.with_actions(actions, animals=animals, descriptions=same).predict(video).actions
        == named.actions
    )
    for described in ({"a fox digging": ["Earth flies.", "It digs."]}, {"Walking": ["It walks."]}):
        other = model.with_actions(actions, animals=animals, descriptions=described)
        assert dict(other.predict(video).actions) != dict(named.actions)
        # And no longer than asked for.
        assert other.with_actions(actions, animals=animals).predict(video).actions == named.actions
    with pytest.raises(UserError, match="'Walkin' is not one of the labels; did you mean Walking"):
        model.with_actions(actions, descriptions={"Walkin": ["It walks."]})


def test_relations_of_other_labels_matter(model, video):
    labels = dict(actions=["Walking", "Flying"], animals=["Okapi"])
    free = model.with_actions(labels["actions"], animals=labels["animals"])
    given = model.with_actions(
        labels["actions"], animals=labels["animals"], relation={"Okapi": ["Walking"]}
    )
    assert (
        free.predict(video, animals=["Okapi"]).actions
        != given.predict(video, animals=["Okapi"]).actions
    )
    with pytest.raises(UserError, match="relation: the action 'Swimming' is not one of"):
        model.with_actions(["Walking"], animals=["Okapi"], relation={"Okapi": ["Swimming"]})


@pytest.mark.parametrize(
    ("actions", "animals", "message"),
    [
        (["Walking", "Walking"], None, "the action 'Walking' is given more than once"),
        (["Walking"], ["Fox", "Fox"], "the animal 'Fox' is given more than once"),
        (["Walking", " "], None, "the name of action 2 of 2 is empty"),
        (["Walking"], ["Fox", ""], "the name of animal 2 of 2 is empty"),
        (["Fox"], ["Fox"], "'Fox' is given as an action and as an animal"),
        (["Walking", 3], None, "the action 2 of 2 is 3; expected a name"),
        ([], None, "needs at least one action"),
        ("Walking", None, "lists of actions, found one name, 'Walking'"),
    ],
)
def test_labels_that_cannot_be(model, actions, animals, message):
    with pytest.raises(UserError, match=message):
        model.with_actions(actions, animals=animals)


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (np.zeros((4, 8, 8, 3), np.float32), r"uint8 array .*, found float32 \(4, 8, 8, 3\)"),
        (np.zeros((4, 8, 8), np.uint8), r"found uint8 \(4, 8, 8\)"),
        (np.zeros((4, 8, 8, 4), np.uint8), r"found uint8 \(4, 8, 8, 4\)"),
        (np.zeros((0, 8, 8, 3), np.uint8), r"\(0, 8, 8, 3\)"),
        ("nothing.mp4", "no such file: 'nothing.mp4'"),
        ("", "no video is given"),
        (".", "is a folder; expected a video"),
        ([3], "a video is a path or an array of frames, found int"),
    ],
)
def test_what_is_no_video(model, video, message):
    with pytest.raises(UserError, match=message):
        model.predict(video)


def test_what_is_no_run(tmp_path, run):
    with pytest.raises(MissingFileError, match="there is no such folder"):
        animal_clip_jax.load(tmp_path / "nothing")
    with pytest.raises(UserError, match="not the folder of a run"):
        animal_clip_jax.load(tmp_path)
    with pytest.raises(UserError, match="URLs of foo:// are not known"):
        animal_clip_jax.load("foo://bucket/run")
    with pytest.raises(
        MissingFileError, match=r"no complete 5 checkpoint here \(complete ones: 3, 6"
    ):
        animal_clip_jax.load(run, checkpoint=5)
    assert animal_clip_jax.load(run, checkpoint=3).run.step == 3
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = animal_clip_jax.nothing


def _saved(folder: pathlib.Path, description: ModelDescription, initialised=()) -> None:
    _, values = parameters.split(build(description, rngs=nnx.Rngs(1)))
    values = {path: np.asarray(value) for path, value in values.items()}
    save_weights(
        folder, values, WeightsMetadata(description, IMAGENET, {}, initialised=initialised)
    )


@pytest.mark.parametrize("family", ["animal_clip", "xclip", "clip"])
def test_weights_without_a_run(family, video, tmp_path):
    config = tiny_run.get_config()
    config.model.family = "animal_clip" if family == "clip" else family
    description = assembly.model_description(config.model)
    if family == "clip":
        description = ModelDescription("clip", description.architecture)
    _saved(tmp_path / "weights", description)
    model = animal_clip_jax.load(tmp_path / "weights")
    assert model.actions == () and model.run is None
    with pytest.raises(UserError, match=r"has no actions yet.* model.with_actions"):
        model.predict(video)
    assert model.encode_video(video).shape == (64,)
    if family == "clip":
        with pytest.raises(UserError, match="whose frames exchange messages, animal_clip or xclip"):
            model.attention(video)
    named = model.with_actions(["a fox digging", "a zebra walking"], animals=["Zebra"])
    answer = named.predict(video)
    assert sum(p for _, p in answer.actions) == pytest.approx(1, abs=1e-5)
    described = model.with_actions(
        named.actions,
        animals=["Zebra"],
        descriptions={"a fox digging": ["a zebra walking"], "a zebra walking": ["a fox digging"]},
    )
    turned = [p for _, p in sorted(described.predict(video).actions)]
    assert turned[::-1] == pytest.approx([p for _, p in sorted(answer.actions)], abs=1e-5)
    if family == "clip":
        # Zero-shot as CLIP does it: the softmax of scaled cosines with the texts.
        texts = model.encode_actions(["a fox digging", "a zebra walking"])
        texts /= np.linalg.norm(texts, axis=1, keepdims=True)
        cosines = texts @ (answer.embedding / np.linalg.norm(answer.embedding))
        powers = np.exp(cosines / 0.07)
        expected = dict(zip(named.actions, powers / powers.sum(), strict=True))
        assert dict(answer.actions) == pytest.approx(expected, abs=1e-4)


def test_weights_with_initial_values_are_not_silent(tmp_path):
    description = assembly.model_description(tiny_run.get_config().model)
    _saved(tmp_path / "weights", description, initialised=("graph.layers.0.kernel",))
    with pytest.warns(UserWarning, match="1 of its .* initial values.* graph.layers.0.kernel"):
        animal_clip_jax.load(tmp_path / "weights")
