"""Videos in, records out: nothing lost, nothing mixed up, and again after a kill."""

import contextlib
import csv
import itertools
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path

import av
import deadly_videos
import numpy as np
import pytest
import tensorflow_datasets as tfds
from made_dataset import (
    ACTIONS,
    ANIMALS,
    NUM_TEST,
    NUM_TRAIN,
    as_older_version,
    assert_same_folders,
    convert_lote,
)
from made_videos import (
    number_of,
    peak_signal_to_noise,
    write_rotated_video,
    write_sound,
    write_video,
)

from animal_clip_jax.errors import UserError
from animal_clip_jax.locks import only_writer
from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.annotations.read_options import ReadOptions
from data_pipeline.annotations.record import AnnotationError
from data_pipeline.batches.input import evaluation_batches, train_batches
from data_pipeline.batches.sampling import uniform_indices
from data_pipeline.clip_index import RECORD_FRAMING, load_index
from data_pipeline.conversion.dataset_writer import (
    ConversionError,
    Options,
    convert,
)
from data_pipeline.conversion.find_videos import find_videos, is_there
from data_pipeline.conversion.shards import (
    finished_contents,
    plan_shards,
    temporary_path,
)
from data_pipeline.convert import main
from data_pipeline.dataset import load_info

REAL_VIDEOS = Path(__file__).parents[3] / "shared" / "videos"


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def examples(directory, split):
    return list(tfds.as_numpy(tfds.builder_from_directory(directory).as_dataset(split=split)))


def records(directory, split="train"):
    """The bytes of the record of every clip."""
    index = load_index(directory, split)
    rows = zip(index.clip_ids, index.shards, index.offsets, index.lengths, strict=True)
    return {
        clip_id: (directory / shard).read_bytes()[offset : offset + length + RECORD_FRAMING]
        for clip_id, shard, offset, length in rows
    }


class TestRecords:
    def test_tensorflow_datasets_reads_every_clip_with_its_labels(self, dataset):
        builder = tfds.builder_from_directory(dataset)
        assert {name: s.num_examples for name, s in builder.info.splits.items()} == {
            "train": NUM_TRAIN,
            "test": NUM_TEST,
        }
        assert tuple(builder.info.features["actions"].feature.names) == ACTIONS
        assert tuple(builder.info.features["animals"].feature.names) == ANIMALS
        found = {}
        for split in ("train", "test"):
            for example in examples(dataset, split):
                found[example["clip_id"].decode()] = (
                    [ACTIONS[label] for label in example["actions"]],
                    [ANIMALS[label] for label in example["animals"]],
                )
        # The name of each video says what its annotation says.
        assert len(found) == NUM_TRAIN + NUM_TEST
        for clip_id, (actions, animals) in found.items():
            folder, name = clip_id.split("/")
            assert actions == [folder]
            assert animals == [name.rstrip("0123456789")]

    def test_frames_are_evenly_spaced_and_carry_their_numbers(self, dataset):
        for example in examples(dataset, "test"):
            n = int(example["num_frames"])
            expected = uniform_indices(n, 16).tolist()
            assert example["frame_indices"].tolist() == expected
            assert [number_of(frame) for frame in example["frames"]] == expected
            assert min(example["frames"].shape[1:3]) == 40
            assert example["frame_rate"] == pytest.approx(12)

    def test_the_index_leads_to_the_records(self, dataset):
        index = load_index(dataset, "train")
        by_id = {example["clip_id"].decode(): example for example in examples(dataset, "train")}
        assert set(index.clip_ids) == by_id.keys()
        for row, clip_id in enumerate(index.clip_ids):
            example = by_id[clip_id]
            assert index.num_frames[row] == len(example["frames"])
            assert (index.heights[row], index.widths[row]) == example["frames"].shape[1:3]
            assert index.original_num_frames[row] == example["num_frames"]
            assert index.original_heights[row] == example["height"]
            assert index.actions[row] == tuple(example["actions"])

    def test_clips_of_all_actions_are_mixed_within_shards(self, dataset):
        index = load_index(dataset, "train")
        shards = {shard: set() for shard in index.shards}
        for shard, actions in zip(index.shards, index.actions, strict=True):
            shards[shard].update(actions)
        assert len(shards) == 6
        assert max(len(actions) for actions in shards.values()) > 1


def check_round_trip(videos, folder):
    """Converts videos as they are and compares every stored frame with PyAV's own."""
    rows = "".join(f"{path.name},Fox,Running,train\n" for path in videos)
    (folder / "clips.csv").write_text("video,animals,actions,split\n" + rows)
    options = Options(short_side=256, max_frames=20)
    convert("csv", read_annotations("csv", folder), folder / "out", options=options, workers=2)
    found = {example["clip_id"].decode(): example for example in examples(folder / "out", "train")}
    assert len(found) == len(videos)
    for path in videos:
        example = found[path.stem]
        with av.open(str(path)) as container:
            decoded = list(container.decode(video=0))
        indices = uniform_indices(len(decoded), 20)
        assert example["frame_indices"].tolist() == indices.tolist()
        assert example["num_frames"] == len(decoded)
        turns = round(decoded[0].rotation / 90)
        height, width = example["frames"].shape[1:3]
        size = (width, height) if turns % 2 == 0 else (height, width)
        for frame, index in zip(example["frames"], indices, strict=True):
            reference = decoded[index].to_ndarray(format="rgb24", width=size[0], height=size[1])
            assert peak_signal_to_noise(frame, np.rot90(reference, turns)) >= 38


