"""Image–text pairs -> TFRecord: a folder that appears once it is whole."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from etils import epath

from animal_clip_jax.errors import AlreadyThereError, UserError, quoted
from animal_clip_jax.files import cannot_write, write_whole
from animal_clip_jax.whole_outputs import current, replacing
from data_pipeline.clip_index import RECORD_FRAMING
from data_pipeline.pairs.index import (
    COLUMNS,
    NO_LABEL,
    PAIRS_FILE,
    description_text,
    index_bytes,
    index_file,
    is_pairs,
)
from data_pipeline.pairs.record import Pair, checked_size

# A shard ends with the pair that makes it that large.
_SHARD_BYTES = 1 << 28
_SPLIT = re.compile(r"[a-z0-9][a-z0-9_]{0,99}")


def write_pairs(folder: Path, pairs: Mapping[str, Iterable[Pair]], *, name: str) -> None:
    """Writes pairs; the folder appears once it is whole, and one of pairs that it replaces stays
    until then.

    The same pairs make the same bytes. One picture is in memory at a time.

    Args:
        folder: to write.
        pairs: of each split, such as "train" and "test", in the order in which they are stored.
        name: of the set.

    Raises:
        UserError: a pair is none (see `record.checked_size`), a split has none or a name that no
            file could have, the folder holds something else or is being written, or it cannot be
            written.
    """
    check_splits(pairs)
    check_replaceable(folder)
    with replacing(folder) as new:
        new.mkdir()
        written = {split: _write_split(new, split, members) for split, members in pairs.items()}
        names = sorted({label for part in written.values() for label in part.labels if label})
        splits = {
            split: part.finish(new / index_file(split), names) for split, part in written.items()
        }
        content = {"name": name, "labels": names, "splits": splits}
        write_whole(new / PAIRS_FILE, description_text(content))


def check_splits(splits: Iterable[str]) -> None:
    """Raises UserError unless there are splits, of names that can be a file's."""
    names = list(splits)
    if not names:
        raise UserError("there are no pairs; expected some, of a split such as 'train'")
    for split in names:
        if not _SPLIT.fullmatch(split):
            raise UserError(
                f"the split {quoted(split)} is no name of one; expected small letters, digits and _"
            )


def check_replaceable(folder: Path) -> None:
    """Raises AlreadyThereError if there is something else than pairs in a folder."""
    place = current(folder)
    if place.exists() and not (place.is_dir() and (is_pairs(place) or not any(place.iterdir()))):
        raise AlreadyThereError(f"{folder}: not a folder of pairs, so it is not replaced")


class _Split:
    """What was written of a split."""

    def __init__(self) -> None:
        self.columns: dict[str, list[int]] = {name: [] for name in COLUMNS}
        self.labels: list[str] = []
        self.shards: list[dict[str, Any]] = []
        self.digest = hashlib.sha256()

    def add(self, record: bytes, pair: Pair, place: str) -> None:
        height, width = checked_size(pair, place)
        row = (len(record), height, width, len(pair.texts))
        for column, value in zip(COLUMNS[:-1], row, strict=True):
            self.columns[column].append(value)
        self.labels.append(pair.label)
        self.digest.update(record)
        self.shards[-1]["pairs"] += 1
        self.shards[-1]["bytes"] += len(record) + RECORD_FRAMING

    def finish(self, path: epath.Path, names: list[str]) -> dict[str, Any]:
        """Writes the index; what the description says of the split."""
        number = {"": NO_LABEL, **{name: place for place, name in enumerate(names)}}
        self.columns["labels"] = [number[label] for label in self.labels]
        index = index_bytes(self.columns)
        write_whole(path, index)
        return {
            "pairs": len(self.labels),
            "shards": self.shards,
            "index_sha256": hashlib.sha256(index).hexdigest(),
            "records_sha256": self.digest.hexdigest(),
        }


def _write_split(folder: epath.Path, split: str, pairs: Iterable[Pair]) -> _Split:
    # Here, not above: who only reads descriptions, or has a mistake in one, does without it.
    from data_pipeline.tensorflow_import import tf

    part, writer = _Split(), None
    try:
        for number, pair in enumerate(pairs):
            if writer is None or part.shards[-1]["bytes"] >= _SHARD_BYTES:
                if writer is not None:
                    writer.close()
                file = f"{split}-{len(part.shards):05d}.tfrecord"
                part.shards.append({"file": file, "pairs": 0, "bytes": 0})
                writer = tf.io.TFRecordWriter(str(folder / file))
            record = _serialised(pair)
            part.add(record, pair, f"pair {number} of the split {split!r}")
            writer.write(record)
        if writer is None:
            raise UserError(f"the split {split!r} has no pairs")
        writer.close()
    except tf.errors.OpError as error:
        raise cannot_write(folder, OSError(error.message)) from error
    finally:
        if writer is not None:
            writer.close()
    return part


def _serialised(pair: Pair) -> bytes:
    """A pair as a serialised `tf.train.Example`, the same bytes in every run."""
    from data_pipeline.tensorflow_import import tf

    def feature(*values: bytes) -> Any:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    features = {
        "image/encoded": feature(pair.image),
        "texts": feature(*(text.encode() for text in pair.texts)),
        "label": feature(pair.label.encode()),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)
