"""Batches: the same whoever computes them, every clip once, the right pixels."""

import io
import itertools
import shutil
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from hypothesis import given
from hypothesis import strategies as st
from made_dataset import ACTIONS, ANIMALS, NUM_TEST, NUM_TRAIN
from made_videos import number_of, peak_signal_to_noise
from PIL import Image

from data_pipeline.batches.crops import evaluation_crops, multi_scale_crops, resize_bilinear
from data_pipeline.batches.frame_crops import decoded_crops
from data_pipeline.batches.input import (
    evaluation_batches,
    evaluation_steps,
    steps_per_epoch,
    streamed_evaluation_batches,
    train_batches,
)
from data_pipeline.batches.plan import first_uses, training_plan
from data_pipeline.batches.reading import Source
from data_pipeline.batches.sampling import evaluation_positions
from data_pipeline.clip_index import load_index
from data_pipeline.dataset_files import DatasetError
from data_pipeline.inspection.contact_sheet import contact_sheet
from data_pipeline.video import load_video

SETTINGS = {"num_frames": 4, "image_size": 24, "batch_size": 4, "seed": 3}
STEPS = NUM_TRAIN // 4


def take(dataset, count, **settings):
    batches = train_batches(dataset, **{**SETTINGS, **settings})
    return list(itertools.islice(batches, count))