def test_made_videos_come_back(tmp_path):
    videos = tmp_path / "videos"
    shape = {"height": 180, "width": 240}
    check_round_trip(
        [
            write_video(videos / "b_frames.mp4", 50, options={"bf": "3"}, **shape),
            write_video(videos / "one.mp4", 1, **shape),
            write_video(videos / "three.mp4", 3, **shape),
            write_video(videos / "odd.mp4", 9, height=181, width=243, pixel_format="yuv444p"),
            write_video(videos / "portrait.mp4", 9, height=320, width=180),
            write_video(videos / "vfr.mp4", 5, time_stamps=[0, 1, 9, 10, 40], **shape),
            write_rotated_video(videos / "rotated.mp4", 5, 1, **shape),
        ],
        tmp_path,
    )


@pytest.mark.skipif(not REAL_VIDEOS.is_dir(), reason="the real videos are not here")
def test_real_videos_come_back(tmp_path):
    (tmp_path / "videos").mkdir()
    videos = [
        Path(shutil.copy(path, tmp_path / "videos")) for path in sorted(REAL_VIDEOS.glob("*.mp4"))
    ]
    assert len(videos) == 5
    check_round_trip(videos, tmp_path)


class TestListsBesideTheShards:
    def test_relations_count_the_training_split_only(self, source, dataset):
        clips = read_annotations("lote_animal", source).clips
        expected = Counter(
            (clip.animals[0], clip.actions[0]) for clip in clips if clip.split == "train"
        )
        found = {
            (row["animal"], row["action"]): int(row["clips"])
            for row in read_csv(dataset / "relation.csv")
        }
        assert found == expected
        counts = load_info(dataset).relation_counts
        assert counts.dtype == np.int64
        assert counts.sum() == NUM_TRAIN
        assert counts[ANIMALS.index("Fox"), ACTIONS.index("Resting")] == 0

    def test_a_pair_that_only_the_test_split_shows_is_no_relation(self, tmp_path):
        write_video(tmp_path / "a.mp4", 2)
        write_video(tmp_path / "b.mp4", 2)
        (tmp_path / "clips.csv").write_text(
            "video,animals,actions,split\na.mp4,Fox;Boar,Eating,train\nb.mp4,Fox,Running,test\n"
        )
        annotations = read_annotations("csv", tmp_path)
        convert("csv", annotations, tmp_path / "out", options=Options(), workers=1)
        info = load_info(tmp_path / "out")
        assert info.animal_names == ("Boar", "Fox")
        assert info.action_names == ("Eating", "Running")
        assert info.relation_counts.tolist() == [[1, 0], [1, 0]]

    def test_counts_of_each_split(self, source, dataset):
        clips = read_annotations("lote_animal", source).clips
        expected = Counter((clip.split, "action", clip.actions[0]) for clip in clips)
        expected += Counter((clip.split, "animal", clip.animals[0]) for clip in clips)
        rows = read_csv(dataset / "counts.csv")
        assert len(rows) == 2 * (len(ACTIONS) + len(ANIMALS))
        assert {
            (row["split"], row["kind"], row["name"]): int(row["clips"])
            for row in rows
            if row["clips"] != "0"
        } == expected


