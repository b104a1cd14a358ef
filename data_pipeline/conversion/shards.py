"""Shards of a conversion: which clips go where, writing one, and knowing which are finished.

A shard is written under a temporary name, which no other process uses, and renamed when it is
whole. Its list of records is written just before, into `shard_listings/`, with a digest of itself:
a shard is finished when it has its final name and the size that its listing gives it.
"""

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from animal_clip_jax.digests import sealed, unsealed
from animal_clip_jax.files import write_whole
from data_pipeline.annotations.record import Clip
from data_pipeline.dataset import RECORD_FRAMING

LISTINGS_FOLDER = "shard_listings"


@dataclass(frozen=True)
class Shard:
    """A file of records and the clips that belong into it."""

    split: str
    file_name: str
    clips: tuple[Clip, ...]


@dataclass(frozen=True)
class StoredClip:
    """A clip whose record is in a shard; the columns of `clips.csv`."""

    split: str
    shard: str
    offset: int
    length: int
    clip_id: str
    video: str
    num_frames: int
    frame_rate: float
    height: int
    width: int
    stored_frames: int
    stored_height: int
    stored_width: int


@dataclass(frozen=True)
class FailedClip:
    """A clip without a record.

    `file_state` tells whether the video has changed since, so that another try is worth it.
    """

    split: str
    clip_id: str
    video: str
    reason: str
    file_state: str


@dataclass(frozen=True)
class ShardContents:
    """What came of the clips of one shard, in order."""

    stored: tuple[StoredClip, ...]
    failed: tuple[FailedClip, ...]


def plan_shards(name: str, clips: Iterable[Clip], clips_per_shard: int) -> list[Shard]:
    """Deals the clips of each split out to shards.

    Annotations are often sorted by class. The order in the shards is by a hash of the clip id
    instead, so that any reader who shuffles only a window of records sees all classes.
    """
    splits = defaultdict(list)
    for clip in clips:
        splits[clip.split].append(clip)
    shards = []
    for split, members in splits.items():
        members.sort(key=lambda clip: hashlib.sha256(clip.clip_id.encode()).digest())
        groups = [
            tuple(members[start : start + clips_per_shard])
            for start in range(0, len(members), clips_per_shard)
        ]
        shards += [
            Shard(split, f"{name}-{split}.tfrecord-{number:05d}-of-{len(groups):05d}", group)
            for number, group in enumerate(groups)
        ]
    return shards


def file_state(path: Path) -> str:
    """Size and time of change of a file; empty where there is none."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def finished_contents(directory: Path, shard: Shard) -> ShardContents | None:
    """What a finished shard holds; None if it has to be written (again)."""
    listing = _listing_path(directory, shard)
    path = directory / shard.file_name
    if not path.is_file() or not listing.is_file():
        return None
    contents = _parse_listing(listing.read_bytes(), shard)
    if contents is None:
        return None
    size = sum(clip.length + RECORD_FRAMING for clip in contents.stored)
    return contents if path.stat().st_size == size else None


def _parse_listing(text: bytes, shard: Shard) -> ShardContents | None:
    """The contents of a shard, of all its clips and in their order; None of a damaged listing."""
    try:
        listed = unsealed(json.loads(text), is_sealed=False)  # those of older versions are not
        contents = ShardContents(
            tuple(StoredClip(**row) for row in listed["stored"]),
            tuple(FailedClip(**row) for row in listed["failed"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    rows: list[StoredClip | FailedClip] = [*contents.stored, *contents.failed]
    if not all(_has_its_types(row) for row in rows):
        return None
    offset = 0
    for clip in contents.stored:
        if (clip.split, clip.shard, clip.offset) != (shard.split, shard.file_name, offset):
            return None
        offset += clip.length + RECORD_FRAMING
    wanted = [clip.clip_id for clip in shard.clips]
    stored = [row.clip_id for row in contents.stored]
    failed = frozenset(row.clip_id for row in contents.failed)
    in_order = [clip_id for clip_id in wanted if clip_id not in failed] == stored
    return contents if in_order and len(rows) == len(wanted) else None


def _has_its_types(row: StoredClip | FailedClip) -> bool:
    # JSON writes a rate such as 12.0 with its decimal point.
    return all(type(getattr(row, field.name)) is field.type for field in fields(row))


def finish_shard(directory: Path, shard: Shard, written: Path, contents: ShardContents) -> None:
    """Gives a whole shard, written under the temporary name, its listing and final name."""
    listing = _listing_path(directory, shard)
    listing.parent.mkdir(exist_ok=True)
    write_whole(listing, json.dumps(sealed(asdict(contents))))
    _to_disk(written)
    written.replace(directory / shard.file_name)


def temporary_path(path: Path) -> Path:
    """The name under which this process writes a shard until it is whole."""
    return path.with_name(f"{path.name}.{os.getpid()}.incomplete")


def remove_leftovers(directory: Path) -> None:
    """Removes what a conversion that was killed had begun to write, here and in the listings.

    Nobody else may be writing there meanwhile.
    """
    for folder in (directory, directory / LISTINGS_FOLDER):
        for path in folder.glob("*.incomplete"):
            path.unlink(missing_ok=True)


def _listing_path(directory: Path, shard: Shard) -> Path:
    return directory / LISTINGS_FOLDER / f"{shard.file_name}.json"


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
