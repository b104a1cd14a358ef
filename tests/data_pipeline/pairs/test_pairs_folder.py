"""Pictures and texts to TFRecord: what is stored, what is refused, and what is noticed later."""

import io
import json
import shutil

import made_pairs
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from animal_clip_jax.errors import UserError
from data_pipeline.convert_pairs import main
from data_pipeline.pairs.index import NO_LABEL, PairSet
from data_pipeline.pairs.record import Pair
from data_pipeline.pairs.write import write_pairs


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return made_pairs.write(tmp_path_factory.mktemp("written") / "pairs")


@pytest.fixture
def pictures(tmp_path):
    """A folder of three pictures with a list."""
    folder = tmp_path / "pictures"
    (folder / "forest").mkdir(parents=True)
    for number, name in enumerate(("a.png", "forest/b.png", "forest/c.png")):
        (folder / name).write_bytes(made_pairs.png(made_pairs.pixels(number)))
    rows = ["a.png,a fox,Fox,train", "forest/b.png,a hare,Hare,train", "a.png,it is red,Fox,train"]
    rows.append("forest/c.png,a toad,Toad,test")
    (folder / "pairs.csv").write_text("image,text,label,split\n" + "\n".join(rows) + "\n")
    return folder


def stored(folder, split: str) -> list[Pair]:
    """The pairs of a split as TensorFlow's own reader gives them."""
    pairs = []
    files = [str(path) for path in sorted(folder.glob(f"{split}-*.tfrecord"))]
    for record in tf.data.TFRecordDataset(files).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        image, texts, label = (
            features[name].bytes_list.value for name in ("image/encoded", "texts", "label")
        )
        pairs.append(Pair(image[0], tuple(map(bytes.decode, texts)), label[0].decode()))
    return pairs


def convert(source, output, capsys, *arguments: str) -> tuple[int, str, str]:
    code = main([f"--source={source}", f"--output={output}", *arguments])
    return code, *capsys.readouterr()


def test_what_is_written_is_what_is_read(written):
    assert stored(written, "test") == made_pairs.pairs(range(100, 108))
    found = PairSet.open(written)
    assert found.splits == {"train": 24, "test": 8} and found.name == "noise"
    index = found.index("train")
    assert set(index.heights) == {20} and set(index.widths) == {18} and set(index.texts) == {2}
    names = [found.label_names[label] for label in index.labels]
    assert names == [pair.label for pair in made_pairs.pairs(range(24), made_pairs.COLOURS[:3])]


def test_the_same_pairs_make_the_same_bytes(written, tmp_path):
    made_pairs.write(tmp_path / "again")
    for path in written.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_shards_follow_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr("data_pipeline.pairs.write._SHARD_BYTES", 3000)
    folder = made_pairs.write(tmp_path / "pairs")
    index = PairSet.open(folder).index("train")
    assert len(index.shards) > 2 and stored(folder, "train") == made_pairs.pairs(
        range(24), made_pairs.COLOURS[:3]
    )
    for row, pair in enumerate(stored(folder, "train")):
        with open(index.path(row), "rb") as file:
            file.seek(index.offsets[row])
            content = file.read(index.lengths[row] + 16)
        assert pair.image in content and pair.texts[1].encode() in content


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (Pair(b"", ("a fox",)), "pair 1 of the split 'train': the picture is damaged, or neither"),
        (Pair(made_pairs.png(made_pairs.pixels(0))[:400], ("a fox",)), "the picture is damaged"),
        (Pair(made_pairs.png(made_pairs.pixels(0)), ()), "the picture has no text"),
        (Pair(made_pairs.png(made_pairs.pixels(0)), ("a", " ")), "the text of the picture is emp"),
        (Pair(made_pairs.png(made_pairs.pixels(0)), ("<|endoftext|>",)), "which CLIP reserves"),
        (Pair(made_pairs.png(made_pairs.pixels(0)), ("a",), "a\nb"), "has a line break in it"),
    ],
)
def test_what_is_no_pair_is_named_and_nothing_is_written(pair, message, tmp_path):
    with pytest.raises(UserError, match=message.replace("|", r"\|")):
        write_pairs(tmp_path / "new", {"train": [*made_pairs.pairs([1]), pair]}, name="n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ({}, "there are no pairs"),
        ({"train": []}, "'train' has no pairs"),
        ({"../x": []}, "no name"),
    ],
)
def test_splits_that_are_none(pairs, message, tmp_path):
    with pytest.raises(UserError, match=message):
        write_pairs(tmp_path / "new", pairs, name="n")
    assert not list(tmp_path.iterdir())


def test_a_former_folder_of_pairs_is_replaced_and_nothing_else_is(tmp_path):
    folder = made_pairs.write(tmp_path / "pairs", train=9)
    before = PairSet.open(folder).digest
    with pytest.raises(UserError, match="no text"):
        write_pairs(folder, {"train": [Pair(b"", ())]}, name="n")
    assert PairSet.open(folder).digest == before
    write_pairs(folder, {"other": made_pairs.pairs([3, 4])}, name="n")
    assert PairSet.open(folder).splits == {"other": 2}
    assert not list(folder.glob("train*"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").touch()
    with pytest.raises(UserError, match="not a folder of pairs, so it is not replaced"):
        write_pairs(tmp_path / "mine", {"train": made_pairs.pairs([1])}, name="n")


@pytest.mark.parametrize("damaged", ["pairs.json", "train.index.npz", "train-00000.tfrecord"])
@pytest.mark.parametrize("how", ["cut", "gone", "changed"])
def test_damage_is_noticed_and_named(damaged, how, written, tmp_path):
    folder = tmp_path / "pairs"
    shutil.copytree(written, folder)
    path = folder / damaged
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-40] if how == "cut" else content.replace(b"a", b"b", 1))
    if how == "changed" and damaged.endswith("tfrecord"):
        return  # of its size; its checksums are looked at when it is read
    with pytest.raises(UserError, match=damaged):
        PairSet.open(folder).index("train")