def assert_equal_batches(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def joined(parts):
    """The batches of several processes put together."""
    return [
        {name: np.concatenate([part[name] for part in batch]) for name in batch[0]}
        for batch in zip(*parts, strict=True)
    ]


def stored_jpegs(dataset, index, row):
    shard = index.shards[row]
    records = list(tf.data.TFRecordDataset(str(dataset / shard)).as_numpy_iterator())
    example = tf.train.Example.FromString(records[index.shards[:row].count(shard)])
    return list(example.features.feature["frames"].bytes_list.value)


def stored_frames(dataset, index, row):
    frames = stored_jpegs(dataset, index, row)
    return np.stack([np.asarray(Image.open(io.BytesIO(frame))) for frame in frames])


class TestTraining:
    def test_shapes_and_types(self, dataset):
        (batch,) = take(dataset, 1)
        shapes = {name: (values.shape, values.dtype) for name, values in batch.items()}
        assert shapes == {
            "frames": ((4, 4, 24, 24, 3), np.uint8),
            "actions": ((4, len(ACTIONS)), np.float32),
            "animals": ((4, len(ANIMALS)), np.float32),
            "clip_id": ((4,), object),
            "mask": ((4,), bool),
        }
        assert batch["mask"].all()

    def test_labels_belong_to_their_clips(self, dataset):
        for batch in take(dataset, STEPS):
            rows = zip(batch["clip_id"], batch["actions"], batch["animals"], strict=True)
            for clip_id, actions, animals in rows:
                folder, name = clip_id.split("/")
                assert actions.tolist() == [float(label == folder) for label in ACTIONS]
                assert animals.tolist() == [float(name.startswith(label)) for label in ANIMALS]

    def test_the_number_of_workers_changes_nothing(self, dataset):
        reference = take(dataset, 2 * STEPS, num_workers=1)
        assert_equal_batches(take(dataset, 2 * STEPS, num_workers=8), reference)
        assert_equal_batches(take(dataset, 2 * STEPS), reference)

    @pytest.mark.parametrize("start", [1, STEPS - 1, STEPS, 2 * STEPS + 2])
    def test_a_resumed_run_goes_on_where_it_stopped(self, dataset, start):
        reference = take(dataset, start + 3)
        assert_equal_batches(take(dataset, 3, start_step=start), reference[start:])

    @pytest.mark.parametrize("process_count", [2, 4])
    def test_processes_share_every_batch(self, dataset, process_count):
        parts = [
            take(dataset, STEPS + 1, process_index=k, process_count=process_count)
            for k in range(process_count)
        ]
        assert_equal_batches(joined(parts), take(dataset, STEPS + 1))

    def test_an_epoch_shows_every_clip_at_most_once_in_a_new_order(self, dataset):
        assert steps_per_epoch(NUM_TRAIN, 4) == STEPS
        batches = take(dataset, 3 * STEPS)
        orders = [
            [name for batch in batches[e * STEPS : (e + 1) * STEPS] for name in batch["clip_id"]]
            for e in range(3)
        ]
        for order in orders:
            assert len(set(order)) == len(order) == STEPS * 4
        assert len({tuple(order) for order in orders}) == 3
        # Those who sat an epoch out (22 clips, 20 seats) get their turn.
        assert len(set().union(*orders)) == NUM_TRAIN

    def test_another_seed_is_another_run(self, dataset):
        first, second = take(dataset, 1), take(dataset, 1, seed=4)
        assert first[0]["clip_id"].tolist() != second[0]["clip_id"].tolist()

    def test_what_a_clip_goes_through_does_not_depend_on_the_order(self, dataset):
        index = load_index(dataset, "train")
        arguments = {"multi_scale_crop": True, "flip": True}
        plan = training_plan(index, 4, 3, 0, **arguments)
        uniforms = np.random.default_rng(np.random.SeedSequence((3, 0)).spawn(2)[1])
        uniforms = uniforms.random((len(index), 7))
        for place, row in enumerate(plan.rows):
            crop = multi_scale_crops(index.heights[[row]], index.widths[[row]], uniforms[[row], :2])
            np.testing.assert_array_equal(plan.crops[place], crop)
            assert plan.flip[place] == (uniforms[row, 2] < 0.5)

    def test_pixels_are_the_crop_of_the_sampled_frames(self, dataset):
        index = load_index(dataset, "train")
        plan = training_plan(index, 4, 3, 0, multi_scale_crop=True, flip=True)
        batches = take(dataset, STEPS)
        frames = np.concatenate([batch["frames"] for batch in batches])
        assert 0 < plan.flip.sum() < len(plan.flip)
        for place, found in enumerate(frames):
            top, left, height, width = plan.crops[place, 0]
            chosen = stored_frames(dataset, index, plan.rows[place])[plan.positions[place, 0]]
            cropped = chosen[:, top : top + height, left : left + width]
            expected = resize_bilinear(cropped, 24)
            if plan.flip[place]:
                expected = expected[:, :, ::-1]
            # Two JPEG decoders may differ by a rounding.
            assert peak_signal_to_noise(found, expected) > 40

    def test_without_augmentation_it_is_the_centre(self, dataset):
        index = load_index(dataset, "train")
        (batch,) = take(dataset, 1, multi_scale_crop=False, flip=False)
        row = index.clip_ids.index(batch["clip_id"][0])
        top, left, side, _ = evaluation_crops(index.heights, index.widths, 1)[row, 0]
        stored = stored_frames(dataset, index, row)[:, top : top + side, left : left + side]
        best = [
            max(peak_signal_to_noise(frame, resize_bilinear(other, 24)) for other in stored)
            for frame in batch["frames"][0]
        ]
        assert min(best) > 40


class TestEvaluation:
    SETTINGS = {"split": "test", "num_frames": 4, "image_size": 40, "batch_size": 4}

    def batches(self, dataset, **settings):
        return list(evaluation_batches(dataset, **{**self.SETTINGS, **settings}))

    @pytest.mark.parametrize(("batch_size", "process_count"), [(4, 1), (4, 2), (4, 4), (6, 3)])
    def test_every_clip_once_on_any_number_of_processes(self, dataset, batch_size, process_count):
        parts = [
            self.batches(
                dataset, batch_size=batch_size, process_index=k, process_count=process_count
            )
            for k in range(process_count)
        ]
        steps = evaluation_steps(NUM_TEST, batch_size)
        assert [len(part) for part in parts] == [steps] * process_count
        batches = joined(parts)
        seen = Counter(
            name
            for batch in batches
            for name, real in zip(batch["clip_id"], batch["mask"], strict=True)
            if real
        )
        index = load_index(dataset, "test")
        assert seen == Counter(index.clip_ids)
        reference = joined([self.batches(dataset, batch_size=batch_size)])
        assert_equal_batches(batches, reference)

    def test_padding_is_marked_and_empty(self, dataset):
        last = self.batches(dataset)[-1]
        assert last["mask"].tolist() == [True] * (NUM_TEST % 4) + [False] * (4 - NUM_TEST % 4)
        padded = ~last["mask"]
        assert last["clip_id"][padded].tolist() == [""] * padded.sum()
        for name in ("frames", "actions", "animals"):
            assert not last[name][padded].any()

    def test_frames_are_those_of_the_formula(self, dataset):
        index = load_index(dataset, "test")
        stored = index.num_frames
        positions = evaluation_positions(stored, 4, 2)
        batches = self.batches(dataset, num_temporal_views=2, num_crops=3)
        frames = np.concatenate([batch["frames"] for batch in batches])
        assert frames.shape == (8, 6, 4, 40, 40, 3)
        for row in range(len(index)):
            if index.heights[row] != index.widths[row]:
                continue  # a crop cuts the number's bars off
            originals = np.array([number_of(frame) for frame in stored_frames(dataset, index, row)])
            for view in range(2):
                expected = originals[positions[row, view]]
                for crop in range(3):
                    found = [number_of(frame) for frame in frames[row, 3 * view + crop]]
                    assert found == expected.tolist()

    VIEWS = {"num_temporal_views": 3, "num_crops": 3}

    def streamed(self, dataset):
        return streamed_evaluation_batches(dataset, **self.SETTINGS, **self.VIEWS)

    @pytest.mark.parametrize("looked_at", [(9, 4), (0, 9)])
    def test_streamed_views_are_those_of_a_whole_batch(self, dataset, looked_at):
        """However many of them are looked at before the next batch is asked for."""
        whole = self.batches(dataset, **self.VIEWS)
        assert len(whole) == 2
        for batch, expected, count in zip(self.streamed(dataset), whole, looked_at, strict=True):
            assert len(batch["frames"]) == 9
            views = list(itertools.islice(batch["frames"], count))
            assert len(views) == count
            for view, frames in enumerate(views):
                np.testing.assert_array_equal(frames, expected["frames"][:, view])
            for name in ("clip_id", "actions", "animals", "mask"):
                np.testing.assert_array_equal(batch[name], expected[name])

    @pytest.mark.parametrize(("views", "crops"), [(1, 1), (4, 1), (2, 3)])
    def test_pixels_are_exactly_those_of_every_crop_decoded_by_itself(self, dataset, views, crops):
        """Though a JPEG is decoded once for all of them; the clips are shorter than their views
        together, and longer."""
        source = Source.open(dataset, "test")
        index = source.index
        positions = evaluation_positions(index.num_frames, 4, views)
        assert len({len(set(clip.flat)) == clip.size for clip in positions}) == 2
        cuts = evaluation_crops(index.heights, index.widths, crops)
        batches = self.batches(dataset, num_temporal_views=views, num_crops=crops)
        found = np.concatenate([batch["frames"] for batch in batches])
        for row in range(len(index)):
            jpegs = source.stored_frames(row)
            for view, crop in itertools.product(range(views), range(crops)):
                for step, position in enumerate(positions[row, view]):
                    image = tf.io.decode_and_crop_jpeg(jpegs[position], cuts[row, crop], channels=3)
                    expected = np.rint(tf.image.resize(image, (40, 40)).numpy())
                    np.testing.assert_array_equal(found[row, crops * view + crop, step], expected)

    def test_a_video_loaded_directly_looks_the_same(self, source, dataset):
        views = {"num_temporal_views": 2, "num_crops": 3}
        (batch, *_) = self.batches(dataset, **views)
        for clip_id, frames in zip(batch["clip_id"], batch["frames"], strict=True):
            video = load_video(
                source / "videos" / f"{clip_id}.mp4",
                num_frames=4,
                image_size=40,
                short_side=40,
                max_frames=16,
                **views,
            )
            assert peak_signal_to_noise(frames, video) > 35


def test_only_wanted_frames_are_decoded(dataset):
    jpeg = stored_jpegs(dataset, load_index(dataset, "test"), 0)[0]
    crops = np.array([[0, 0, 20, 20], [5, 3, 20, 20], [9, 9, 20, 20]], np.int32)
    wanted = tf.constant([False, True, False])
    frames = tf.constant([b"no JPEG", jpeg, b""])
    found = decoded_crops(frames, wanted, tf.constant(crops), tf.constant(False), 16).numpy()
    assert found.shape == (3, 3, 16, 16, 3) and found[1].any()
    assert not found[0].any() and not found[2].any()


@given(st.lists(st.lists(st.integers(0, 5), min_size=6, max_size=6), max_size=4))
def test_first_uses_are_those_of_a_loop(clips):
    positions = np.array(clips, np.int64).reshape(-1, 3, 2)
    found = first_uses(positions)
    assert (found.shape, found.dtype) == (positions.shape, bool)
    for clip, firsts in zip(positions, found, strict=True):
        seen: set[int] = set()
        for position, first in zip(clip.flat, firsts.flat, strict=True):
            assert first == (position not in seen)
            seen.add(position)


class TestAnimalWeights:
    def weights(self, dataset):
        ids = (*load_index(dataset, "train").clip_ids, *load_index(dataset, "test").clip_ids)
        rows = np.random.default_rng(0).random((len(ids), len(ANIMALS)))
        return dict(zip(ids, rows, strict=True))

    def test_they_come_beside_the_labels(self, dataset):
        weights = self.weights(dataset)
        plain = take(dataset, 2)
        for batch, labelled in zip(take(dataset, 2, animal_weights=weights), plain, strict=True):
            expected = np.stack([weights[name] for name in batch["clip_id"]]).astype(np.float32)
            np.testing.assert_array_equal(batch["animal_weights"], expected)
            np.testing.assert_array_equal(batch["animals"], labelled["animals"])
            assert "animal_weights" not in labelled

    def test_every_clip_needs_them_in_the_right_shape(self, dataset):
        weights = self.weights(dataset)
        name = load_index(dataset, "train").clip_ids[5]
        with pytest.raises(ValueError, match=rf"'{name}' needs .* \(2,\), found \(3,\)"):
            take(dataset, 1, animal_weights={**weights, name: np.zeros(3)})
        del weights[name]
        with pytest.raises(ValueError, match=f"'{name}' needs .* found none"):
            take(dataset, 1, animal_weights=weights)


class TestAShardOfAnotherConversion:
    """Its records are whole, and as long as those that should be there."""

    @pytest.mark.parametrize("kind", ["clip_id", "actions"])
    def test_is_refused(self, dataset, tmp_path, kind):
        copy = shutil.copytree(dataset, tmp_path / "copy")
        index = load_index(copy, "test")
        shard, name = copy / index.shards[0], index.clip_ids[0]
        records = [example(record) for record in tf.data.TFRecordDataset(str(shard))]
        if kind == "clip_id":
            records[0].features.feature[kind].bytes_list.value[0] = f"{name[:-1]}#".encode()
            found = f"that of the clip '{name[:-1]}#'"
        else:
            (label,) = index.actions[0]
            records[0].features.feature[kind].int64_list.value[0] = (label + 1) % len(ACTIONS)
            found = "with other labels"
        size = shard.stat().st_size
        with tf.io.TFRecordWriter(str(shard)) as writer:
            for record in records:
                writer.write(record.SerializeToString())
        assert shard.stat().st_size == size
        with pytest.raises(DatasetError, match=f"that of the clip '{name}', and is {found}"):
            list(evaluation_batches(copy, **TestEvaluation.SETTINGS))
        with pytest.raises(DatasetError, match="of another conversion"):
            contact_sheet(copy, "test", num_clips=NUM_TEST)


def example(record: tf.Tensor) -> tf.train.Example:
    return tf.train.Example.FromString(record.numpy())


class TestSomeOfTheClips:
    ROWS = np.array([20, 3, 4, 11, 9, 0, 15, 7, 2])

    def test_they_alone_are_trained_on(self, dataset):
        names = load_index(dataset, "train").clip_ids
        batches = take(dataset, 4, rows=self.ROWS)
        for epoch in (batches[:2], batches[2:]):
            seen = [name for batch in epoch for name in batch["clip_id"]]
            assert len(set(seen)) == 8
            assert set(seen) < {names[row] for row in self.ROWS}

    def test_all_rows_are_the_whole_split(self, dataset):
        rows = np.arange(NUM_TRAIN)
        assert_equal_batches(take(dataset, STEPS, rows=rows), take(dataset, STEPS))

    def test_they_alone_are_evaluated_in_the_order_given(self, dataset):
        settings = {**TestEvaluation.SETTINGS, "split": "train"}
        whole = joined([list(evaluation_batches(dataset, **settings))])
        every = {name: np.concatenate([batch[name] for batch in whole]) for name in whole[0]}
        batches = list(evaluation_batches(dataset, **settings, rows=self.ROWS))
        assert [batch["mask"].sum() for batch in batches] == [4, 4, 1]
        for name in every:
            found = np.concatenate([batch[name][batch["mask"]] for batch in batches])
            np.testing.assert_array_equal(found, every[name][self.ROWS], err_msg=name)

    def test_none_is_no_batch(self, dataset):
        rows = np.zeros(0, np.int64)
        assert list(evaluation_batches(dataset, **TestEvaluation.SETTINGS, rows=rows)) == []

    def test_only_they_need_animal_weights(self, dataset):
        names = load_index(dataset, "train").clip_ids
        weights = {names[row]: np.full(len(ANIMALS), row) for row in self.ROWS}
        (batch,) = take(dataset, 1, rows=self.ROWS, animal_weights=weights)
        expected = [names.index(name) for name in batch["clip_id"]]
        np.testing.assert_array_equal(batch["animal_weights"][:, 0], expected)

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([0, NUM_TRAIN], "from 0 to below 22, the number of clips; found 0 to 22"),
            ([-1], "found -1 to -1"),
            ([True] * NUM_TRAIN, "positions of clips, int .n.; found bool"),
            ([0, 1, 2], "3 clips to train on, fewer than a batch of 4"),
        ],
    )
    def test_impossible_rows(self, dataset, rows, message):
        with pytest.raises(ValueError, match=message):
            take(dataset, 1, rows=np.array(rows))


