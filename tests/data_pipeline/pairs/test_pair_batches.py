"""Batches of pairs: which, in which order, how they are cut."""

import shutil
from itertools import islice

import made_pairs
import numpy as np
import pytest

from animal_clip_jax.errors import UserError
from data_pipeline.pairs.batches import all_batches, training_batches
from data_pipeline.pairs.index import PairSet
from data_pipeline.pairs.write import write_pairs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made_pairs.write(tmp_path_factory.mktemp("pairs") / "pairs")


@pytest.fixture(scope="module")
def index(folder):
    return PairSet.open(folder).index("train")


def batches(index, number: int, **options) -> list:
    given = {"image_size": 16, "batch_size": 10, "seed": 3, **options}
    return list(islice(training_batches(index, **given), number))


def assert_same(found, expected) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.rows, other.rows)
        assert one.texts == other.texts


def test_workers_and_the_step_of_the_start_change_nothing(index):
    expected = batches(index, 5, num_workers=1)
    assert_same(batches(index, 5, num_workers=4), expected)
    assert_same(batches(index, 2, start_step=3), expected[3:])


def test_an_epoch_has_a_pair_once_and_another_epoch_another_order(index):
    first, second = (
        np.concatenate([batch.rows for batch in part])
        for part in (batches(index, 2), batches(index, 2, start_step=2))
    )
    assert len(set(first)) == len(set(second)) == 20 and list(first) != list(second)
    assert list(first) != list(np.concatenate([b.rows for b in batches(index, 2, seed=4)]))


def test_pictures_come_with_one_of_their_texts_as_a_square_of_themselves(index):
    """16 of 18 pixels, without resizing: some square of the picture, and not always the same."""
    given = made_pairs.pairs(range(24), made_pairs.COLOURS[:3])
    places, texts = set(), set()
    for batch in batches(index, 12, mirror=False):
        for image, text, row in zip(*batch, strict=True):
            whole = made_pairs.pixels(row)
            found = [
                (top, left)
                for top in range(5)
                for left in range(3)
                if np.array_equal(whole[top : top + 16, left : left + 16], image)
            ]
            assert len(found) == 1 and text in given[row].texts
            places.update(found)
            texts.add(given[row].texts.index(text))
    assert len(places) == 15 and texts == {0, 1}


def test_half_of_the_pictures_are_mirrored_if_that_is_asked_for(index):
    plain, mirrored = batches(index, 4), batches(index, 4, mirror=True)
    turned = [
        np.array_equal(one[:, ::-1], other)
        for first, second in zip(plain, mirrored, strict=True)
        for one, other in zip(first.images, second.images, strict=True)
    ]
    same = [
        np.array_equal(one, other)
        for first, second in zip(plain, mirrored, strict=True)
        for one, other in zip(first.images, second.images, strict=True)
    ]
    assert all(a != b for a, b in zip(turned, same, strict=True)) and 10 < sum(turned) < 30


def test_all_pairs_once_from_the_middle(folder):
    index = PairSet.open(folder).index("test")
    found = list(all_batches(index, image_size=16, batch_size=3))
    assert [len(batch.rows) for batch in found] == [3, 3, 2]
    images = np.concatenate([batch.images for batch in found])
    for number, image in enumerate(images):
        np.testing.assert_array_equal(image, made_pairs.pixels(100 + number)[2:18, 1:17])


def test_a_picture_of_another_size_is_brought_to_that_of_the_model(tmp_path):
    """A flat colour stays itself, whatever the picture's size."""
    flat = np.full((90, 61, 3), (10, 200, 60), np.uint8)
    pair = made_pairs.pairs([0])[0]._replace(image=made_pairs.png(flat))
    write_pairs(tmp_path / "p", {"train": [pair] * 2}, name="n")
    index = PairSet.open(tmp_path / "p").index("train")
    (batch,) = batches(index, 1, batch_size=2, image_size=24)
    np.testing.assert_array_equal(batch.images, np.broadcast_to(flat[:1, :1], (2, 24, 24, 3)))


@pytest.mark.parametrize(
    ("size", "message"),
    [(1, "a batch of 1 has nothing to tell a pair from"), (25, "there are 24 pairs to train on")],
)
def test_batches_that_cannot_be(size, message, index):
    with pytest.raises(UserError, match=message):
        batches(index, 1, batch_size=size)


def test_a_damaged_record_is_named(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "pairs")
    index = PairSet.open(tmp_path / "pairs").index("train")
    path = tmp_path / "pairs" / "train-00000.tfrecord"
    content = bytearray(path.read_bytes())
    content[index.offsets[7] + 60] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"at byte {index.offsets[7]} of {path} is damaged"):
        batches(index, 4)