class TestAgain:
    def test_two_workers_write_the_same_bytes_as_one(self, source, dataset, tmp_path):
        convert_lote(source, tmp_path / "out", workers=2)
        assert_same_folders(dataset, tmp_path / "out")

    def test_a_complete_dataset_is_left_alone(self, source, dataset, tmp_path, capsys):
        output = tmp_path / "out"
        shutil.copytree(dataset, output)
        before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
        assert convert_lote(source, output) == {"train": NUM_TRAIN, "test": NUM_TEST}
        assert "complete already" in capsys.readouterr().out
        assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before

    def test_a_lost_or_shortened_shard_is_written_again(self, source, dataset, tmp_path):
        output = tmp_path / "out"
        shutil.copytree(dataset, output)
        shards = sorted(output.glob("*.tfrecord*"))
        before = {path: path.stat().st_mtime_ns for path in shards[2:]}
        shards[0].unlink()
        os.truncate(shards[1], shards[1].stat().st_size - 1)
        assert convert_lote(source, output) == {"train": NUM_TRAIN, "test": NUM_TEST}
        assert_same_folders(dataset, output)
        assert {path: path.stat().st_mtime_ns for path in shards[2:]} == before

    def test_a_killed_conversion_goes_on_to_the_same_bytes(self, source, dataset, tmp_path):
        num_finished = 3
        output = tmp_path / "out"
        command = [
            *(sys.executable, "-m", "data_pipeline.convert", "--dataset=lote_animal"),
            *(f"--source={source}", f"--output={output}", "--short_side=40", "--max_frames=16"),
            *("--clips_per_shard=4", "--workers=1"),
        ]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while process.poll() is None:
            if len(list(output.glob("*.tfrecord-?????-of-?????"))) >= num_finished:
                process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.02)
        assert process.returncode == -signal.SIGKILL
        assert not (output / "dataset_info.json").exists()
        kept = {path: path.stat().st_mtime_ns for path in output.glob("*.tfrecord-*-of-?????")}
        assert len(kept) >= num_finished
        convert_lote(source, output)
        assert_same_folders(dataset, output)
        assert {path: path.stat().st_mtime_ns for path in kept} == kept

    def test_what_a_kill_leaves_behind_is_removed(self, source, dataset, tmp_path):
        output = tmp_path / "out"
        shutil.copytree(dataset, output)
        (shard, *_) = sorted(output.glob("*.tfrecord*"))
        shard.unlink()
        (output / f"{shard.name}.incomplete").write_text("half of a sh")
        (output / "dataset.json.77.incomplete").write_text("{")
        (output / "shard_listings" / f"{shard.name}.json.77.incomplete").write_text("{")
        convert_lote(source, output)
        assert_same_folders(dataset, output)

    def test_a_conversion_that_had_just_begun_goes_on(self, source, dataset, tmp_path):
        output = tmp_path / "out"
        output.mkdir()
        (output / "dataset.json.77.incomplete").write_text("{")
        convert_lote(source, output)
        assert_same_folders(dataset, output)

    def test_a_shard_with_a_damaged_listing_is_written_again(self, source, dataset, tmp_path):
        output = tmp_path / "out"
        shutil.copytree(dataset, output)
        (listing, *_) = sorted((output / "shard_listings").iterdir())
        listing.write_text("{")
        convert_lote(source, output)
        assert_same_folders(dataset, output)

    def test_an_output_that_cannot_be_made(self, source, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(UserError, match="file/out cannot be written.*Not a directory"):
            convert_lote(source, tmp_path / "file" / "out")

    def test_a_full_disk_is_a_clear_error_and_no_end(self, source, dataset, tmp_path):
        output = tmp_path / "out"
        # -B: nor may it write what it compiles of the libraries, of which half would be kept.
        command = [
            *(sys.executable, "-B", "-m", "data_pipeline.convert", "--dataset=lote_animal"),
            *(f"--source={source}", f"--output={output}", "--short_side=40", "--max_frames=16"),
            *("--clips_per_shard=4", "--workers=1"),
        ]
        most = max(path.stat().st_size for path in dataset.glob("*.tfrecord*")) - 1

        def limit_file_size():
            # Writing more fails as it does on a full disk, for this process alone.
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

        result = subprocess.run(
            command, preexec_fn=limit_file_size, capture_output=True, text=True, check=False
        )
        assert result.returncode == 2
        last = result.stderr.strip().splitlines()[-1]
        assert last.startswith("error: ")
        assert "cannot be written" in last
        assert "run again" in last
        assert not list(output.glob("*.tfrecord*.incomplete"))
        convert_lote(source, output)
        assert_same_folders(dataset, output)

    def test_other_options_or_labels_are_refused(self, source, dataset, tmp_path):
        output = tmp_path / "out"
        shutil.copytree(dataset, output)
        with pytest.raises(ConversionError, match="short_side is 40, now it is 256"):
            convert_lote(source, output, options=Options(max_frames=16, clips_per_shard=4))
        changed = tmp_path / "changed"
        shutil.copytree(source, changed)
        path = changed / "annotations" / "train.txt"
        path.write_text(path.read_text().replace("mp4 0 0", "mp4 1 0", 1))
        with pytest.raises(ConversionError, match="clips: 1 with other labels or in"):
            convert_lote(changed, output)

    def test_another_division_into_splits_is_refused(self, tmp_path):
        """The clips, their order and labels stay; one of them moves from one split to the other."""
        header = "video,animals,actions,split\n"
        rows = ["a.mp4,Fox,Running,{}\n", "b.mp4,Fox,Running,train\n", "c.mp4,Fox,Running,test\n"]
        for name in "abc":
            write_video(tmp_path / f"{name}.mp4", 2)

        def convert_with(split):
            (tmp_path / "clips.csv").write_text(header + "".join(rows).format(split))
            annotations = read_annotations("csv", tmp_path)
            options = Options(short_side=24)
            return convert("csv", annotations, tmp_path / "out", options=options, workers=1)

        assert convert_with("train") == {"train": 2, "test": 1}
        with pytest.raises(ConversionError, match="clips: 1 with other labels or in"):
            convert_with("test")
        assert load_info(tmp_path / "out").split_sizes == {"train": 2, "test": 1}
        assert convert_with("train") == {"train": 2, "test": 1}

    def test_a_folder_of_something_else_is_refused(self, source, tmp_path):
        (tmp_path / "thesis.tex").touch()
        with pytest.raises(ConversionError, match="not empty and holds no conversion"):
            convert_lote(source, tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


class TestFailures:
    @pytest.fixture
    def broken(self, tmp_path):
        """Five annotated clips, of which three are unusable, and a video without annotation."""
        videos = tmp_path / "videos"
        write_video(videos / "good.mp4", 4)
        write_video(videos / "also_good.mp4", 4)
        cut = write_video(videos / "cut.mp4", 40, container_options={"movflags": "faststart"})
        cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
        write_sound(videos / "sound.wav").rename(videos / "sound.mp4")
        write_video(videos / "deep" / "extra.MP4", 2)
        names = ("good", "cut", "sound", "missing", "also_good")
        rows = "".join(f"{name}.mp4,Fox,Running,train\n" for name in names)
        (tmp_path / "clips.csv").write_text("video,animals,actions,split\n" + rows)
        return tmp_path

    def run(self, folder, *arguments):
        return main(
            ["--dataset=csv", f"--source={folder}", f"--output={folder / 'out'}", *arguments]
        )

    def test_missing_ones_are_told_before_anything_is_decoded(self, broken, capsys):
        (broken / "clips.csv").write_text(
            (broken / "clips.csv").read_text() + "moved/extra.MP4,Fox,Running,train\n"
        )
        assert self.run(broken) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith(
            f"error: 2 of 6 clips have no video: there is no {broken}/videos/missing.mp4 "
            f"({broken}/clips.csv, line 5)"
        )
        assert f"Paths count from {broken}/videos" in error and "--max_failures=2" in error
        assert not (broken / "out").exists()
        # Where there is one of that name, it is offered.
        header, *rows = (broken / "clips.csv").read_text().splitlines()
        (broken / "clips.csv").write_text("\n".join([header, rows[-1], rows[0]]))
        assert self.run(broken) == 2
        assert "There is deep/extra.MP4, which no row names." in capsys.readouterr().err

    def test_they_are_listed_and_end_the_run(self, broken, capsys):
        assert self.run(broken, "--workers=2", "--max_failures=1") == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: 3 of 5 clips failed, 1 may")
        assert "--max_failures=3" in error
        reasons = {row["video"]: row["reason"] for row in read_csv(broken / "out/failures.csv")}
        assert reasons.keys() == {"cut.mp4", "sound.mp4", "missing.mp4"}
        assert "breaks off" in reasons["cut.mp4"]
        assert "none of the formats of videos" in reasons["sound.mp4"]
        assert reasons["missing.mp4"] == "there is no such file"
        assert read_csv(broken / "out" / "unannotated_videos.csv") == [{"video": "deep/extra.MP4"}]
        with pytest.raises(ValueError, match="has not finished"):
            load_info(broken / "out")

    def test_they_can_be_accepted(self, broken, capsys):
        assert self.run(broken, "--max_failures=1") == 2
        assert self.run(broken, "--max_failures=3") == 0
        assert "train: 2 clips" in capsys.readouterr().out
        assert load_info(broken / "out").split_sizes == {"train": 2}
        assert len(read_csv(broken / "out" / "failures.csv")) == 3
        found = [example["clip_id"] for example in examples(broken / "out", "train")]
        assert sorted(found) == [b"also_good", b"good"]

    def test_a_complete_dataset_does_not_hide_them(self, broken, capsys):
        assert self.run(broken, "--max_failures=3") == 0
        assert self.run(broken, "--max_failures=2") == 2
        assert "error: 3 of 5 clips failed, 2 may" in capsys.readouterr().err
        write_video(broken / "videos" / "missing.mp4", 3)
        assert self.run(broken, "--max_failures=2") == 0
        assert load_info(broken / "out").split_sizes == {"train": 3}

    def test_a_mended_video_is_tried_again(self, broken):
        assert self.run(broken, "--max_failures=2") == 2
        write_video(broken / "videos" / "missing.mp4", 3)
        assert self.run(broken, "--max_failures=2") == 0
        assert load_info(broken / "out").split_sizes == {"train": 3}

    def test_a_split_without_any_clip_is_an_error(self, broken, capsys):
        (broken / "clips.csv").write_text(
            "video,animals,actions,split\ngood.mp4,F,R,train\nmissing.mp4,F,R,test\n"
        )
        assert self.run(broken, "--max_failures=1") == 2
        assert "not one clip of the split 'test'" in capsys.readouterr().err

    def test_a_video_with_another_suffix_is_found(self, tmp_path):
        write_video(tmp_path / "videos" / "clip.mp4", 3)
        (tmp_path / "clips.csv").write_text("video,animals,actions\nclip.avi,Fox,Running\n")
        assert self.run(tmp_path) == 0
        assert read_csv(tmp_path / "out" / "clips.csv")[0]["video"] == "clip.mp4"

    def test_a_video_that_kills_its_process_is_one_of_them(self, tmp_path):
        names = [f"clip{k}.mp4" for k in range(9)]
        for k, name in enumerate(names):
            write_video(tmp_path / name, 3 + k)
        write_video(tmp_path / "deadly.mp4", 3)
        header = "video,animals,actions,split\n"
        settings = {"options": Options(short_side=24, clips_per_shard=4), "workers": 2}
        for output, videos, kwargs in (
            ("without", names, {}),
            (
                "with",
                [*names[:4], "deadly.mp4", *names[4:]],
                {"encode": deadly_videos.encode, "max_failures": 1},
            ),
        ):
            rows = "".join(f"{name},Fox,Running,train\n" for name in videos)
            (tmp_path / "clips.csv").write_text(header + rows)
            annotations = read_annotations("csv", tmp_path)
            convert("csv", annotations, tmp_path / output, **settings, **kwargs)
        (failure,) = read_csv(tmp_path / "with" / "failures.csv")
        assert failure["video"] == "deadly.mp4"
        assert failure["reason"] == "its decoding killed the process"
        found, expected = (records(tmp_path / output) for output in ("with", "without"))
        assert found.keys() == {f"clip{k}" for k in range(9)}
        assert found == expected

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--workers=0"], "--workers: 0 is not at least 1"),
            (["--short_side=1"], "short_side is 1; the least is 8"),
            (["--short_side=99999"], "--short_side: 99999 is more than 8192, the most"),
            (["--workers=9999"], "--workers: 9999 is more than 1024, the most"),
            (["--max_frames=-1"], "--max_frames: -1 is not at least 0"),
            (["--action_labels=none.csv"], "none.csv"),
            (["--source=gs://bucket/a"], "has to be on this machine, not gs://bucket/a"),
            (["--source=foo://bucket/a"], "URLs of foo:// are not known"),
            (["--output=gs://bucket/a"], "has to be on this machine, not gs://bucket/a"),
        ],
    )
    def test_impossible_arguments_are_one_line(self, broken, capsys, arguments, message):
        assert self.run(broken, *arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert message in error
        assert error.count("\n") == 1
        assert not (broken / "out").exists()


def test_videos_without_animals_can_be_converted_and_read(tmp_path):
    splits = ("train", "train", "test", "train", "test", "test")
    for k in range(6):
        write_video(tmp_path / "videos" / f"{k}.mp4", 3)
    rows = "".join(
        f"{k}.mp4,,{('Running', 'Eating')[k % 2]},{split}\n" for k, split in enumerate(splits)
    )
    (tmp_path / "clips.csv").write_text("video,animals,actions,split\n" + rows)
    output = tmp_path / "out"
    arguments = ["--dataset=csv", f"--source={tmp_path}", f"--output={output}", "--workers=1"]
    assert main(arguments) == 0
    assert not {"animals.txt", "relation.csv"} & {path.name for path in output.iterdir()}
    info = load_info(output)
    assert info.animal_names == ()
    assert info.relation_counts.shape == (0, 2)
    assert load_index(output, "train").animals == ((), (), ())
    assert [example["animals"].tolist() for example in examples(output, "train")] == [[]] * 3
    assert main(arguments) == 0  # a complete one is recognised

    settings = {"num_frames": 2, "image_size": 16, "batch_size": 2}
    for batch in itertools.islice(train_batches(output, seed=0, **settings), 2):
        assert (batch["animals"].shape, batch["animals"].dtype) == ((2, 0), np.float32)
        assert batch["actions"].sum(axis=1).tolist() == [1, 1]
    padded = list(evaluation_batches(output, split="test", **settings))
    assert [batch["mask"].tolist() for batch in padded] == [[True, True], [True, False]]
    assert [batch["animals"].shape for batch in padded] == [(2, 0), (2, 0)]


def test_labels_may_hold_commas_and_quotes(tmp_path):
    write_video(tmp_path / "a.mp4", 3)
    actions = ("Carrying, in mouth", 'The "zoomies"')
    with (tmp_path / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("video", "animals", "actions"), ("a.mp4", 'Fox, "red"', ";".join(actions))]
        )
    annotations = read_annotations("csv", tmp_path)
    convert("csv", annotations, tmp_path / "out", options=Options(), workers=1)
    info = load_info(tmp_path / "out")
    assert info.action_names == actions
    assert info.animal_names == ('Fox, "red"',)
    assert info.relation_counts.tolist() == [[1, 1]]
    counted = [row["name"] for row in read_csv(tmp_path / "out" / "counts.csv")]
    assert counted == [*actions, 'Fox, "red"']