class TestErrorsComeAtTheCall:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"batch_size": 5, "process_count": 2}, "5 clips does not divide among 2"),
            ({"process_index": 2, "process_count": 2}, "no process 2 among 2"),
            ({"batch_size": 32}, "22 clips to train on, fewer than a batch of 32"),
            ({"split": "val"}, "no split 'val'"),
        ],
    )
    def test_training(self, dataset, settings, message):
        with pytest.raises(ValueError, match=message):
            train_batches(dataset, **{**SETTINGS, **settings})

    def test_evaluation(self, dataset):
        with pytest.raises(ValueError, match="1 or 3 crops"):
            evaluation_batches(dataset, **TestEvaluation.SETTINGS, num_crops=2)
        with pytest.raises(FileNotFoundError, match="does not exist"):
            evaluation_batches(dataset / "none", **TestEvaluation.SETTINGS)


class TestCorruptShards:
    @pytest.mark.parametrize("where", ["payload", "length"])
    def test_a_flipped_bit_is_noticed_and_named(self, dataset, tmp_path, where):
        copy = shutil.copytree(dataset, tmp_path / "copy")
        index = load_index(copy, "train")
        row = 9
        shard = copy / index.shards[row]
        content = bytearray(shard.read_bytes())
        content[index.offsets[row] + {"payload": 400, "length": 2}[where]] ^= 4
        shard.write_bytes(content)
        with pytest.raises(DatasetError) as error:
            take(copy, 2 * STEPS)
        assert repr(index.clip_ids[row]) in str(error.value)
        assert shard.name in str(error.value)

    def test_a_shard_cut_short_is_noticed_at_the_call(self, dataset, tmp_path):
        copy = shutil.copytree(dataset, tmp_path / "copy")
        shard = copy / load_index(copy, "test").shards[0]
        shard.write_bytes(shard.read_bytes()[:1000])
        with pytest.raises(DatasetError, match=f"{shard.name} is 1000 bytes long"):
            evaluation_batches(copy, **TestEvaluation.SETTINGS)


