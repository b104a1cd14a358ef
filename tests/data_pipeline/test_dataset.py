"""What can be known of a converted dataset without reading a video."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from etils import epath
from made_dataset import ACTIONS, ANIMALS, NUM_TEST, NUM_TRAIN

from animal_clip_jax.errors import UserError
from data_pipeline.dataset import (
    DatasetError,
    check_shards,
    dataset_digest,
    load_index,
    load_info,
)


def test_info(dataset):
    info = load_info(dataset)
    assert info.name == "lote_animal"
    assert info.action_names == ACTIONS
    assert info.animal_names == ANIMALS
    assert info.split_sizes == {"train": NUM_TRAIN, "test": NUM_TEST}
    assert (info.short_side, info.max_frames, info.multi_label) == (40, 16, False)


def test_it_is_read_without_tensorflow(dataset):
    code = (
        "import sys; from data_pipeline.dataset import load_info, load_index;"
        f"load_info({str(dataset)!r}); load_index({str(dataset)!r}, 'train');"
        "import data_pipeline.video, data_pipeline.batches.plan;"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class TestWrongFolders:
    @pytest.fixture
    def copy(self, dataset, tmp_path):
        return shutil.copytree(dataset, tmp_path / "copy")

    def test_missing(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="none does not exist; make it with"):
            load_info(tmp_path / "none")

    def test_foreign(self, tmp_path):
        with pytest.raises(DatasetError, match="it has no dataset.json"):
            load_info(tmp_path)

    @pytest.mark.parametrize("text", ["", "[]", "{}", "no json"])
    def test_strange_description(self, copy, text):
        (copy / "dataset.json").write_text(text)
        with pytest.raises(DatasetError, match="is not the description of a converted dataset"):
            load_info(copy)

    def test_unfinished(self, copy):
        description = json.loads((copy / "dataset.json").read_text())
        (copy / "dataset.json").write_text(json.dumps({**description, "complete": False}))
        with pytest.raises(DatasetError, match="has not finished; run the same command again"):
            load_info(copy)

    def test_other_version(self, copy):
        description = json.loads((copy / "dataset.json").read_text())
        (copy / "dataset.json").write_text(json.dumps({**description, "format_version": 99}))
        with pytest.raises(DatasetError, match="format version 99"):
            load_info(copy)

    @pytest.mark.parametrize("name", ["actions.txt", "animals.txt", "relation.csv"])
    def test_missing_list(self, copy, name):
        (copy / name).unlink()
        with pytest.raises(DatasetError, match=f"it has no {name}"):
            load_info(copy)

    def test_relation_of_unknown_names(self, copy):
        (copy / "relation.csv").write_text("animal,action,clips\nFox,Walking,1\nFox,Flying,2\n")
        with pytest.raises(DatasetError, match="relation.csv, line 3: expected a known animal"):
            load_info(copy)

    def test_unknown_split(self, copy):
        with pytest.raises(DatasetError, match="no split 'val'; it has train, test"):
            load_index(copy, "val")

    def test_index_with_clips_missing(self, copy):
        lines = (copy / "clips.csv").read_text().splitlines(keepends=True)
        (copy / "clips.csv").write_text("".join(lines[:5]))
        with pytest.raises(DatasetError, match=f"lists 4 clips.*says {NUM_TRAIN}"):
            load_index(copy, "train")

    def test_shards(self, copy):
        index = load_index(copy, "train")
        check_shards(copy, index)
        shard = copy / index.shards[0]
        shard.write_bytes(shard.read_bytes()[:-1])
        with pytest.raises(DatasetError, match=f"{shard.name} is [0-9]+ bytes long, it should"):
            check_shards(copy, index)
        shard.unlink()
        with pytest.raises(DatasetError, match=f"{shard.name} is missing"):
            check_shards(copy, index)


def test_some_clips_of_an_index(dataset):
    index = load_index(dataset, "train")
    rows = np.array([7, 2, 2, 19])
    some = index.take(rows)
    assert len(some) == 4
    for field in dataclasses.fields(index):
        whole, found = getattr(index, field.name), getattr(some, field.name)
        assert type(found) is type(whole)
        assert [found[k] for k in range(4)] == [whole[row] for row in rows], field.name


class TestDigest:
    def test_the_folder_does_not_matter(self, dataset, tmp_path):
        copy = shutil.copytree(dataset, tmp_path / "elsewhere" / "data")
        digest = dataset_digest(copy)
        assert digest == dataset_digest(str(dataset))
        assert re.fullmatch("[0-9a-f]{64}", digest)

    def test_what_only_describes_the_conversion_does_not_matter(self, dataset, tmp_path):
        copy = shutil.copytree(dataset, tmp_path / "copy")
        (copy / "failures.csv").write_text("split,clip_id,video,reason\n")
        (copy / "contact_sheet.png").touch()
        assert dataset_digest(copy) == dataset_digest(dataset)

    @pytest.mark.parametrize(
        ("name", "change"),
        [
            # A label (the last two columns), a split, the length of a record.
            ("clips.csv", lambda text: re.sub(",1,0\n", ",2,0\n", text, count=1)),
            ("clips.csv", lambda text: text.replace("\ntest,", "\ntrain,", 1)),
            ("clips.csv", lambda text: text.replace(".tfrecord-00000-of-00006,0,", ",1,", 1)),
            ("actions.txt", lambda text: "".join(text.splitlines(keepends=True)[::-1])),
            ("animals.txt", lambda text: "".join(text.splitlines(keepends=True)[::-1])),
            ("dataset.json", lambda text: text.replace('"short_side": 40', '"short_side": 41')),
            ("dataset.json", lambda text: text.replace('"max_frames": 16', '"max_frames": 0')),
            ("dataset.json", lambda text: text.replace("lote_animal", "lote")),
            ("dataset.json", lambda text: text.replace("quality 92", "quality 91")),
            ("dataset.json", lambda text: text.replace("false", "true", 1)),
        ],
    )
    def test_other_data_has_another(self, dataset, tmp_path, name, change):
        copy = shutil.copytree(dataset, tmp_path / "copy")
        before = (copy / name).read_text()
        (copy / name).write_text(change(before))
        assert (copy / name).read_text() != before
        assert dataset_digest(copy) != dataset_digest(dataset)

    def test_a_name_does_not_slip_from_one_list_into_the_other(self, dataset, tmp_path):
        copy = shutil.copytree(dataset, tmp_path / "copy")
        (copy / "actions.txt").write_text("Resting\nWalking\n")
        (copy / "animals.txt").write_text("Feeding\nBoar\nFox\n")
        assert dataset_digest(copy) != dataset_digest(dataset)

    def test_other_folders_have_none(self, tmp_path):
        with pytest.raises(DatasetError, match="it has no dataset.json"):
            dataset_digest(tmp_path)


@pytest.fixture
def bucket(dataset, monkeypatch):
    """The URL of a folder in a cloud, whose files are those of the converted dataset."""
    root = "gs://bucket/data"

    def local(path):
        path = os.fspath(path)
        return str(dataset) + path.removeprefix(root) if path.startswith(root) else path

    def on_local(function, path, *arguments, **settings):
        return function(local(path), *arguments, **settings)

    # Otherwise epath leaves clouds to TensorFlow, if it is installed.
    monkeypatch.setattr(epath.gpath, "_is_tf_installed", lambda: False)
    names = ("open", "exists", "isdir", "listdir", "stat")
    with epath.testing.mock_epath(**dict.fromkeys(names, on_local)):
        yield root


class TestInACloud:
    def test_it_is_read_like_a_local_folder(self, bucket, dataset):
        here, there = load_info(dataset), load_info(bucket)
        np.testing.assert_array_equal(there.relation_counts, here.relation_counts)
        assert here.relation_counts.sum() == NUM_TRAIN
        for field in ("name", "action_names", "animal_names", "split_sizes", "multi_label"):
            assert getattr(there, field) == getattr(here, field)
        index = load_index(bucket, "train")
        assert index.clip_ids == load_index(dataset, "train").clip_ids
        assert dataset_digest(bucket) == dataset_digest(dataset)
        check_shards(bucket, index)
        longer = dataclasses.replace(index, lengths=index.lengths + 1)
        with pytest.raises(DatasetError, match="the shard gs://bucket/data/lote.* bytes long"):
            check_shards(bucket, longer)

    def test_tensorflow_is_given_the_url(self, bucket, dataset):
        from data_pipeline.batches.reading import Source

        source = Source.open(bucket, "test")
        assert source.path(0) == f"gs://bucket/data/{source.index.shards[0]}"
        assert Source.open(dataset, "test").path(0) == f"{dataset}/{source.index.shards[0]}"

    def test_a_folder_that_is_not_there(self, bucket):
        with pytest.raises(FileNotFoundError, match="gs://bucket/data/none does not exist"):
            load_info(f"{bucket}/none")

    @pytest.mark.parametrize("read", [load_info, dataset_digest])
    def test_urls_of_unknown_kinds(self, read):
        with pytest.raises(UserError, match="URLs of foo:// are not known"):
            read("foo://bucket/data")


def test_a_list_that_is_no_text(dataset, tmp_path):
    copy = shutil.copytree(dataset, tmp_path / "copy")
    (copy / "actions.txt").write_bytes(b"Resting\xff\n")
    with pytest.raises(DatasetError, match="actions.txt is not UTF-8 text"):
        load_info(copy)
