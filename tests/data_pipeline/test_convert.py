"""Videos in, records out: nothing lost, nothing mixed up."""

import csv
import itertools
import shutil
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
import tensorflow_datasets as tfds
from made_dataset import ACTIONS, ANIMALS, NUM_TEST, NUM_TRAIN, examples, read_csv
from made_videos import number_of, peak_signal_to_noise, write_rotated_video, write_video

from data_pipeline.annotations.datasets import read_annotations
from data_pipeline.batches.input import evaluation_batches, train_batches
from data_pipeline.batches.sampling import uniform_indices
from data_pipeline.clip_index import load_index
from data_pipeline.conversion.dataset_writer import Options, convert
from data_pipeline.convert import main
from data_pipeline.dataset import load_info

REAL_VIDEOS = Path(__file__).parents[3] / "shared" / "videos"


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
