"""A conversion after another one, after a kill, or beside one that is writing."""

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys

import pytest
from made_dataset import NUM_TEST, NUM_TRAIN, as_older_version, assert_same_folders, convert_lote
from made_videos import write_video

from animal_clip_jax.errors import UserError
from animal_clip_jax.locks import only_writer
from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.conversion.dataset_writer import ConversionError, Options, convert
from data_pipeline.conversion.shards import finished_contents, plan_shards, temporary_path
from data_pipeline.dataset import load_info


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
