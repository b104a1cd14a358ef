"""What can be known of a converted dataset without reading a video."""

import dataclasses
import json
import os
import random
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from etils import epath
from made_dataset import ACTIONS, ANIMALS, NUM_TEST, NUM_TRAIN, as_older_version

from animal_clip_jax.errors import UserError
from data_pipeline.clip_index import check_shards, load_index
from data_pipeline.dataset import dataset_digest, load_info
from data_pipeline.dataset_files import DatasetError, has_digests


def test_info(dataset):
    info = load_info(dataset)
    assert info.name == "lote_animal"
    assert info.action_names == ACTIONS
    assert info.animal_names == ANIMALS
    assert info.split_sizes == {"train": NUM_TRAIN, "test": NUM_TEST}
    assert (info.short_side, info.max_frames, info.multi_label) == (40, 16, False)


def test_several_splits_are_one_after_the_other(dataset):
    train, test = load_index(dataset, "train"), load_index(dataset, "test")
    both = load_index(dataset, "test+train")
    assert both.groups == ("test",) * NUM_TEST + ("train",) * NUM_TRAIN
    for rows, part in ((range(NUM_TEST), test), (range(NUM_TEST, len(both)), train)):
        found = dataclasses.asdict(both.take(np.array(rows)))
        for name, expected in dataclasses.asdict(part).items():
            if name != "groups":
                np.testing.assert_array_equal(found[name], expected)