def test_several_labels_become_several_ones(tmp_path):
    """Records that TensorFlow Datasets reads, and the labels it reads, are those of the batches."""
    from made_videos import write_video

    from data_pipeline.annotations.datasets import read_annotations
    from data_pipeline.conversion.dataset_writer import Options, convert

    write_video(tmp_path / "a.mp4", 5)
    write_video(tmp_path / "b.mp4", 5)
    (tmp_path / "clips.csv").write_text(
        "video,animals,actions\na.mp4,Fox;Boar,Running;Eating\nb.mp4,,Resting\n"
    )
    annotations = read_annotations("csv", tmp_path)
    convert("csv", annotations, tmp_path / "out", options=Options(short_side=32), workers=1)
    settings = {"split": "train", "num_frames": 2, "image_size": 16, "batch_size": 2}
    (batch,) = evaluation_batches(tmp_path / "out", **settings)
    records = tfds.as_numpy(tfds.builder_from_directory(tmp_path / "out").as_dataset("train"))
    for record in records:
        row = batch["clip_id"].tolist().index(record["clip_id"].decode())
        for kind in ("actions", "animals"):
            assert np.flatnonzero(batch[kind][row]).tolist() == sorted(record[kind].tolist())
            assert set(np.unique(batch[kind][row])) <= {0, 1}
    assert batch["actions"].sum() == 3
    assert batch["animals"].sum() == 2