def test_all_frames_are_stored_on_request(tmp_path):
    write_video(tmp_path / "a.mp4", 70)
    (tmp_path / "clips.csv").write_text("video,animals,actions\na.mp4,Fox,Running\n")
    annotations = read_annotations("csv", tmp_path)
    options = Options(short_side=16, max_frames=0)
    convert("csv", annotations, tmp_path / "out", options=options, workers=1)
    assert examples(tmp_path / "out", "train")[0]["frame_indices"].tolist() == list(range(70))


def test_workers_do_not_outlive_a_killed_conversion(source, tmp_path):
    output = tmp_path / "out"
    command = [
        *(sys.executable, "-m", "data_pipeline.convert", "--dataset=lote_animal"),
        *(f"--source={source}", f"--output={output}", "--workers=2"),
    ]
    # All of them hold the writing end of this pipe: it ends when the last of them has ended.
    reader, writer = os.pipe()
    process = subprocess.Popen(command, pass_fds=[writer], stderr=writer, stdout=subprocess.DEVNULL)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        first = pipe.read(1)  # the progress bar: the workers are at work
        process.kill()
        process.wait()
        assert first
        pipe.read()


class TestMending:
    @pytest.mark.parametrize("damage", ["removed", "changed"])
    def test_converting_again_mends_the_small_files(
        self, source, dataset, tmp_path, capsys, damage
    ):
        output = shutil.copytree(dataset, tmp_path / "out")
        shards = {path: path.stat().st_mtime_ns for path in output.glob("*.tfrecord*")}
        names = [
            path.name
            for path in output.iterdir()
            if path.is_file() and "tfrecord" not in path.name and path.name != "dataset.json"
        ]
        assert len(names) == 10
        for name in names:
            if damage == "removed":
                (output / name).unlink()
            else:
                (output / name).write_bytes((output / name).read_bytes()[::-1] + b"x")
        assert convert_lote(source, output) == {"train": NUM_TRAIN, "test": NUM_TEST}
        said = capsys.readouterr().out
        assert all(name in said for name in names)
        assert_same_folders(dataset, output)
        assert {path: path.stat().st_mtime_ns for path in shards} == shards
        convert_lote(source, output)
        assert "is complete already" in capsys.readouterr().out

    def test_older_datasets_gain_digests(self, source, dataset, tmp_path):
        output = as_older_version(shutil.copytree(dataset, tmp_path / "out"))
        convert_lote(source, output)
        assert_same_folders(dataset, output)

    def test_a_changed_description_is_written_again(self, source, dataset, tmp_path):
        output = shutil.copytree(dataset, tmp_path / "out")
        path = output / "dataset.json"
        path.write_text(path.read_text().replace('"train": 22', '"train": 21'))
        convert_lote(source, output)
        assert_same_folders(dataset, output)

    def test_a_description_that_is_none_is_not_overwritten(self, source, dataset, tmp_path):
        output = shutil.copytree(dataset, tmp_path / "out")
        for text in ("[]", "{", "{}", "[" * 100_000):
            (output / "dataset.json").write_text(text)
            with pytest.raises(UserError, match="or damaged: restore it, or remove the folder"):
                convert_lote(source, output)
            assert (output / "dataset.json").read_text() == text

    def test_a_damaged_listing_is_not_believed(self, source, dataset, tmp_path):
        output = shutil.copytree(dataset, tmp_path / "out")
        annotations = read_annotations("lote_animal", source)
        shard, other, *_ = plan_shards("lote_animal", annotations, 4)
        listing = output / "shard_listings" / f"{shard.file_name}.json"
        text = listing.read_text()
        for pattern, replacement in (
            ('"length": [0-9]*', '"length": "4"'),
            ('"num_frames": ', '"num_frames": 1'),
            ('"stored": ', '"kept": '),
            ('{"stored"', "[" * 100_000 + '{"stored"'),
            ('"clip_id": "[^"]*", ', ""),
            ("{.*}", "[]"),
        ):
            assert finished_contents(output, shard) is not None
            changed = re.sub(pattern, replacement, text, count=1)
            assert changed != text
            listing.write_text(changed)
            assert finished_contents(output, shard) is None
            listing.write_text(text)
        # Whole, but of other clips.
        for folder, end in ((output, ""), (listing.parent, ".json")):
            shutil.copy(folder / f"{other.file_name}{end}", folder / f"{shard.file_name}{end}")
        assert finished_contents(output, shard) is None