def test_it_is_read_without_tensorflow(dataset):
    code = (
        "import sys; from data_pipeline.dataset import load_info;"
        "from data_pipeline.clip_index import load_index;"
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
        as_older_version(copy, complete=False)
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

    @pytest.mark.parametrize("name", ["dataset.json", "clips.csv"])
    def test_a_pipe_is_not_waited_for(self, copy, name):
        (copy / name).unlink()
        os.mkfifo(copy / name)
        with pytest.raises(DatasetError, match=f"it has no {name}"):
            load_info(copy)

    def test_relation_of_unknown_names(self, copy):
        as_older_version(copy)
        (copy / "relation.csv").write_text("animal,action,clips\nFox,Walking,1\nFox,Flying,2\n")
        with pytest.raises(DatasetError, match="relation.csv, line 3: expected a known animal"):
            load_info(copy)

    def test_unknown_split(self, copy):
        with pytest.raises(DatasetError, match="no split 'val'; it has train, test"):
            load_index(copy, "val")

    def test_splits_named_twice_or_not_there(self, copy):
        with pytest.raises(DatasetError, match="no split 'val'"):
            load_index(copy, "test+val")
        with pytest.raises(DatasetError, match="the splits 'test.test' name one twice"):
            load_index(copy, "test+test")

    def test_index_with_clips_missing(self, copy):
        as_older_version(copy)
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
        copy = as_older_version(shutil.copytree(dataset, tmp_path / "copy"))
        before = (copy / name).read_text()
        (copy / name).write_text(change(before))
        assert (copy / name).read_text() != before
        assert dataset_digest(copy) != dataset_digest(dataset)

    def test_a_name_does_not_slip_from_one_list_into_the_other(self, dataset, tmp_path):
        copy = as_older_version(shutil.copytree(dataset, tmp_path / "copy"))
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
    copy = as_older_version(shutil.copytree(dataset, tmp_path / "copy"))
    (copy / "actions.txt").write_bytes(b"Resting\xff\n")
    with pytest.raises(DatasetError, match="actions.txt is not UTF-8 text"):
        load_info(copy)


READ_FILES = ("actions.txt", "animals.txt", "clips.csv", "relation.csv")
TFDS_FILES = ("dataset_info.json", "features.json", "actions.labels.txt", "animals.labels.txt")


def everything(folder):
    """All that can be known of a dataset without its shards, in a form that can be compared."""
    indices = [load_index(folder, split) for split in ("train", "test")]
    values = [load_info(folder), dataset_digest(folder), *indices]
    return [
        [
            value.tolist() if isinstance(value, np.ndarray) else value
            for value in vars(item).values()
        ]
        if dataclasses.is_dataclass(item)
        else item
        for item in values
    ]


class TestDigestsOfItsFiles:
    @pytest.fixture
    def copy(self, dataset, tmp_path):
        return shutil.copytree(dataset, tmp_path / "copy")

    @pytest.mark.parametrize("name", [*READ_FILES, *TFDS_FILES])
    def test_a_changed_or_missing_file_is_refused_by_name(self, copy, name):
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content + b"\n")
        with pytest.raises(DatasetError, match=f"{name} was changed .*run the same conversion"):
            load_info(copy)
        (copy / name).unlink()
        with pytest.raises(DatasetError, match=f"it has no {name}; run the same conversion"):
            load_info(copy)
        (copy / name).write_bytes(content)
        load_info(copy)

    @pytest.mark.parametrize(
        ("name", "change"),
        [
            ("actions.txt", lambda text: "".join(text.splitlines(keepends=True)[::-1])),
            ("actions.txt", lambda text: text + "Flying\n"),
            ("animals.txt", lambda text: "".join(text.splitlines(keepends=True)[::-1])),
            ("clips.csv", lambda text: re.sub(",1,0,", ",2,0,", text, count=1)),
        ],
    )
    def test_other_labels_are_refused_wherever_they_are_read(self, copy, name, change):
        (copy / name).write_text(change((copy / name).read_text()))
        for read in (load_info, dataset_digest, lambda folder: load_index(folder, "train")):
            with pytest.raises(DatasetError, match=f"{name} was changed"):
                read(copy)

    @pytest.mark.parametrize("taken", [("digest",), ("files_sha256",), ("digest", "files_sha256")])
    def test_digests_that_somebody_took_away(self, copy, taken):
        description = json.loads((copy / "dataset.json").read_text())
        for key in taken:
            del description[key]
        (copy / "dataset.json").write_text(json.dumps(description))
        with pytest.raises(DatasetError, match="dataset.json was changed or damaged"):
            load_info(copy)

    def test_notes_in_what_only_describes_the_conversion_are_allowed(self, copy):
        for name in ("counts.csv", "failures.csv", "unannotated_videos.csv"):
            (copy / name).write_text("a note")
        load_info(copy)

    def test_older_datasets_are_read(self, copy):
        expected = everything(copy)
        assert has_digests(copy)
        as_older_version(copy)
        assert not has_digests(copy)
        assert everything(copy) == expected

    @pytest.mark.parametrize("name", ["dataset.json", *READ_FILES])
    def test_a_random_change_is_refused_or_changes_nothing(self, copy, name):
        expected = everything(copy)
        path = copy / name
        content = path.read_bytes()
        rng = random.Random(name)
        refused = 0
        for _ in range(60):
            changed = bytearray(content)
            start, end = sorted(rng.choices(range(len(content)), k=2))
            kind = rng.randrange(4)
            if kind == 0:
                changed[start] ^= 1 << rng.randrange(8)
            elif kind == 1:
                del changed[start:]
            elif kind == 2:
                del changed[start:end]
            else:
                changed[start], changed[end] = changed[end], changed[start]
            path.write_bytes(changed)
            try:
                found = everything(copy)
            except UserError as error:
                refused += 1
                assert len(str(error)) < 1500
            else:
                assert found == expected
        assert refused > 40


