"""What can be known of a converted dataset without reading a video."""

import json
import shutil
import subprocess
import sys

import pytest
from made_dataset import ACTIONS, ANIMALS, NUM_TEST, NUM_TRAIN

from data_pipeline.dataset import DatasetError, check_shards, load_index, load_info


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