class TestOneWriter:
    def test_a_second_conversion_says_who_is_writing(self, source, dataset, tmp_path):
        output = tmp_path / "out"
        with only_writer(output), pytest.raises(UserError, match="is being written by"):
            convert_lote(source, output)
        convert_lote(source, output)
        assert_same_folders(dataset, output)

    def test_what_killed_ones_left_is_removed(self, source, dataset, tmp_path):
        output = tmp_path / "out"
        (output / "shard_listings").mkdir(parents=True)
        for name in ("dataset.json.7.incomplete", ".writing"):
            (output / name).write_text("{")
        (output / "shard_listings").rmdir()
        convert_lote(source, output)
        (output / "lote_animal-train.tfrecord-00000-of-00006.7.incomplete").write_text("half")
        (output / "shard_listings" / "a.json.7.incomplete").write_text("half")
        convert_lote(source, output)
        assert_same_folders(dataset, output)

    def test_names_of_processes_differ(self, tmp_path):
        """So that without a lock, on a disk that has none, nothing is cut by another."""
        path = temporary_path(tmp_path / "shard")
        assert str(os.getpid()) in path.name
        assert path.name.endswith(".incomplete")


class TestStrangeFolders:
    def annotations(self, folder):
        (folder / "clips.csv").write_text("video,animals,actions\na.mp4,Fox,Running\n")
        return read_annotations("csv", folder)

    def test_circles_and_ladders_of_links_come_to_an_end(self, tmp_path):
        videos = tmp_path / "videos"
        write_video(videos / "deep" / "a.mp4", 2)
        for name in ("again", "too"):
            (videos / name).symlink_to(".")
        for step in range(30):  # of 2^30 paths, without a circle
            (videos / f"step{step}").mkdir()
            for name in ("left", "right"):
                (videos / f"step{step}" / name).symlink_to(f"../step{step + 1}")
        (videos / "itself.mp4").symlink_to("itself.mp4")
        found, others = find_videos(self.annotations(tmp_path))
        assert found == {"a": videos / "a.mp4"}
        assert others == ["deep/a.mp4", "itself.mp4"]

    def test_folders_on_other_disks_are_found_through_links(self, tmp_path):
        write_video(tmp_path / "disk" / "a.avi", 2, codec="mpeg4", options={"crf": "0"})
        (tmp_path / "videos").mkdir()
        (tmp_path / "videos" / "linked").symlink_to(tmp_path / "disk")
        (tmp_path / "clips.csv").write_text("video,animals,actions\nlinked/a.mp4,Fox,Run\n")
        # Data of others could have links to anything: this one is followed when it is asked for.
        annotations = read_annotations("csv", tmp_path)
        found, others = find_videos(annotations)
        assert not is_there(annotations.roots)(found["linked/a"]) and others == []
        options = ReadOptions(roots=(tmp_path / "disk",))
        annotations = read_annotations("csv", tmp_path, options=options)
        found, others = find_videos(annotations)
        assert found == {"linked/a": tmp_path / "videos" / "linked" / "a.avi"}
        assert is_there(annotations.roots)(found["linked/a"]) and others == []

    @pytest.mark.parametrize("what", ["file", "folder"])
    def test_links_that_lead_out_are_not_opened(self, tmp_path, what, capsys):
        elsewhere = write_video(tmp_path / "elsewhere" / "b.mp4", 2)
        videos = tmp_path / "own" / "videos"
        write_video(videos / "a.mp4", 2)
        write_video(videos / "c.mp4", 2)
        (videos / "inside.mp4").symlink_to("a.mp4")
        if what == "file":
            (videos / "b.mp4").symlink_to(elsewhere)
        else:
            (videos / "sub").symlink_to(elsewhere.parent)
        name = "b.mp4" if what == "file" else "sub/b.mp4"
        (tmp_path / "own" / "clips.csv").write_text(
            f"video,actions\nc.mp4,Run\ninside.mp4,Run\n{name},Run\n"
        )
        arguments = ["--dataset=csv", f"--source={tmp_path}/own", "--workers=1"]
        arguments.append(f"--output={tmp_path}/out")
        assert main(arguments) == 2
        assert f"leads to {elsewhere}; add --root={tmp_path}/elsewhere" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
        assert main([*arguments, "--max_failures=1"]) == 0
        assert load_info(tmp_path / "out").split_sizes == {"train": 2}
        (row,) = read_csv(tmp_path / "out" / "failures.csv")
        assert row["reason"].startswith("a link leads out of the folders of videos")
        shutil.rmtree(tmp_path / "out")
        assert main([*arguments, f"--root={tmp_path}/elsewhere"]) == 0
        assert load_info(tmp_path / "out").split_sizes == {"train": 3}

    def test_what_is_hidden_is_no_video_without_a_clip(self, tmp_path):
        for name in ("a.mp4", "._a.mp4", ".hidden/b.mp4", "c.mp4"):
            write_video(tmp_path / "videos" / name, 2)
        assert find_videos(self.annotations(tmp_path))[1] == ["c.mp4"]

    def test_two_videos_that_differ_in_their_suffix(self, tmp_path):
        (tmp_path / "clips.csv").write_text("video,actions\nq.mov,Running\n")
        write_video(tmp_path / "q.mp4", 2)
        (found,) = find_videos(read_annotations("csv", tmp_path))[0].values()
        assert found == tmp_path / "q.mp4"
        write_video(tmp_path / "q.avi", 3, codec="mpeg4")
        with pytest.raises(AnnotationError, match="line 2: there is no 'q.mov', but q.avi and q.m"):
            find_videos(read_annotations("csv", tmp_path))

    def test_letters_whose_accents_are_kept_apart(self, tmp_path):
        """As some disks do."""
        together, apart = (unicodedata.normalize(form, "Fuß é.mp4") for form in ("NFC", "NFD"))
        (tmp_path / "clips.csv").write_text(f"video,actions\n{together},Running\n")
        write_video(tmp_path / apart, 2)
        (found,) = find_videos(read_annotations("csv", tmp_path))[0].values()
        assert found == tmp_path / apart

    def test_names_that_are_not_utf8(self, tmp_path):
        write_video(tmp_path / "videos" / "a.mp4", 2)
        for name in (b"stray\xff.mp4", b"\xfe"):
            os.link(tmp_path / "videos" / "a.mp4", os.fsencode(tmp_path / "videos") + b"/" + name)
        convert("csv", self.annotations(tmp_path), tmp_path / "out", options=Options(), workers=1)
        assert read_csv(tmp_path / "out" / "unannotated_videos.csv") == [
            {"video": "stray\\xff.mp4"}
        ]

    def test_an_output_whose_name_is_not_utf8(self, tmp_path):
        write_video(tmp_path / "videos" / "a.mp4", 2)
        output = tmp_path / os.fsdecode(b"out\xff")
        with pytest.raises(ConversionError, match=r"out\\xff: the name of the output is not UTF-8"):
            convert("csv", self.annotations(tmp_path), output, options=Options(), workers=1)
        assert not output.exists()