class TestDamageWithoutDigests:
    """Whoever writes such a file can write its digest, too; and older ones have none."""

    @pytest.fixture
    def copy(self, dataset, tmp_path):
        return as_older_version(shutil.copytree(dataset, tmp_path / "copy"))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"splits": None}, "splits is null, expected values by name"),
            ({"splits": {"train": "22"}}, "the splits are"),
            ({"splits": {"train": True}}, "the splits are"),
            ({"splits": {"train": -1}}, "the splits are"),
            ({"name": 3}, "name is 3, expected a text"),
            ({"multi_label": 0}, "multi_label is 0, expected true or false"),
            ({"short_side": "40"}, 'short_side is "40", expected a whole number'),
            ({"max_frames": 1.5}, "max_frames is 1.5, expected a whole number"),
            ({"complete": "no"}, 'complete is "no", expected true or false'),
            ({"format_version": True}, "format version True"),
            ({"files_sha256": []}, "files_sha256 is .., expected values by name"),
            ({"files_sha256": {"../actions.txt": ""}}, "'../actions.txt' is no name of a file"),
            ({"name": ["x" * 1_000_000]}, r"name is ..x+\.\.\., expected a text"),
        ],
    )
    def test_fields_of_another_type(self, copy, changes, message):
        path = copy / "dataset.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
        with pytest.raises(DatasetError, match=message):
            load_info(copy)

    @pytest.mark.parametrize("key", ["name", "multi_label", "short_side", "max_frames", "splits"])
    def test_missing_fields(self, copy, key):
        path = copy / "dataset.json"
        description = json.loads(path.read_text())
        del description[key]
        path.write_text(json.dumps(description))
        with pytest.raises(DatasetError, match=f"dataset.json: {key} is nothing, expected"):
            load_info(copy)

    @pytest.mark.parametrize(
        "text", ["[" * 100_000, '{"format_version": ' + "1" * 5000 + "}", "\xff", "\0", "nan"]
    )
    def test_json_that_is_none(self, copy, text):
        (copy / "dataset.json").write_bytes(text.encode("latin-1"))
        with pytest.raises(DatasetError, match="is not the description of a converted dataset"):
            load_info(copy)

    @pytest.mark.parametrize(
        ("pattern", "replacement", "message"),
        [
            (r"\ntrain,", "\ntrain,../", "line 2: the shard '../lote.*' is no name of a file"),
            (r"(\ntrain,[^,]*,)0,", r"\1-1,", "line 2: the offset '-1' is not a whole number"),
            (r"(\ntrain,[^,]*,)0,", r"\1x,", "line 2: the offset 'x' is not a whole number"),
            (r"(\ntrain,[^,]*,)0,", rf"\g<1>{'9' * 5000},", "line 2: the offset '9+...9+'"),
            (r",12.0,", ",nan,", "line 2: the frame_rate 'nan' is not a number from 0"),
            (r",12.0,", ",,", "line 2: the frame_rate '' is not a number from 0"),
            (r",\d,\d\n", ",,0\n", "line 2: the actions '' are not ids below 3"),
            (r",\d,\d\n", ",3,0\n", "line 2: the actions '3' are not ids below 3"),
            (r",\d,\d\n", ",0,2\n", "line 2: the animals '2' are not ids below 2"),
            (r",\d,\d\n", ",0,-1\n", "line 2: the animals '-1' are not ids below 2"),
            (r",\d,\d\n", ",0\n", "line 2: 14 cells, expected 15"),
            (r",\d,\d\n", ',0,"0\n', "not a row of a CSV"),
            (r",\d,\d\n", f",0,{'0' * 200_000}\n", "not a row of a CSV .field larger"),
            (r"clip_id", "clip", "the columns are"),
        ],
    )
    def test_clips(self, copy, pattern, replacement, message):
        path = copy / "clips.csv"
        text = path.read_text()
        changed = re.sub(pattern, replacement, text, count=1)
        assert changed != text
        path.write_text(changed)
        with pytest.raises(DatasetError, match=message):
            load_index(copy, "train")

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ("Fox,Walking\n", "line 2: 2 cells, expected 3"),
            ("Fox,Walking,1,2\n", "line 2: 4 cells, expected 3"),
            ("Fox,Walking,-1\n", "line 2: the clips '-1' is not a whole number"),
            ("Fox,Walking,x\n", "line 2: the clips 'x' is not a whole number"),
            ("Fox,Walking,1\nFox,Walking,2\n", "line 3: the pair is there twice"),
            ('Fox,"Walking,1\n', "not a row of a CSV"),
        ],
    )
    def test_relations(self, copy, rows, message):
        (copy / "relation.csv").write_text("animal,action,clips\n" + rows)
        with pytest.raises(DatasetError, match=message):
            load_info(copy)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("Resting\nWal\rking\nFeeding\n", "actions.txt, line 2: .* has a line break"),
            ("Resting\n\nFeeding\n", "actions.txt, line 2: the name of the label is empty"),
            ("Resting\nResting\nFeeding\n", "actions.txt holds a name twice"),
        ],
    )
    def test_names(self, copy, text, message):
        (copy / "actions.txt").write_text(text)
        with pytest.raises(DatasetError, match=message):
            load_info(copy)
