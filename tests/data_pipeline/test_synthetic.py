"""The synthetic data set: what its clips show, what its splits withhold, and how it is written."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animal_clip_jax.errors import UserError
from data_pipeline.annotations.label_files import read_labels
from data_pipeline.synthetic.drawn_animals import ANIMALS
from data_pipeline.synthetic.scenes import ACTIONS, PAIRS, render_clip
from data_pipeline.synthetic.videos import (
    UNSEEN_ANIMAL,
    UNSEEN_PAIRS,
    label_table,
    plan,
    write_dataset,
    write_video,
)

SMALL = {"clips_per_pair": 1, "test_clips_per_pair": 1, "size": 32, "num_frames": 3}

seeds = st.integers(0, 2**63)
animals = st.sampled_from(ANIMALS)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "set"
    write_dataset(folder, workers=1, **SMALL)
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


class TestClips:
    @pytest.mark.parametrize("pair", PAIRS)
    @settings(max_examples=8)
    @given(animal=animals, seed=seeds)
    def test_each_action_is_its_partner_played_backwards(self, pair, animal, seed):
        forward, backward = (render_clip(animal, action, seed) for action in pair)
        np.testing.assert_array_equal(backward, forward[::-1])
        assert (forward != backward).any()

    @settings(max_examples=8)
    @given(animal=animals, action=st.sampled_from(ACTIONS), seed=seeds)
    def test_same_seed_same_clip(self, animal, action, seed):
        clip = render_clip(animal, action, seed, num_frames=5, size=(40, 64))
        assert clip.shape == (5, 40, 64, 3)
        assert clip.dtype == np.uint8
        again = render_clip(animal, action, seed, num_frames=5, size=(40, 64))
        np.testing.assert_array_equal(clip, again)
        other = render_clip(animal, action, seed + 1, num_frames=5, size=(40, 64))
        assert (clip != other).mean() > 0.5

    @settings(max_examples=8)
    @given(seed=seeds, data=st.data())
    def test_background_is_the_same_for_every_animal_and_action(self, seed, data):
        shown = [data.draw(st.tuples(animals, st.sampled_from(ACTIONS))) for _ in range(2)]
        first, second = (
            render_clip(animal, action, seed, num_frames=2) for animal, action in shown
        )
        # The camera's shake is played backwards with the rest.
        if ACTIONS.index(shown[0][1]) % 2 != ACTIONS.index(shown[1][1]) % 2:
            second = second[::-1]
        unoccupied = (first == second).all(axis=-1).mean(axis=(1, 2))
        assert (unoccupied > 0.1).all()

    @pytest.mark.parametrize("seed", range(12))
    def test_motions_are_large_monotone_and_relative_to_the_head(self, seed):
        """Measured in the pixels of the flamingo, the one pink thing in the picture."""

        def measure(action: str) -> np.ndarray:
            """A row a frame: centre x and y, top, area; then on which side the head is."""
            rows = []
            for frame in render_clip("Flamingo", action, seed).astype(int):
                y, x = np.nonzero(frame[..., 0] - frame[..., 1] > 85)
                order = np.argsort(y)
                head = x[order[: len(x) // 6]].mean() - x.mean()
                rows.append((x.mean(), y.mean(), y.min(), len(x), np.sign(head)))
            return np.array(rows)

        walking = measure("Walking")
        facing = walking[len(walking) // 2, 4]
        # Over four frames, the motion outweighs the swing of the legs and the camera's shake.
        assert ((walking[4:, 0] - walking[:-4, 0]) * facing > 0).all()
        assert (walking[-1, 0] - walking[0, 0]) * facing > 0.25 * 64
        backing = measure("Backing away")[:, 0]
        assert (backing[-1] - backing[0]) * facing < -0.25 * 64

        area = measure("Approaching")[:, 3]
        assert (area[4:] > area[:-4]).all()
        assert area[-1] > 2.5 * area[0]
        centre = measure("Climbing")[:, 1]
        assert (centre[4:] < centre[:-4]).all()
        assert centre[0] - centre[-1] > 0.2 * 64
        top = measure("Standing up")[:, 2]
        assert (top[4:] <= top[:-4] + 2).all()  # the camera shakes by up to 2 pixels
        assert top[0] - top[-1] > 0.1 * 64

    def test_both_directions_are_equally_frequent(self):
        """Walking flamingos go left or right, as often."""
        to_the_right = 0
        for seed in range(60):
            ends = render_clip("Flamingo", "Walking", seed, num_frames=2).astype(int)
            left, right = (np.nonzero(f[..., 0] - f[..., 1] > 85)[1].mean() for f in ends)
            to_the_right += right > left
        assert 18 <= to_the_right <= 42  # beyond: 1 in 1000 for a fair coin

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"animal": "Dragon"}, "unknown animal 'Dragon'.*Zebra"),
            ({"action": "Flying"}, "unknown action 'Flying'.*Walking"),
            ({"num_frames": 1}, "found 1 of 64 x 64"),
            ({"size": (64, 4)}, "found 16 of 64 x 4"),
        ],
    )
    def test_what_cannot_be_drawn_is_refused(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            render_clip(**{"animal": "Fox", "action": "Walking", "seed": 0, **arguments})


class TestPlan:
    def test_unseen_pairs_and_animal_are_in_test_only(self):
        clips = plan(28, 4)
        train = {(clip.animal, clip.action) for clip in clips if clip.split == "train"}
        test = Counter((clip.animal, clip.action) for clip in clips if clip.split == "test")
        unseen_animal = {(UNSEEN_ANIMAL, action) for action in ACTIONS}
        assert not train & (UNSEEN_PAIRS | unseen_animal)
        assert len(train | UNSEEN_PAIRS | unseen_animal) == len(ANIMALS) * len(ACTIONS)
        assert all(test[pair] == (4 if pair in train else 8) for pair in train | set(test))

    def test_training_keeps_all_actions_and_animals_and_withholds_partners_together(self):
        train = {(clip.animal, clip.action) for clip in plan(1, 1) if clip.split == "train"}
        actions_of = Counter(animal for animal, _ in train)
        animals_of = Counter(action for _, action in train)
        assert set(actions_of) == set(ANIMALS) - {UNSEEN_ANIMAL}
        assert animals_of == dict.fromkeys(ACTIONS, 6)
        for animal in ANIMALS:
            for action, reverse in PAIRS:
                assert ((animal, action) in train) == ((animal, reverse) in train)

    def test_a_larger_set_contains_the_smaller(self):
        small, large = plan(2, 1), plan(5, 3)
        assert set(small) < set(large)
        assert len({clip.path for clip in large}) == len(large)

    def test_no_two_clips_share_a_seed(self):
        clips = plan(28, 4)
        assert len({clip.render_seed(seed) for clip in clips for seed in (0, 1)}) == 2 * len(clips)


class TestFiles:
    def test_annotations_have_the_form_of_lote_animal(self, dataset):
        actions = self._labels(dataset / "annotations" / "label.csv")
        animals = self._labels(dataset / "annotations" / "animal_label.csv")
        assert (list(actions.values()), list(animals.values())) == (list(ACTIONS), list(ANIMALS))

        listed = []
        for split, count in (("train", 48), ("test", 80)):
            text = (dataset / "annotations" / f"{split}.txt").read_text()
            assert text.endswith("\n\n")
            lines = text.splitlines()[:-1]
            assert len(lines) == count
            for line in lines:
                match = re.fullmatch(r"([A-Za-z]+)/([A-Za-z]+)\d{4}\.mp4 (\d+) (\d+)", line)
                assert match
                folder, animal, action_id, animal_id = match.groups()
                assert actions[int(action_id)].replace(" ", "").lower() == folder.lower()
                assert animals[int(animal_id)] == animal
                seen = animal != UNSEEN_ANIMAL
                seen &= (animal, actions[int(action_id)]) not in UNSEEN_PAIRS
                assert seen or split == "test"
                listed.append(line.split()[0])
        videos = dataset / "videos"
        present = [path.relative_to(videos).as_posix() for path in videos.rglob("*.*")]
        assert sorted(listed) == sorted(present)

    @staticmethod
    def _labels(path: Path) -> dict[int, str]:
        header, *rows = path.read_text().splitlines()
        assert header == "id,label"
        return {int(row.split(",")[0]): row.split(",")[1] for row in rows}

    def test_videos_show_their_clips(self, dataset):
        for clip in plan(1, 1)[::16]:
            frames = decode(dataset / "videos" / clip.path)
            expected = render_clip(
                clip.animal, clip.action, clip.render_seed(0), num_frames=3, size=(32, 32)
            )
            assert frames.shape == expected.shape
            assert np.abs(frames.astype(int) - expected).mean() < 8

    def test_video_format(self, dataset):
        with av.open(str(next((dataset / "videos").rglob("*.mp4")))) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert stream.codec_context.pix_fmt == "yuv420p"
            assert stream.average_rate == 12
            assert stream.frames == 3

    def test_encoding_does_not_tell_the_direction_of_time(self, tmp_path):
        clip = render_clip("Zebra", "Walking", 3)
        write_video(tmp_path / "forward.mp4", clip)
        write_video(tmp_path / "backward.mp4", clip[::-1])
        forward, backward = decode(tmp_path / "forward.mp4"), decode(tmp_path / "backward.mp4")
        np.testing.assert_array_equal(forward, backward[::-1])

    def test_number_of_workers_does_not_matter(self, dataset, tmp_path):
        write_dataset(tmp_path / "set", workers=2, **SMALL)
        assert contents(tmp_path / "set") == contents(dataset)

    def test_interrupted_set_is_completed(self, dataset, tmp_path):
        folder = tmp_path / "set"
        assert write_dataset(folder, workers=1, **SMALL) == 128
        lost = folder / "videos" / "Walking" / "Giraffe0001.mp4"
        lost.rename(lost.with_name("Giraffe0001.mp4.7.incomplete"))
        kept = folder / "videos" / "Walking" / "Bear0001.mp4"
        kept.write_bytes(b"kept")

        assert write_dataset(folder, workers=1, **SMALL) == 1
        assert kept.read_bytes() == b"kept"
        kept.write_bytes((dataset / "videos" / "Walking" / "Bear0001.mp4").read_bytes())
        assert contents(folder) == contents(dataset)

    @pytest.mark.parametrize("change", [{"seed": 1}, {"clips_per_pair": 2}, {"size": (32, 64)}])
    def test_set_with_other_parameters_is_refused_and_untouched(self, dataset, change):
        before = contents(dataset)
        with pytest.raises(ValueError, match="other parameters"):
            write_dataset(dataset, workers=1, **{**SMALL, **change})
        assert contents(dataset) == before

    def test_folder_of_something_else_is_refused(self, tmp_path):
        (tmp_path / "thesis.tex").write_text("...")
        with pytest.raises(ValueError, match="not empty"):
            write_dataset(tmp_path, **SMALL)
        (tmp_path / "synthetic.json").write_text("{")
        with pytest.raises(ValueError, match="synthetic.json is not valid JSON"):
            write_dataset(tmp_path, **SMALL)
        assert sorted(contents(tmp_path)) == ["synthetic.json", "thesis.tex"]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"seed": -1}, "seed.*-1"),
            ({"clips_per_pair": 0}, "clips_per_pair.*found 0"),
            ({"test_clips_per_pair": 9999}, "test_clips_per_pair.*found 9999"),
            ({"num_frames": 1}, "num_frames.*found 1"),
            ({"size": (33, 32)}, "even.*33 x 32"),
            ({"workers": 0}, "workers.*found 0"),
        ],
    )
    def test_parameters_are_checked_before_anything_is_written(self, tmp_path, change, message):
        with pytest.raises(ValueError, match=message):
            write_dataset(tmp_path / "set", **{**SMALL, **change})
        assert not (tmp_path / "set").exists()


def test_labels_with_commas_and_quotes_are_read_as_they_are(tmp_path):
    labels = ("Carrying, in mouth", 'The "zoomies"', "Running")
    (tmp_path / "label.csv").write_text(label_table(labels))
    assert read_labels(tmp_path / "label.csv") == labels


def test_folders_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file/set cannot be written: Not a directory"):
        write_dataset(tmp_path / "file" / "set", **SMALL)
    with pytest.raises(UserError, match="has to be on this machine, not gs://bucket/set"):
        write_dataset("gs://bucket/set", **SMALL)


class TestCommandLine:
    @staticmethod
    def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "data_pipeline.synthetic", f"--output={folder}"]
        command += ["--clips_per_pair=1", "--test_clips_per_pair=1", "--size=32", "--num_frames=3"]
        root = Path(__file__).parents[2]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, cwd=root)

    def test_says_the_seed_and_what_it_did(self, tmp_path):
        done = self._run(tmp_path / "set", "--workers=1", "--seed=7")
        assert done.returncode == 0, done.stderr
        (line,) = done.stdout.splitlines()
        assert re.match(r"rendered 128 of 128 clips \(seed 7\) in [\d.]+ s, \d+ clips/s: ", line)
        assert json.loads((tmp_path / "set" / "synthetic.json").read_text())["seed"] == 7

    def test_error_is_one_line(self, dataset):
        done = self._run(dataset, "--seed=1")
        assert done.returncode == 2
        assert re.fullmatch(r"error: .*other parameters.*\n", done.stderr)
