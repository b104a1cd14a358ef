"""What a folder of image–text pairs is: its description, and where the pairs of a split lie.

    pairs.json                  what it holds, with digests; a digest of itself
    train.index.npz             of each pair: length of its record, size of its picture, number of
                                its texts, its label
    train-00000.tfrecord        `tf.train.Example`s of `image/encoded`, `texts` and `label`

TensorFlow is not needed here.
"""

import hashlib
import io
import json
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from etils import epath

from animal_clip_jax.digests import sealed, unsealed
from animal_clip_jax.errors import DamagedError, MissingFileError, UserError, quoted, shortened
from animal_clip_jax.files import as_path, is_file, read_at_most
from animal_clip_jax.numpy_archives import read_arrays
from data_pipeline.clip_index import RECORD_FRAMING
from data_pipeline.limits import MOST_TEXT_BYTES

FORMAT_VERSION = 1
PAIRS_FILE = "pairs.json"
COLUMNS = ("lengths", "heights", "widths", "texts", "labels")
NO_LABEL = -1
_AGAIN = "convert the pairs again"


@dataclass(frozen=True)
class PairIndex:
    """The N pairs of a split, in stored order.

    Attributes:
        directory: that holds them.
        split: its name.
        shards: names of the files of records.
        shard_of: int64 (N), position in `shards`.
        offsets: int64 (N), where each record begins in its shard, in bytes.
        lengths: int64 (N), bytes of the serialised example.
        heights, widths: int64 (N), of the pictures.
        texts: int64 (N), number of each picture's texts.
        labels: int64 (N), positions in `label_names`; `NO_LABEL` where there is none.
        label_names: of all splits, sorted.
    """

    directory: epath.Path
    split: str
    shards: tuple[str, ...]
    shard_of: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray
    heights: np.ndarray
    widths: np.ndarray
    texts: np.ndarray
    labels: np.ndarray
    label_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.lengths)

    def path(self, row: int) -> str:
        """The file that holds a pair."""
        return os.fspath(self.directory / self.shards[self.shard_of[row]])


@dataclass(frozen=True)
class PairSet:
    """A folder of pairs.

    Attributes:
        directory: it.
        name: of the set.
        label_names: of all splits, sorted.
        splits: pairs of each split.
        digest: SHA-256 of what its description says, which has digests of all else.
    """

    directory: epath.Path
    name: str
    label_names: tuple[str, ...]
    splits: dict[str, int]
    digest: str

    @classmethod
    def open(cls, directory: str | os.PathLike) -> "PairSet":
        """Reads the description.

        Raises:
            MissingFileError: there is no such folder.
            UserError: it holds no pairs, those of a newer version, or is damaged.
        """
        folder = as_path(directory)
        description, digest = _described(folder)
        splits = {name: part["pairs"] for name, part in description["splits"].items()}
        labels = tuple(description["labels"])
        return cls(folder, description["name"], labels, splits, digest)

    def index(self, split: str) -> PairIndex:
        """Where the pairs of a split lie, in files that are found to be whole by their sizes.

        Raises:
            UserError: there is no such split, or some of it is missing or damaged.
        """
        if split not in self.splits:
            raise UserError(
                f"{self.directory} has no split {quoted(split)}; it has "
                f"{shortened(', '.join(self.splits))}"
            )
        part = _described(self.directory)[0]["splits"][split]
        columns = _columns(self.directory / index_file(split), part)
        names, shard_of, offsets, start = [], [], [], 0
        for number, shard in enumerate(part["shards"]):
            lengths = columns["lengths"][start : start + shard["pairs"]]
            ends = np.cumsum(lengths + RECORD_FRAMING)
            _check_size(self.directory / shard["file"], int(ends[-1]) if len(ends) else 0)
            names.append(shard["file"])
            offsets.append(ends - lengths - RECORD_FRAMING)
            shard_of.append(np.full(len(lengths), number))
            start += shard["pairs"]
        return PairIndex(
            directory=self.directory,
            split=split,
            shards=tuple(names),
            shard_of=np.concatenate(shard_of),
            offsets=np.concatenate(offsets),
            label_names=self.label_names,
            **columns,
        )


def is_pairs(directory: str | os.PathLike) -> bool:
    """Whether a folder says of itself that it holds pairs."""
    return is_file(as_path(directory) / PAIRS_FILE)


def index_file(split: str) -> str:
    """The name of the file with a split's index."""
    return f"{split}.index.npz"


def description_text(content: dict[str, Any]) -> str:
    """`pairs.json` of a content."""
    return json.dumps(sealed({"format_version": FORMAT_VERSION, **content}), indent=2) + "\n"


def _described(folder: epath.Path) -> tuple[dict[str, Any], str]:
    if not folder.is_dir():
        raise MissingFileError(f"there is no folder {folder}; expected one of pairs", folder)
    path = folder / PAIRS_FILE
    if not is_file(path):
        raise UserError(
            f"{folder} holds no pairs: it has no {PAIRS_FILE}; `animal-clip convert-pairs` makes "
            "it, from pictures and a CSV of texts"
        )
    text = read_at_most(path, MOST_TEXT_BYTES, "the description of pairs")
    try:
        content = json.loads(text)
        version = content["format_version"]
        if type(version) is int and version > FORMAT_VERSION:
            raise UserError(
                f"{path} has format version {version}, this program reads up to {FORMAT_VERSION}; "
                f"update it, or {_AGAIN}"
            )
        described = unsealed(content)
        written = json.dumps(described, sort_keys=True)
        return described, hashlib.sha256(written.encode()).hexdigest()
    except DamagedError as error:
        raise DamagedError(f"{path} was changed or damaged; {_AGAIN}") from error
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedError(f"{path} is not the description of pairs; {_AGAIN}") from error


def _columns(path: epath.Path, part: dict[str, Any]) -> dict[str, np.ndarray]:
    content = read_at_most(path, MOST_TEXT_BYTES, "the index of pairs")
    if hashlib.sha256(content).hexdigest() != part["index_sha256"]:
        raise DamagedError(f"{path} was changed or damaged; {_AGAIN}")
    arrays = read_arrays(content)
    return {name: arrays[name].astype(np.int64) for name in COLUMNS}


def index_bytes(columns: dict[str, list[int]]) -> bytes:
    """The file of a split's index."""
    file = io.BytesIO()
    arrays: dict[str, Any] = {name: np.asarray(columns[name], np.int32) for name in COLUMNS}
    np.savez(file, **arrays)
    return file.getvalue()


def _check_size(path: epath.Path, expected: int) -> None:
    found = path.stat().length if is_file(path) else None
    if found != expected:
        raise DamagedError(
            f"{path} is {'missing' if found is None else f'{found} bytes long'}, it should have "
            f"{expected} bytes; restore it, or {_AGAIN}"
        )