def test_bad_files_are_rows_with_their_reasons(tmp_path):
    videos = tmp_path / "videos"
    write_video(videos / "good.mp4", 3)
    write_video(videos / "thin.mp4", 2, height=3000, width=2)
    (videos / "list.mp4").write_text("ffconcat version 1.0\nfile good.mp4\n")
    os.mkfifo(videos / "pipe.mp4")
    (videos / "folder.mp4").mkdir()
    reasons = {
        "thin.mp4": "would be 64x96000 when scaled",
        "list.mp4": "none of the formats of videos",
        "pipe.mp4": "it is not a file",
        "folder.mp4": "it is not a file",
        f"{'v' * 300}.mp4": "File name too long",
    }
    rows = "".join(f"{name},Fox,Running,train\n" for name in ("good.mp4", *reasons))
    (tmp_path / "clips.csv").write_text("video,animals,actions,split\n" + rows)
    arguments = {"options": Options(short_side=64), "workers": 1, "max_failures": len(reasons)}
    convert("csv", read_annotations("csv", tmp_path), tmp_path / "out", **arguments)
    found = {row["video"]: row["reason"] for row in read_csv(tmp_path / "out" / "failures.csv")}
    assert found.keys() == reasons.keys()
    for name, reason in reasons.items():
        assert reason in found[name]


