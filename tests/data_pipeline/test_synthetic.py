"""The synthetic data set as files: what they hold, and how they are written."""

import csv
import json
import re
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from animal_clip_jax.classes.descriptions import read_descriptions
from animal_clip_jax.classes.relation_graph import read_taxonomy
from animal_clip_jax.errors import UserError
from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.pairs.index import NO_LABEL, PairSet
from data_pipeline.synthetic.__main__ import main
from data_pipeline.synthetic.animals import NAMED, UNSEEN, named
from data_pipeline.synthetic.clips import render_clip
from data_pipeline.synthetic.dataset import Parameters, write_dataset
from data_pipeline.synthetic.description_files import TRAINED_ACTIONS
from data_pipeline.synthetic.motions import ACTIONS
from data_pipeline.synthetic.plan import plan, plan_unseen_action
from data_pipeline.synthetic.videos import write_clips, write_video

FEW = plan(1, 1, 0)[::50]
SMALL = {"size": (16, 16), "num_frames": 3}
SMALLEST = Parameters(
    train_clips=1, test_clips=1, size=16, num_frames=2, seed=7, stills=56, test_stills=36
)
FLAGS = ["--train_clips=1", "--test_clips=1", "--size=16", "--num_frames=2", "--workers=1"]
FLAGS += ["--stills=56", "--test_stills=36"]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "few"
    assert write_clips(folder, FEW, **SMALL) == len(FEW)
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest of all sets, whole."""
    folder = tmp_path_factory.mktemp("synthetic") / "set"
    assert main([f"--output={folder}", "--seed=7", *FLAGS]) == 0
    return folder


def decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


class TestVideos:
    def test_they_show_their_clips(self, few):
        for clip in FEW[::5]:
            frames = decode(few / "videos" / clip.path)
            expected = render_clip(
                named(clip.animal), clip.action, clip.scene, clip.seed(0), **SMALL
            )
            assert frames.shape == expected.shape
            assert np.abs(frames.astype(int) - expected).mean() < 12

    def test_format(self, few):
        with av.open(str(next((few / "videos").rglob("*.mp4")))) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert stream.codec_context.pix_fmt == "yuv420p"
            assert stream.average_rate == 12
            assert stream.frames == 3

    def test_encoding_does_not_tell_the_direction_of_time(self, tmp_path):
        clip = render_clip(named("Zebra"), "Walking", "snow", 3)
        write_video(tmp_path / "forward.mp4", clip)
        write_video(tmp_path / "backward.mp4", clip[::-1])
        forward, backward = decode(tmp_path / "forward.mp4"), decode(tmp_path / "backward.mp4")
        np.testing.assert_array_equal(forward, backward[::-1])

    def test_number_of_workers_does_not_matter(self, few, tmp_path):
        write_clips(tmp_path / "set", FEW, workers=2, **SMALL)
        assert contents(tmp_path / "set") == contents(few)

    def test_another_seed_gives_other_videos_of_the_same_names(self, few, tmp_path):
        write_clips(tmp_path / "set", FEW[:2], seed=1, **SMALL)
        for clip in FEW[:2]:
            path = Path("videos") / clip.path
            assert (tmp_path / "set" / path).read_bytes() != (few / path).read_bytes()


class TestSet:
    def test_its_list_is_read_as_anyones(self, dataset):
        annotations = read_annotations("csv", dataset)
        clips = plan(1, 1, 7)
        assert Counter(clip.split for clip in annotations.clips) == Counter(c.split for c in clips)
        found = {(c.path, c.animals, c.actions, c.split) for c in annotations.clips}
        assert found == {(c.path, (c.animal,), (c.action,), c.split) for c in clips}
        assert set(annotations.action_names) == set(TRAINED_ACTIONS)
        assert set(annotations.animal_names) == set(NAMED)
        assert not annotations.multi_label

    def test_the_unseen_action_has_a_list_of_its_own_with_all_actions(self, dataset):
        annotations = read_annotations("csv", dataset / "unseen_action")
        assert {clip.split for clip in annotations.clips} == {"test"}
        assert len(annotations.clips) == len(plan_unseen_action(1, 7))
        assert set(annotations.action_names) == set(ACTIONS)

    def test_its_pictures_are_pairs(self, dataset):
        pairs = PairSet.open(dataset / "pairs")
        assert pairs.splits == {"train": 56, "test": 36}
        assert set(pairs.label_names) == set(NAMED)
        index = pairs.index("train")
        assert set(index.heights) == set(index.widths) == {16} and set(index.texts) == {2}
        named = index.labels[index.labels != NO_LABEL]
        assert len(named) == 28  # the others show creatures
        assert not set(UNSEEN) & {pairs.label_names[label] for label in named}

    @pytest.mark.parametrize("folder", [".", "unseen_action"])
    def test_all_that_is_listed_is_there_and_no_more(self, dataset, folder):
        with (dataset / folder / "clips.csv").open() as file:
            listed = [row["video"] for row in csv.DictReader(file)]
        videos = dataset / folder / "videos"
        present = [path.relative_to(videos).as_posix() for path in videos.rglob("*.*")]
        assert sorted(listed) == sorted(present)

    @pytest.mark.parametrize("folder", [".", "unseen_action"])
    def test_descriptions_are_of_its_labels(self, dataset, folder):
        annotations = read_annotations("csv", dataset / folder)
        texts = dataset / folder / "descriptions"
        assert read_descriptions(texts / "actions.csv", annotations.action_names)
        assert read_descriptions(texts / "animals.csv", annotations.animal_names)
        bodies = read_taxonomy(texts / "animal_classes.csv", annotations.animal_names)
        assert bodies == [NAMED[name].body for name in annotations.animal_names]

    def test_interrupted_it_is_completed(self, dataset):
        before = contents(dataset)
        walking = dataset / "videos" / "Walking"
        lost = walking / "Giraffe_test_000.mp4"
        lost.rename(lost.with_name("Giraffe_test_000.mp4.7.incomplete"))
        kept = walking / "Bear_test_000.mp4"
        kept.write_bytes(b"kept")
        rendered = write_dataset(dataset, SMALLEST, workers=1)
        everything = len(plan(1, 1, 7)) + len(plan_unseen_action(1, 7))
        assert rendered == (1, everything, 0, 92)
        assert kept.read_bytes() == b"kept"
        kept.write_bytes(before["videos/Walking/Bear_test_000.mp4"])
        assert contents(dataset) == before

    def test_with_other_parameters_it_is_refused_and_untouched(self, dataset, capsys):
        before = contents(dataset)
        assert main([f"--output={dataset}", "--seed=8", *FLAGS]) == 2
        assert re.fullmatch(r"error: .*other parameters.*\n", capsys.readouterr().err)
        assert contents(dataset) == before

    def test_it_says_the_seed_and_what_it_did(self, dataset, capsys):
        assert main([f"--output={dataset}", "--seed=7", *FLAGS]) == 0
        (line,) = capsys.readouterr().out.splitlines()
        found = r"rendered 0 of \d+ clips and 0 of 92 pictures \(seed 7\) in [\d.]+ s: "
        assert re.match(found, line)
        assert json.loads((dataset / "synthetic.json").read_text())["seed"] == 7

    def test_folder_of_something_else_is_refused(self, tmp_path):
        (tmp_path / "thesis.tex").write_text("...")
        with pytest.raises(UserError, match="not empty"):
            write_dataset(tmp_path, SMALLEST)
        (tmp_path / "synthetic.json").write_text("{")
        with pytest.raises(UserError, match="synthetic.json is not valid JSON"):
            write_dataset(tmp_path, SMALLEST)
        assert sorted(contents(tmp_path)) == ["synthetic.json", "thesis.tex"]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"seed": -1}, "seed.*found -1"),
            ({"train_clips": 0}, "train_clips.*found 0"),
            ({"test_clips": 0}, "test_clips.*found 0"),
            ({"num_frames": 1}, "num_frames.*found 1"),
            ({"stills": -1}, "stills.*found -1"),
            ({"test_stills": 0}, "test_stills.*found 0"),
            ({"size": 33}, "even.*33"),
            ({"size": 14}, "at least 16.*14"),
        ],
    )
    def test_parameters_are_checked(self, change, message):
        with pytest.raises(UserError, match=message):
            Parameters(**change)

    def test_what_cannot_be_written_is_said_before(self, tmp_path):
        with pytest.raises(UserError, match="workers.*found 0"):
            write_dataset(tmp_path / "set", SMALLEST, workers=0)
        assert not (tmp_path / "set").exists()
        (tmp_path / "file").touch()
        with pytest.raises(UserError, match="file/set cannot be written: Not a directory"):
            write_dataset(tmp_path / "file" / "set", SMALLEST)
        with pytest.raises(UserError, match="has to be on this machine, not gs://bucket/set"):
            write_dataset("gs://bucket/set", SMALLEST)