def test_a_newer_format_and_a_split_that_is_not_there(written, tmp_path):
    with pytest.raises(UserError, match="has no split 'tset'; it has train, test"):
        PairSet.open(written).index("tset")
    (tmp_path / "pairs.json").write_text(json.dumps({"format_version": 2}))
    with pytest.raises(UserError, match="has format version 2, .* reads up to 1; update it"):
        PairSet.open(tmp_path)


def test_a_folder_of_pictures(pictures, tmp_path, capsys):
    (pictures / "unnamed.jpg").touch()
    output = tmp_path / "pairs"
    code, said, _ = convert(pictures, output, capsys)
    assert code == 0
    assert "note: 1 picture without a text, left out: unnamed.jpg" in said
    assert "train: 2 pictures, 3 texts; test: 1 pictures, 1 texts" in said
    train = stored(output, "train")
    # Small pictures are stored as they are.
    assert train[0] == Pair((pictures / "a.png").read_bytes(), ("a fox", "it is red"), "Fox")
    assert PairSet.open(output).label_names == ("Fox", "Hare", "Toad")
    assert "already exists" in convert(pictures, output, capsys)[2]
    assert convert(pictures, output, capsys, "--overwrite")[0] == 0


def test_large_and_turned_pictures_are_made_small_and_upright(pictures, tmp_path, capsys):
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, 40:] = 255  # the right half is bright
    image = Image.fromarray(wide)
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned clockwise, so that the right is below
    image.save(pictures / "photo.jpg", exif=exif)
    (pictures / "pairs.csv").write_text("image,text\nphoto.jpg,day and night\n")
    assert convert(pictures, tmp_path / "pairs", capsys, "--short_side=20")[0] == 0
    (pair,) = stored(tmp_path / "pairs", "train")
    small = np.asarray(Image.open(io.BytesIO(pair.image)).convert("L"))
    assert small.shape == (40, 20) and small[:15].max() < 60 and small[25:].min() > 200
    index = PairSet.open(tmp_path / "pairs").index("train")
    assert (index.heights[0], index.widths[0], index.labels[0]) == (40, 20, NO_LABEL)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,text\nno.png,a fox\nneither.png,x\n", "line 2: the picture 'no.png' is not in"),
        ("image,text\na.png,\n", "line 2: the text of the picture is empty; expected what"),
        ("image,caption\na.png,a fox\n", "line 1: no column 'text'"),
        ("image,text,splt\na.png,a fox,test\n", "the column 'splt' is written 'split'"),
        ("image,text\n", "pairs.csv lists no picture"),
        ("image,text\n../a.png,a fox\n", "line 2: '../a.png' is no picture in this folder"),
        ("image,text\n/a.png,a fox\n", "line 2: '/a.png' is no picture in this folder"),
        ("image,text\nforest,a fox\n", "line 2: the picture 'forest' is not in"),
        ("image,text,label\na.png,x,Fox\na.png,y,Hare\n", "line 3: 'a.png' has the label 'Hare'"),
        ("image,text,split\na.png,x,My split\n", "the split 'My split' is no name of one"),
        ("image,text\na.png,a <|endoftext|>\n", "line 2: the text 'a <|endoftext|>' holds"),
        ("image,text\nbroken.png,a fox\n", "broken.png: the picture is damaged, or neither"),
    ],
)
def test_a_mistake_in_the_folder_is_one_line(content, message, pictures, tmp_path, capsys):
    (pictures / "pairs.csv").write_text(content)
    (pictures / "broken.png").write_bytes((pictures / "a.png").read_bytes()[:300])
    code, _, errors = convert(pictures, tmp_path / "pairs", capsys)
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert code == 2 and message in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pictures"]


def test_folders_that_are_none(pictures, tmp_path, capsys):
    (pictures / "pairs.csv").unlink()
    assert "has no pairs.csv; expected a list" in convert(pictures, tmp_path / "p", capsys)[2]
    assert "does not exist" in convert(tmp_path / "picturs", tmp_path / "p", capsys)[2]
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        PairSet.open(tmp_path / "nothing")
    with pytest.raises(UserError, match="holds no pairs: it has no pairs.json"):
        PairSet.open(tmp_path)


def test_the_digest_is_of_all_that_is_stored(written, tmp_path):
    """A text, a picture or the order of two; not how the description is laid out."""
    pairs = made_pairs.pairs(range(4))
    digests = set()
    for number, changed in enumerate(
        (
            pairs,
            [pairs[1], pairs[0], *pairs[2:]],
            [pairs[0]._replace(texts=("another",)), *pairs[1:]],
            [pairs[0]._replace(image=made_pairs.png(made_pairs.pixels(9))), *pairs[1:]],
        )
    ):
        write_pairs(tmp_path / str(number), {"train": changed}, name="n")
        digests.add(PairSet.open(tmp_path / str(number)).digest)
    assert len(digests) == 4
    path = tmp_path / "0" / "pairs.json"
    path.write_text(json.dumps(json.loads(path.read_text())))
    assert PairSet.open(tmp_path / "0").digest in digests