class TestDamagedShards:
    @pytest.fixture
    def copy(self, dataset, tmp_path):
        return shutil.copytree(dataset, tmp_path / "copy")

    def damage(self, folder, split, row):
        """Changes a byte in the middle of a record; returns the name of its clip."""
        index = load_index(folder, split)
        path = folder / index.shards[row]
        content = bytearray(path.read_bytes())
        content[index.offsets[row] + index.lengths[row] // 2] ^= 1
        path.write_bytes(content)
        return index.clip_ids[row]

    def test_a_frame_of_a_later_view_is_named_too(self, copy):
        """With the checksums right, and the clip's first view already given out."""
        index = load_index(copy, "test")
        row = int(np.argmax(index.num_frames))
        shard = copy / index.shards[row]
        records = list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())
        frames = stored_jpegs(copy, index, row)
        position = evaluation_positions(index.num_frames[[row]], 2, 2)[0, 1, 0]
        assert position not in evaluation_positions(index.num_frames[[row]], 2, 2)[0, 0]
        place = index.shards[:row].count(index.shards[row])
        damaged = b"\0\0\0" + frames[position][3:]
        records[place] = records[place].replace(frames[position], damaged)
        with tf.io.TFRecordWriter(str(shard)) as writer:
            for record in records:
                writer.write(record)
        settings = {"num_frames": 2, "image_size": 16, "batch_size": 2, "num_temporal_views": 2}
        with pytest.raises(DatasetError, match=f"the record of the clip '{index.clip_ids[row]}'"):
            list(evaluation_batches(copy, split="test", **settings))

    @pytest.mark.parametrize("batch_size", [1, 4])
    @pytest.mark.parametrize("num_workers", [1, 20])
    @pytest.mark.parametrize("row", [NUM_TEST - 1])
    def test_the_clip_is_named_in_whatever_batch_it_comes(self, copy, row, num_workers, batch_size):
        name = self.damage(copy, "test", row)
        settings = {"num_frames": 2, "image_size": 16, "batch_size": batch_size}
        batches = evaluation_batches(copy, split="test", num_workers=num_workers, **settings)
        with pytest.raises(DatasetError, match=f"the record of the clip '{name}' at byte"):
            list(batches)

    def test_in_the_second_epoch(self, copy):
        batches = train_batches(copy, **SETTINGS, num_workers=2)
        list(itertools.islice(batches, STEPS))
        # What is read ahead is intact.
        names = {self.damage(copy, "train", row) for row in range(NUM_TRAIN)}
        with pytest.raises(DatasetError, match="the record of the clip '(.*)' at byte") as caught:
            list(itertools.islice(batches, 3 * STEPS))
        assert str(caught.value).split("'")[1] in names

    def test_a_shard_that_is_gone(self, copy):
        batches = train_batches(copy, **SETTINGS)
        next(batches)
        for shard in copy.glob("*-train.tfrecord*"):
            shard.unlink()
        with pytest.raises(DatasetError, match="the record of the clip '.*' at byte"):
            list(itertools.islice(batches, 3 * STEPS))

    def test_a_whole_record_with_a_damaged_frame(self, copy):
        """As whoever writes a shard of his own might: the checksums are right."""
        index = load_index(copy, "test")
        path = copy / index.shards[0]
        records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
        start = records[0].index(b"\xff\xd8\xff")
        records[0] = records[0][:start] + b"\0\0\0" + records[0][start + 3 :]
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in records:
                writer.write(record)
        settings = {"num_frames": 16, "image_size": 16, "batch_size": 2}
        with pytest.raises(DatasetError, match=f"the record of the clip '{index.clip_ids[0]}'"):
            list(evaluation_batches(copy, split="test", **settings))