def test_similar_names_are_warned_of(tmp_path, capsys):
    write_video(tmp_path / "videos" / "a.mp4", 2)
    (tmp_path / "clips.csv").write_text("video,animals,actions\na.mp4,Fox;fox,Run;Walk\n")
    annotations = read_annotations("csv", tmp_path)
    convert("csv", annotations, tmp_path / "out", options=Options(), workers=1)
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert warnings == [
        "warning: the animals 'Fox', 'fox' look like one, and each is a class of its own; "
        "--merge_labels=FILE makes one of them"
    ]


def test_the_flags_for_own_footage(tmp_path, capsys):
    """Bouts of four recordings, with labels to merge, an animal for all, and splits to make."""
    rows = ["Video;Start;Stop;Actions"]
    for name in "abcd":
        write_video(tmp_path / "own" / "videos" / f"{name}.mp4", 20)
        rows += [f"videos/{name}.mp4;0;0,4;Run", f"{name}.mp4;0,4;0:00.8;running"]
    (tmp_path / "own" / "clips.csv").write_text("\n".join(rows))
    (tmp_path / "merge.csv").write_text("from,to\nrunning,Run\n")
    output = tmp_path / "out"
    arguments = [
        *("--dataset=csv", f"--source={tmp_path / 'own'}", f"--output={output}", "--workers=1"),
        *("--test_share=0.25", "--validation_share=0.25", f"--merge_labels={tmp_path}/merge.csv"),
        "--animal=Fox",
    ]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert "test: 2 clips of 1 recording" in said.out and "look like one" not in said.err
    info = load_info(output)
    assert (info.action_names, info.animal_names) == (("Run",), ("Fox",))
    assert info.split_sizes == {"train": 4, "val": 2, "test": 2}
    videos = [set(load_index(output, split).videos) for split in info.split_sizes]
    assert [len(names) for names in videos] == [2, 1, 1]
    assert set.union(*videos) == {"a.mp4", "b.mp4", "c.mp4", "d.mp4"}
    assert main([*arguments, "--held_out_animals=Fox"]) == 2
    assert "both say what is tested on" in capsys.readouterr().err
